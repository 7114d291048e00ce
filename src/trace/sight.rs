//! What was seen on the way, as plain data: of it alone the findings are made.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use kube::api::DynamicObject;
use serde_json::Value;

use super::rules::Drops;
use super::way::Way;
use crate::backend::docker::ContainerState;
use crate::backend::host::Reach;
use crate::backend::host::sockets::{Listener, Listening};
use crate::manifest::{Kind, Kinds};
use crate::plan::Id;
use crate::resources::object_id;
use crate::topology::Proto;

/// What was seen, or why it could not be looked at.
pub type Look<T> = Result<T, String>;

pub struct Sight {
    pub way: Way,
    pub remedy: Remedy,
    pub door: Option<Door>,
    pub gateway: Option<Gateway>,
    pub cluster: Look<Cluster>,
    /// Whether the topology makes the cluster, so that its nodes are containers that may be looked into.
    pub has_own_nodes: bool,
    pub nodes: Vec<Node>,
    /// Where the connection is led: what the gateway has in force, or the Service's own address.
    pub aim: Option<SocketAddr>,
    /// From the network into the gateway's port, through its rules: seen from a node.
    pub through_gateway: Dial,
    /// From the gateway, or from this machine where no gateway is on the way.
    pub to_aim: Dial,
    /// Who has which address on the wire, of the network's containers.
    pub hardware: Vec<(String, String)>,
    /// An Envoy of cloud-provider-kind that serves this cluster.
    pub other_balancer: Option<String>,
}

/// What mends a fault, in the words of a command.
pub struct Remedy {
    /// `topo apply topo.yaml`
    pub apply: String,
    /// `kubectl --context kind-dev`
    pub kubectl: String,
    /// The objects that the file's manifests make.
    pub made: HashSet<Id>,
}

/// The port on this machine.
pub struct Door {
    pub at: SocketAddr,
    pub listeners: Look<Vec<Listener>>,
    /// How far a connection gets, where it can be tried.
    pub reach: Look<Reach>,
    /// Another container that publishes the port.
    pub other: Option<String>,
}

pub struct Container {
    pub name: String,
    pub state: ContainerState,
    /// In the engine's words.
    pub status: String,
    /// Whether it publishes the port that is followed.
    pub publishes: bool,
}

pub struct Gateway {
    pub name: String,
    /// None where there is none.
    pub container: Option<Container>,
    /// Where rules of the kernel publish the port, and not the engine.
    pub publisher: Option<Publisher>,
    /// On the network, one a family.
    pub addresses: Vec<IpAddr>,
    pub inside: Look<Inside>,
}

/// The container that puts rules of the kernel in force.
pub struct Publisher {
    pub name: String,
    /// Whether what is in force is what it put in force. A stopped one, or none, has nothing in force.
    pub in_force: Look<bool>,
}

/// What goes on in a gateway that runs.
pub struct Inside {
    pub forwarding: bool,
    /// Where the forward was applied to lead.
    pub saved: Option<SocketAddr>,
    /// Where the rules in force, or nginx, lead it.
    pub live: Option<SocketAddr>,
    /// nginx, in the mode that has it.
    pub proxy_runs: Option<bool>,
    pub before: Drops,
    /// After the probes, where they failed.
    pub after: Option<Drops>,
    /// Who has answered for the aim's address: none where nobody has.
    pub neighbor: Look<Option<String>>,
}

/// How a connection that was tried ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dial {
    Connected,
    Refused,
    NoRoute,
    Silent,
    Untried(String),
}

impl Dial {
    pub fn in_words(&self) -> String {
        match self {
            Self::Connected => "connects".to_owned(),
            Self::Refused => "is refused".to_owned(),
            Self::NoRoute => "meets \"no route to host\"".to_owned(),
            Self::Silent => "gets no answer".to_owned(),
            Self::Untried(why) => format!("was not tried: {why}"),
        }
    }

    fn failed(&self) -> bool {
        matches!(self, Self::Refused | Self::NoRoute | Self::Silent)
    }
}

/// What the API server has of the way.
#[derive(Default)]
pub struct Cluster {
    /// None where there is none.
    pub service: Option<DynamicObject>,
    pub endpoints: Vec<Endpoint>,
    /// Those that the Service selects.
    pub pods: Vec<DynamicObject>,
    /// Where none is ready: what makes pods in the namespace, and all pods there.
    pub workloads: Vec<Workload>,
    pub others: Vec<DynamicObject>,
    /// What a pod says that does not come up.
    pub complaints: Vec<String>,
    pub policies: Vec<DynamicObject>,
    pub nodes: Vec<DynamicObject>,
    pub metallb: Vec<DynamicObject>,
    pub pools: Vec<DynamicObject>,
    pub advertisements: Vec<DynamicObject>,
    pub proxies: Vec<DynamicObject>,
    /// Warnings about the Service, the latest last.
    pub warnings: Vec<String>,
}

/// What makes pods, and is called by its kind.
pub struct Workload {
    pub kind: Arc<Kind>,
    pub object: DynamicObject,
}

/// A pod, or another address, behind a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub pod: String,
    pub uid: String,
    pub address: IpAddr,
    pub node: String,
    pub ready: bool,
    /// None where the pod has no port of the name that the Service asks for.
    pub port: Option<u16>,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    pub name: String,
    pub number: u16,
    pub node_port: Option<u16>,
    pub proto: String,
    pub target: String,
}

