//! The connector's own network.

use super::super::{GatewayMode, Topology};
use super::{Rules, network};

pub(super) fn check(topology: &Topology, rules: &mut Rules) {
    let Some(connector) = &topology.connector else { return };
    let tunnel = connector.addr();
    if topology.network.gateway_mode == GatewayMode::Nat {
        let problem = rules
            .warning(
                "direct-access-blocked",
                "connector",
                "Docker 28 and later drop packets that are routed to this network",
            )
            .write("`network: { gatewayMode: nat-unprotected }`");
        rules.report(problem);
    }
    if !tunnel.addr().is_ipv4() {
        let problem = rules
            .error("address", "connector.addr", "the tunnel supports IPv4 only")
            .write("`192.168.251.1/24`")
            .seen(tunnel.to_string());
        rules.report(problem);
        return;
    }
    for (path, subnet) in network::written(topology) {
        if subnet.range().meets(tunnel.subnet().range()) {
            let problem = rules
                .error(
                    "address",
                    "connector.addr",
                    format!(
                        "the tunnel's network `{}` overlaps the network `{subnet}`",
                        tunnel.subnet()
                    ),
                )
                .write("an address outside of it")
                .related(rules.places.find(&path), "the network");
            rules.report(problem);
        }
    }
}
