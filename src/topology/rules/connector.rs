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
                "engines from 28 on drop what comes to this network over a route",
            )
            .write("`network: { gatewayMode: nat-unprotected }`");
        rules.report(problem);
    }
    if !tunnel.addr().is_ipv4() {
        let problem = rules
            .error("address", "connector.addr", "the tunnel speaks IPv4 only")
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
                        "the tunnel's network {} meets the network `{subnet}`",
                        tunnel.subnet()
                    ),
                )
                .write("an address outside of it")
                .related(rules.places.find(&path), "the network");
            rules.report(problem);
        }
    }
}