pub struct Node {
    pub container: Container,
    pub inside: Look<NodeInside>,
}

/// What goes on in a node that runs.
pub struct NodeInside {
    /// The rules that kube-proxy writes, as text; none of its own where it has another way.
    pub rules: String,
    pub before: Drops,
    pub after: Option<Drops>,
    /// Of the pods on it that are behind the Service.
    pub pods: Vec<Pod>,
    /// Which hardware addresses answer for the aim.
    pub answers: Look<Vec<String>>,
}

/// A pod as its node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    pub uid: String,
    /// Err where its processes were not found.
    pub sockets: Look<Vec<Listening>>,
    pub dial: Dial,
}

/// How the way as a whole is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Works,
    Fails,
    /// Nothing could be tried, as of udp.
    Unknown,
}

impl Sight {
    /// The engine's proxy takes every connection and may hold it, so that what comes through the
    /// gateway counts beside what the door says.
    pub fn outcome(&self) -> Outcome {
        let door = self.door.as_ref().and_then(|door| door.reach.as_ref().ok());
        if door == Some(&Reach::Answers) {
            return Outcome::Works;
        }
        let dials = [&self.through_gateway, &self.to_aim];
        if door.is_some_and(|reach| !reach.is_open()) || dials.iter().any(|dial| dial.failed()) {
            return Outcome::Fails;
        }
        let known = dials.iter().any(|dial| **dial == Dial::Connected);
        if known { Outcome::Works } else { Outcome::Unknown }
    }

    pub fn fails(&self) -> bool {
        self.outcome() == Outcome::Fails
    }

    /// The node that has this address on the wire.
    pub fn node_of(&self, hardware: &str) -> Option<&str> {
        let owner = self.holder(hardware)?;
        self.nodes.iter().map(|node| &*node.container.name).find(|name| *name == owner)
    }

    pub fn holder(&self, hardware: &str) -> Option<&str> {
        let found = self.hardware.iter().find(|(address, _)| address == hardware);
        found.map(|(_, container)| container.as_str())
    }
}

impl Remedy {
    /// What puts an object back that the file makes, or else what is to be done by hand.
    pub fn of_object(&self, id: &Id, by_hand: impl Into<String>) -> String {
        if self.made.contains(id) {
            let by_hand = by_hand.into();
            format!(
                "`{}` sets it back to what the manifest says; if it says the same, {by_hand}",
                self.apply
            )
        } else {
            by_hand.into()
        }
    }
}

impl Cluster {
    pub fn service_id(&self) -> Option<Id> {
        let service = self.service.as_ref()?;
        let namespace = service.metadata.namespace.as_deref();
        let kind = Kinds::default().named(&"v1".into(), &"Service".into());
        Some(object_id(&kind, namespace, service.metadata.name.as_deref()?))
    }

    pub fn ready(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(|endpoint| endpoint.ready)
    }

    /// The addresses that load balancers gave.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let service = self.service.as_ref();
        let given = service
            .and_then(|service| service.data.pointer("/status/loadBalancer/ingress")?.as_array());
        let given = given.into_iter();
        given.flatten().filter_map(|one| one["ip"].as_str()?.parse().ok()).collect()
    }

    pub fn spec(&self, pointer: &str) -> Option<&Value> {
        self.service.as_ref()?.data.pointer(&format!("/spec{pointer}"))
    }

    pub fn ports(&self) -> Vec<ServicePort> {
        let ports = self.spec("/ports").and_then(Value::as_array).into_iter().flatten();
        let number = |value: &Value| value.as_u64().and_then(|it| u16::try_from(it).ok());
        ports
            .filter_map(|port| {
                let target = match &port["targetPort"] {
                    Value::String(name) => name.clone(),
                    target => target.to_string(),
                };
                Some(ServicePort {
                    name: port["name"].as_str().unwrap_or_default().to_owned(),
                    number: number(&port["port"])?,
                    node_port: number(&port["nodePort"]),
                    proto: port["protocol"].as_str().unwrap_or("TCP").to_lowercase(),
                    target,
                })
            })
            .collect()
    }
}

impl ServicePort {
    pub fn is(&self, key: &str) -> bool {
        self.name == key || self.number.to_string() == key
    }

    pub fn carries(&self, proto: Proto) -> bool {
        self.proto == proto.as_str()
    }
}

/// The endpoints of one port, of one family.
pub fn endpoints(slices: &[DynamicObject], port: Option<&ServicePort>, v4: bool) -> Vec<Endpoint> {
    let mut found = Vec::new();
    for slice in slices {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let ports = slice.data["ports"].as_array().into_iter().flatten();
        let number = ports
            .filter(|one| {
                port.is_none_or(|port| one["name"].as_str().unwrap_or_default() == port.name)
            })
            .find_map(|one| u16::try_from(one["port"].as_u64()?).ok());
        for endpoint in slice.data["endpoints"].as_array().into_iter().flatten() {
            let mut addresses = endpoint["addresses"].as_array().into_iter().flatten();
            let address = addresses.find_map(|one| one.as_str()?.parse::<IpAddr>().ok());
            let Some(address) = address.filter(|address| address.is_ipv4() == v4) else { continue };
            found.push(Endpoint {
                pod: text(&endpoint["targetRef"]["name"]),
                uid: text(&endpoint["targetRef"]["uid"]),
                address,
                node: text(&endpoint["nodeName"]),
                ready: endpoint["conditions"]["ready"] != false,
                port: number,
            });
        }
    }
    found
}
