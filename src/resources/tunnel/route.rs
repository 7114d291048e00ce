//! What each tunnel carries, and by which way it reaches the gateway.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use serde_json::json;

use crate::backend::host::StateFolder;
use crate::backend::machine::Machine;
use crate::backend::tunnel::Tunnel;
use crate::engine::Failure;
use crate::templates::{TemplateError, Templates};
use crate::topology::gateway::{EXPOSED, HTTP_PROXY_PORT, carried_to};
use crate::topology::{Gateway, Listen, Proto, Topology, Via};

/// One tunnel, as the file asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub name: String,
    /// The key of the file that asks for it.
    pub origin: String,
    /// Ports of the gateway that lead to the same ones of this machine.
    pub back: BTreeSet<u16>,
    /// Ports of this machine that lead to the gateway's.
    pub forth: BTreeMap<(IpAddr, u16), u16>,
    pub way: Way,
}

/// How ssh gets to the gateway's sshd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    pub host: String,
    pub port: u16,
    /// A host of the user's own ssh configuration to go through.
    pub jump: Option<String>,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)?;
        } else {
            write!(f, "{}:{}", self.host, self.port)?;
        }
        match &self.jump {
            Some(jump) => write!(f, " through {jump}"),
            None => Ok(()),
        }
    }
}

/// All tunnels of the file. On this machine's own engine nothing has to be exposed.
pub fn routes(topology: &Topology, machine: Option<&Machine>) -> Result<Vec<Route>, Failure> {
    let Some(gateway) = &topology.gateway else { return Ok(Vec::new()) };
    let exposed = topology.is_exposed() && machine.is_some();
    let over_ssh: Vec<_> =
        topology.shares.iter().enumerate().filter(|(_, share)| share.via == Via::Ssh).collect();
    if !exposed && over_ssh.is_empty() {
        return Ok(Vec::new());
    }
    let way = way(gateway, machine)?;
    let route = |name: &str, origin: String| Route {
        name: name.to_owned(),
        origin,
        back: BTreeSet::new(),
        forth: BTreeMap::new(),
        way: way.clone(),
    };
    let mut routes: Vec<Route> = Vec::new();
    for (at, share) in over_ssh {
        let carrier = topology.carrier(share).name.as_str();
        if carrier == share.name.as_str() {
            routes.push(route(carrier, format!("shares.{at}")));
        }
        let ports = share.nfs_ports();
        let own = routes.iter_mut().find(|route| route.name == carrier);
        if let Some(route) = own {
            route.back.extend([Some(ports.nfs), ports.mount].into_iter().flatten());
        }
    }
    if exposed {
        let forth = carried(gateway);
        routes.push(Route { forth, ..route(EXPOSED, "gateway.expose".to_owned()) });
    }
    Ok(routes)
}

/// Every tcp port that is published, but for sshd's: the tunnel comes in by that one.
fn carried(gateway: &Gateway) -> BTreeMap<(IpAddr, u16), u16> {
    let range = gateway.published().map(|listen| (listen, listen.ports.first()));
    let proxy = gateway.http_proxy.iter().map(|proxy| (proxy.listen.resolved(), HTTP_PROXY_PORT));
    let one_by_one = |(Listen { addr, ports, .. }, inside): (Listen, u16)| {
        ports.ports().map(move |port| ((carried_to(addr), port), inside + (port - ports.first())))
    };
    range
        .chain(proxy)
        .filter(|(listen, _)| listen.proto == Proto::Tcp)
        .flat_map(one_by_one)
        .collect()
}

/// To the sshd that the file gives the gateway.
pub fn way(gateway: &Gateway, machine: Option<&Machine>) -> Result<Way, Failure> {
    let ssh = gateway.ssh.as_ref().ok_or_else(|| {
        Failure::new("ssh ends at the gateway's sshd, and there is none")
            .hint("`gateway: { ssh: { listen: 122 } }`")
    })?;
    let Listen { addr, ports, .. } = ssh.listen.resolved();
    let named = ssh.jump.as_ref().map(ToString::to_string);
    // Over ssh to the engine's machine, its loopback is as good as any address.
    let login = machine.and_then(|machine| machine.login.clone());
    let inner = addr.is_loopback() || addr.is_unspecified();
    let (host, jump) = match (machine, named) {
        (None, named) => (loopback_for(addr).to_string(), named),
        (Some(_), None) if inner && login.is_some() => (loopback_for(addr).to_string(), login),
        (Some(machine), None) if addr.is_loopback() => {
            return Err(sshd_out_of_reach(&machine.host, ports.first()));
        }
        (Some(machine), named) if addr.is_unspecified() => (machine.host.clone(), named),
        (Some(_), named) => (addr.to_string(), named),
    };
    Ok(Way { host, port: ports.first(), jump })
}

