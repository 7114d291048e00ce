//! What is to be followed: a port of this machine, a Service, a share.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::engine::Failure;
use crate::topology::{
    self, Listen, PortMapping, PortRange, Proto, ServiceRef, TargetPort, Topology,
};

pub enum Target {
    Way(Way),
    Share(String),
}

/// The way of one connection, as the file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    pub proto: Proto,
    /// Where it begins on the engine's machine; None where it begins on the network.
    pub listen: Option<SocketAddr>,
    pub through: Through,
    pub to: Goal,
}

/// What publishes the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Through {
    Gateway,
    /// A node, by kind's extraPortMappings: the port inside.
    Node(u16),
    Nothing,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Goal {
    /// A port of a Service, by name or number; the first where none is named.
    Service(ServiceRef, Option<String>),
    NodePort(u16),
    Address(SocketAddr),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match (&self.listen, &self.to) {
            (Some(listen), to) => write!(f, "{listen}/{} to {to}", self.proto),
            (None, to) => to.fmt(f),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Service(service, Some(port)) => write!(f, "service {service}:{port}"),
            Self::Service(service, None) => write!(f, "service {service}"),
            Self::NodePort(port) => write!(f, "nodePort:{port}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl Way {
    /// To a Service, from the network on.
    pub fn to_service(service: ServiceRef, port: Option<String>) -> Self {
        let to = Goal::Service(service, port);
        Self { proto: Proto::Tcp, listen: None, through: Through::Nothing, to }
    }

    /// The forwards of the file; of a range its first port.
    pub fn forwards(topology: &Topology) -> Vec<Self> {
        let way = |port: &topology::Port| {
            let listen = port.listen();
            Self {
                proto: listen.proto,
                listen: Some(SocketAddr::new(listen.addr, listen.ports.first())),
                through: Through::Gateway,
                to: goal(&port.to, 0),
            }
        };
        topology.ports().iter().map(way).collect()
    }

    pub fn leads_to(&self, wanted: &ServiceRef) -> bool {
        matches!(&self.to, Goal::Service(service, _) if service == wanted)
    }
}

impl Target {
    /// What a person typed: `10001`, `127.0.0.1:10001/udp`, `web:80`, `default/web`, `share/docs`.
    pub fn find(topology: &Topology, typed: &str) -> Result<Self, Failure> {
        if let Some(name) = typed.strip_prefix("share/") {
            return share(topology, name);
        }
        let plain = typed.strip_prefix("port/").unwrap_or(typed);
        if let Ok(listen) = plain.parse::<Listen>() {
            return port(topology, listen, plain);
        }
        let (service, port) = match typed.split_once(':') {
            Some((service, port)) => (service, Some(port.to_owned())),
            None => (typed, None),
        };
        let service = service.parse().map_err(|error: topology::text::Malformed| {
            Failure::new(format!("`{typed}` is not a port, a Service or a share: {}", error.what))
                .hint("write a port such as `10001`, a Service such as `web` or `default/web:80`, or `share/NAME`")
        })?;
        Ok(Self::Way(Way::to_service(service, port)))
    }
}

fn share(topology: &Topology, name: &str) -> Result<Target, Failure> {
    if topology.shares.iter().any(|share| share.name.as_str() == name) {
        return Ok(Target::Share(name.to_owned()));
    }
    let known: Vec<&str> = topology.shares.iter().map(|share| share.name.as_str()).collect();
    let failure = Failure::new(format!("no share `{name}` in the file"));
    Err(if known.is_empty() {
        failure
    } else {
        failure.hint(format!("shares: {}", known.join(", ")))
    })
}

fn port(topology: &Topology, wanted: Listen, typed: &str) -> Result<Target, Failure> {
    // An address that was not written is any.
    let says_address = typed.contains(':');
    let fits = |addr: IpAddr, ports: PortRange, proto: Proto| {
        (!says_address || addr == wanted.addr)
            && proto == wanted.proto
            && ports.contains(wanted.ports.first())
    };
    let number = wanted.ports.first();
    for port in topology.ports() {
        let listen = port.listen();
        if fits(listen.addr, listen.ports, listen.proto) {
            let offset = number - listen.ports.first();
            let to = goal(&port.to, offset);
            let listen = Some(SocketAddr::new(listen.addr, number));
            return Ok(Target::Way(Way {
                proto: wanted.proto,
                listen,
                through: Through::Gateway,
                to,
            }));
        }
    }
    for mapping in mappings(topology) {
        if fits(mapping.listen_address, mapping.host_port, mapping.protocol) {
            let offset = number - mapping.host_port.first();
            let inside = mapping.container_port.first() + offset;
            return Ok(Target::Way(Way {
                proto: wanted.proto,
                listen: Some(SocketAddr::new(mapping.listen_address, number)),
                through: Through::Node(inside),
                to: Goal::NodePort(inside),
            }));
        }
    }
    let known: Vec<String> =
        topology.ports().iter().map(|port| port.listen().to_string()).collect();
    let failure = Failure::new(format!("no forward of the file listens on `{typed}`"));
    Err(if known.is_empty() {
        failure
    } else {
        failure.hint(format!("forwards: {}", known.join(", ")))
    })
}

fn mappings(topology: &Topology) -> impl Iterator<Item = &PortMapping> {
    let cluster = topology.cluster.iter();
    cluster.flat_map(|cluster| {
        let groups = cluster.groups.iter().flat_map(|group| &group.ports);
        cluster.ports.iter().chain(groups)
    })
}

/// The one port of a range that is as far from its start.
fn goal(to: &topology::Target, offset: u16) -> Goal {
    match to {
        topology::Target::Service { service, port } => {
            let port = match port {
                TargetPort::Name(name) => name.clone(),
                TargetPort::Numbers(range) => (range.first() + offset).to_string(),
            };
            Goal::Service(service.clone(), Some(port))
        }
        topology::Target::NodePort(range) => Goal::NodePort(range.first() + offset),
        topology::Target::Address { address, port } => {
            Goal::Address(SocketAddr::new(*address, port.first() + offset))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(typed: &str) -> Result<String, String> {
        let topology: Topology = serde_json::from_value(json!({
            "apiVersion": "topo/v1alpha1", "kind": "Topology", "name": "dev",
            "cluster": { "ports": [{ "containerPort": 30080, "hostPort": 8080 }] },
            "gateway": { "publish": ["10000-10099", "10000-10009/udp"], "ports": [
                { "listen": 10001, "to": { "service": "web", "port": "http" } },
                { "listen": "10080-10082", "to": { "service": "web", "port": "8080-8082" } },
                { "listen": "10002/udp", "to": { "nodePort": 30053 } },
            ]},
        }))
        .expect("a topology");
        match Target::find(&topology, typed) {
            Ok(Target::Way(way)) => Ok(way.to_string()),
            Ok(Target::Share(name)) => Ok(name),
            Err(failure) => Err(failure.to_string()),
        }
    }

    #[test]
    fn a_port_is_found_by_as_much_of_it_as_is_typed() {
        let first = Ok("127.0.0.1:10001/tcp to service default/web:http".to_owned());
        assert_eq!(found("10001"), first);
        assert_eq!(found("port/127.0.0.1:10001/tcp"), first);
        let of_range = "127.0.0.1:10081/tcp to service default/web:8081";
        assert_eq!(found("10081").as_deref(), Ok(of_range));
        assert_eq!(found("10002/udp").as_deref(), Ok("127.0.0.1:10002/udp to nodePort:30053"));
        assert_eq!(found("8080").as_deref(), Ok("127.0.0.1:8080/tcp to nodePort:30080"));
        assert_eq!(found("shop/web:80").as_deref(), Ok("service shop/web:80"));
        assert_eq!(found("web").as_deref(), Ok("service default/web"));
    }

    #[test]
    fn what_the_file_does_not_have_is_refused() {
        assert_eq!(found("10002"), Err("no forward of the file listens on `10002`".to_owned()));
        assert_eq!(found("share/docs"), Err("no share `docs` in the file".to_owned()));
        assert!(found("0.0.0.0:10001").is_err() && found("Web!").is_err());
    }
}