fn loopback_for(address: IpAddr) -> IpAddr {
    if address.is_unspecified() { carried_to(address) } else { address }
}

fn sshd_out_of_reach(machine: &str, port: u16) -> Failure {
    Failure::new(format!(
        "ssh comes in by the gateway's sshd, which listens on the loopback of `{machine}` alone"
    ))
    .hint(format!(
        "write an address of that machine, `gateway: {{ ssh: {{ listen: \"0.0.0.0:{port}\" }} }}`, or a host of your ssh configuration to go through: `jump: {machine}`"
    ))
}

impl Route {
    /// In runs, as the plan shows them.
    pub fn forwards(&self) -> Vec<String> {
        let back = self.back.iter().map(|port| format!("gateway {port} to here"));
        let mut runs: Vec<(IpAddr, u16, u16, u16)> = Vec::new();
        for (&(listen, port), &inside) in &self.forth {
            match runs.last_mut() {
                Some((of, first, last, start))
                    if *of == listen
                        && last.checked_add(1) == Some(port)
                        && *start + (port - *first) == inside =>
                {
                    *last = port;
                }
                _ => runs.push((listen, port, port, inside)),
            }
        }
        let forth = runs.into_iter().map(|(listen, first, last, inside)| {
            let range = |first: u16, last: u16| {
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            };
            let inner = range(inside, inside + (last - first));
            format!("here {} to gateway {inner}", Bracketed(listen, range(first, last)))
        });
        back.chain(forth).collect()
    }

    /// What the tunnel's key may do in the gateway. A list that permits nothing must name something,
    /// since an empty one permits everything: so a port where nothing listens.
    pub fn permits(&self, gateway: &str) -> String {
        const NOTHING: &str = "127.0.0.1:1";
        let listens = if self.back.is_empty() {
            format!("permitlisten=\"{NOTHING}\"")
        } else {
            let ports = self.back.iter().map(|port| format!("permitlisten=\"0.0.0.0:{port}\""));
            ports.collect::<Vec<_>>().join(",")
        };
        let opens = if self.forth.is_empty() {
            format!("permitopen=\"{NOTHING}\"")
        } else {
            format!("permitopen=\"{gateway}:*\"")
        };
        format!("restrict,port-forwarding,{listens},{opens}")
    }

    /// The settings that `ssh` is run with.
    pub fn config(
        &self,
        topology: &Topology,
        state: Option<&StateFolder>,
        templates: &Templates,
    ) -> Result<String, TemplateError> {
        let name = topology.name.as_str();
        let state = state.cloned().unwrap_or_else(|| StateFolder::usual(name));
        let tunnel = Tunnel::of(&state, &self.name);
        let forth: Vec<_> = self
            .forth
            .iter()
            .map(|((listen, port), inside)| {
                json!({ "listen": Bracketed(*listen, port.to_string()).to_string(), "inside": inside })
            })
            .collect();
        let values = json!({
            "topology": name,
            "name": self.name,
            "alias": tunnel.host(),
            "gateway": topology.gateway_name(),
            "host": self.way.host,
            "port": self.way.port,
            // Percent signs begin what ssh fills in.
            "jump": self.way.jump.as_ref().map(|jump| jump.replace('%', "%%")),
            "known_hosts": quoted(&tunnel.known_hosts().display().to_string()),
            "key": quoted(&tunnel.key().display().to_string()),
            "back": self.back,
            "forth": forth,
        });
        templates.render("tunnel/ssh_config", values)
    }
}

/// An address and a port, as ssh reads them.
struct Bracketed(IpAddr, String);

impl fmt::Display for Bracketed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}:{}", self.1),
            IpAddr::V6(address) => write!(f, "[{address}]:{}", self.1),
        }
    }
}

/// A path in ssh's settings, where percent signs begin what it fills in.
fn quoted(path: &str) -> String {
    let path = path.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", path.replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn topology(gateway: Value, shares: Value) -> Topology {
        serde_json::from_value(json!({
            "apiVersion": "topo/v1alpha1", "kind": "Topology", "name": "dev",
            "gateway": gateway, "shares": shares,
        }))
        .expect("a topology")
    }

    fn far(login: Option<&str>) -> Machine {
        Machine { host: "192.0.2.7".to_owned(), login: login.map(str::to_owned) }
    }

    fn way_of(ssh: Value, machine: Option<&Machine>) -> Result<String, Failure> {
        let gateway: Gateway = serde_json::from_value(json!({ "ssh": ssh })).expect("a gateway");
        way(&gateway, machine).map(|way| way.to_string())
    }

    #[test]
    fn the_way_leads_to_where_sshd_is_published() {
        let way = |ssh, machine: Option<&Machine>| way_of(ssh, machine).expect("there is a way");
        assert_eq!(way(json!({ "listen": 122 }), None), "127.0.0.1:122");
        assert_eq!(way(json!({ "listen": "0.0.0.0:122" }), None), "127.0.0.1:122");
        let tcp = far(None);
        assert_eq!(way(json!({ "listen": "0.0.0.0:122" }), Some(&tcp)), "192.0.2.7:122");
        assert_eq!(way(json!({ "listen": "10.0.0.7:122" }), Some(&tcp)), "10.0.0.7:122");
        assert_eq!(
            way(json!({ "listen": 122, "jump": "bastion" }), Some(&tcp)),
            "127.0.0.1:122 through bastion"
        );
        let ssh = far(Some("ssh://me@far"));
        assert_eq!(way(json!({ "listen": 122 }), Some(&ssh)), "127.0.0.1:122 through ssh://me@far");
        assert_eq!(way(json!({ "listen": "192.0.2.7:122" }), Some(&ssh)), "192.0.2.7:122");
    }

    #[test]
    fn an_sshd_on_another_machines_loopback_needs_a_jump_host() {
        let refused = way_of(json!({ "listen": 122 }), Some(&far(None))).expect_err("no way");
        assert!(refused.to_string().contains("loopback of `192.0.2.7`"), "{refused}");
        assert!(refused.hint.is_some_and(|hint| hint.contains("0.0.0.0:122")));
    }

    #[test]
    fn shares_of_one_server_have_one_tunnel() {
        let nfs =
            |version: &str| json!({ "system": "linux", "version": version, "mountPort": 892 });
        let topology = topology(
            json!({ "ssh": { "listen": 122 } }),
            json!([
                { "name": "docs", "path": "/docs", "via": "ssh", "nfs": nfs("4.2") },
                { "name": "code", "path": "/code", "via": "ssh", "nfs": nfs("3") },
                { "name": "here", "path": "/here", "via": "server" },
            ]),
        );
        let routes = routes(&topology, None).expect("there is a way");
        assert_eq!(routes.len(), 1);
        assert_eq!(routes[0].name, "docs");
        assert_eq!(routes[0].forwards(), ["gateway 892 to here", "gateway 2049 to here"]);
        assert_eq!(
            routes[0].permits("dev-gw"),
            r#"restrict,port-forwarding,permitlisten="0.0.0.0:892",permitlisten="0.0.0.0:2049",permitopen="127.0.0.1:1""#
        );
    }

    #[test]
    fn what_another_machine_publishes_comes_to_localhost() {
        let topology = topology(
            json!({
                "publish": ["10000-10019", "192.0.2.7:10050", "0.0.0.0:53/udp"],
                "ssh": { "listen": "0.0.0.0:122" },
                "httpProxy": { "listen": 3129 },
                "expose": { "via": "ssh" },
            }),
            json!([]),
        );
        assert_eq!(routes(&topology, None).expect("nothing to carry"), []);
        let routes = routes(&topology, Some(&far(None))).expect("there is a way");
        assert_eq!(routes[0].name, EXPOSED);
        assert_eq!(
            routes[0].forwards(),
            [
                "here 127.0.0.1:3129 to gateway 3128",
                "here 127.0.0.1:10000-10019 to gateway 10000-10019",
                "here 127.0.0.1:10050 to gateway 10050",
            ]
        );
        assert_eq!(
            routes[0].permits("dev-gw"),
            r#"restrict,port-forwarding,permitlisten="127.0.0.1:1",permitopen="dev-gw:*""#
        );
    }
}
