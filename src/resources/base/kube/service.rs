//! Services as forwards see them: an address and ports that can be reached from the network.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::backend::kube::{Deadline, Kube, KubeError, Target, Verdict, WaitError};
use crate::manifest::{Kind, Kinds};
use crate::plan::Outputs;

/// The output of a Service and of a cluster that a forward leads to.
pub const ADDRESS: &str = "address";
/// The output of a Service that has an IPv6 address too, or nothing else.
pub const ADDRESS6: &str = "address6";
/// The output of a Service: its ports, by name and by number, as they are at that address.
pub const PORTS: &str = "ports";

/// The annotation by which a Service asks MetalLB for addresses of its choice.
const ASKED_ADDRESSES: &str = "metallb.io/loadBalancerIPs";

const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// How a Service is reached from outside of its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// At an address that a load balancer gives to it.
    Balanced,
    /// At ports of every node.
    AtNodes,
    NotAtAll,
}

impl Reached {
    pub fn of(body: &Value) -> Self {
        match body.pointer("/spec/type").and_then(Value::as_str) {
            Some("LoadBalancer") => Self::Balanced,
            Some("NodePort") => Self::AtNodes,
            _ => Self::NotAtAll,
        }
    }
}

/// The Services of a cluster that ask a load balancer for an address: few, where it may have thousands.
pub async fn balanced(kube: &Kube) -> Result<Vec<DynamicObject>, KubeError> {
    let kind = Kinds::default().named(&"v1".into(), &"Service".into());
    kube.list_where(&kind, "spec.type=LoadBalancer").await
}

/// Why a forward cannot lead to a Service of that sort.
pub fn out_of_reach(body: &Value) -> String {
    let kind = body.pointer("/spec/type").and_then(Value::as_str).unwrap_or("ClusterIP");
    format!("it is of type {kind}, which cannot be reached from outside of the cluster")
}

/// A Service of type LoadBalancer works once it has an address, and the one it asks for if it asks
/// for one: it keeps its old one for a moment. Its ports are known at once.
pub fn judge(object: &DynamicObject) -> Verdict<Outputs> {
    let body = &object.data;
    let reached = Reached::of(body);
    let outputs = Outputs::new().with(PORTS, ports(body));
    match reached {
        Reached::NotAtAll => return Verdict::Done(Outputs::new()),
        Reached::AtNodes => return Verdict::Done(outputs),
        Reached::Balanced => {}
    }
    let asked = object.metadata.annotations.as_ref().and_then(|all| all.get(ASKED_ADDRESSES));
    let given: Vec<&str> = addresses(body).collect();
    let is_v6 = |address: &&&str| address.parse::<Ipv6Addr>().is_ok();
    let v6 = given.iter().find(is_v6);
    let Some(address) = given.iter().find(|address| !is_v6(address)).or(v6) else {
        return Verdict::NotYet("no address was given to it".to_owned());
    };
    if asked.is_some_and(|asked| !asked.split(',').any(|one| one.trim() == *address)) {
        return Verdict::NotYet(format!(
            "it still has {address}, not the address that it asks for"
        ));
    }
    let outputs = outputs.with(ADDRESS, json!(address));
    Verdict::Done(match v6 {
        Some(v6) => outputs.with(ADDRESS6, json!(v6)),
        None => outputs,
    })
}

/// The addresses that a load balancer gave to a Service, one a family.
pub fn addresses(body: &Value) -> impl Iterator<Item = &str> {
    let given = body.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
    let given = given.into_iter().flatten();
    given.filter_map(|one| one["ip"].as_str().or_else(|| one["hostname"].as_str()))
}

/// What each port of a Service, by name and by number, is where it is reached.
pub fn ports(body: &Value) -> Value {
    let at_nodes = Reached::of(body) == Reached::AtNodes;
    let written = body.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    let mut ports = json!({});
    for port in written {
        let reached = if at_nodes { &port["nodePort"] } else { &port["port"] };
        let name = port["name"].as_str().map(str::to_owned);
        for key in name.into_iter().chain([port["port"].to_string()]) {
            // The same number for tcp and udp leads to two node ports; the first is the one meant.
            if ports[&key].is_null() {
                ports[&key] = reached.clone();
            }
        }
    }
    ports
}

/// Adds the address of a node to what a Service gives that every node serves. While a cluster comes
/// up it may have no node yet, or none with an address.
pub async fn at_a_node(
    kube: &Kube,
    outputs: Outputs,
    deadline: Deadline,
    said: impl FnMut(&str),
) -> Result<Outputs, WaitError> {
    if outputs.get(PORTS).is_none() || outputs.get(ADDRESS).is_some() {
        return Ok(outputs);
    }
    let judge = |nodes: &[DynamicObject]| match first_address(nodes) {
        Some(address) => Verdict::Done(address),
        None => Verdict::NotYet("no node has an address yet".to_owned()),
    };
    let nodes = Target { kind: &node(), namespace: None, name: "" };
    let address = kube.until_all(&nodes, "", deadline, judge, said).await?;
    Ok(outputs.with(ADDRESS, json!(address)))
}

/// Whether kind made the cluster, by what it writes into its nodes.
pub async fn is_of_kind(kube: &Kube) -> Result<bool, KubeError> {
    let is_kinds = |node: &DynamicObject| {
        let provider = node.data.pointer("/spec/providerID").and_then(Value::as_str);
        provider.is_some_and(|provider| provider.starts_with("kind://"))
    };
    Ok(kube.list(&node(), "").await?.iter().any(is_kinds))
}

pub async fn node_address(kube: &Kube) -> Result<Option<IpAddr>, KubeError> {
    Ok(first_address(&kube.list(&node(), "").await?))
}

fn node() -> Arc<Kind> {
    Kinds::default().named(&"v1".into(), &"Node".into())
}

/// Of the node that everybody would call the first: a control plane, by name.
fn first_address(nodes: &[DynamicObject]) -> Option<IpAddr> {
    let mut nodes: Vec<&DynamicObject> = nodes.iter().collect();
    nodes.sort_by_key(|node| {
        let labels = node.metadata.labels.as_ref();
        let is_plane = labels.is_some_and(|labels| labels.contains_key(CONTROL_PLANE));
        (!is_plane, &node.metadata.name)
    });
    nodes.into_iter().find_map(internal_address)
}

fn internal_address(node: &DynamicObject) -> Option<IpAddr> {
    let addresses = node.data.pointer("/status/addresses")?.as_array()?;
    let internal = addresses.iter().find(|address| address["type"] == "InternalIP")?;
    internal["address"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(body: Value) -> Verdict<Outputs> {
        judge(&serde_json::from_value(body).expect("an object"))
    }

    fn not_yet(body: Value) -> String {
        match judged(body) {
            Verdict::NotYet(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_load_balancer_gives_its_address_and_waits_for_it() {
        let mut body = json!({"metadata": {}, "spec": {
            "type": "LoadBalancer",
            "ports": [{"name": "http", "port": 80}, {"port": 81}],
        }});
        assert!(not_yet(body.clone()).contains("no address"));
        body["status"] = json!({"loadBalancer": {"ingress": [{"ip": "172.22.255.201"}]}});
        let Verdict::Done(outputs) = judged(body.clone()) else { panic!("not done") };
        assert_eq!(outputs.get(ADDRESS), Some(&json!("172.22.255.201")));
        assert_eq!(outputs.get(PORTS), Some(&json!({"http": 80, "80": 80, "81": 81})));
        body["metadata"]["annotations"] = json!({ASKED_ADDRESSES: "172.22.255.222"});
        assert!(not_yet(body).contains("still has 172.22.255.201"));
    }

    #[test]
    fn of_two_families_the_first_address_of_each_is_given() {
        let ingress = json!([{"ip": "fd00::9"}, {"ip": "172.22.255.201"}]);
        let mut body = json!({"metadata": {}, "spec": {"type": "LoadBalancer", "ports": []},
            "status": {"loadBalancer": {"ingress": ingress}}});
        let given = |body: &Value| match judged(body.clone()) {
            Verdict::Done(outputs) => [ADDRESS, ADDRESS6].map(|name| outputs.get(name).cloned()),
            other => panic!("{other:?}"),
        };
        assert_eq!(given(&body), [Some(json!("172.22.255.201")), Some(json!("fd00::9"))]);
        body["status"]["loadBalancer"]["ingress"] = json!([{"ip": "fd00::9"}]);
        assert_eq!(given(&body), [Some(json!("fd00::9")), Some(json!("fd00::9"))]);
    }

    #[test]
    fn a_node_port_service_gives_the_ports_that_every_node_serves() {
        let body = json!({"metadata": {}, "spec": {
            "type": "NodePort",
            "ports": [{"name": "http", "port": 80, "nodePort": 30880}],
        }});
        let Verdict::Done(outputs) = judged(body) else { panic!("not done") };
        assert_eq!(outputs.get(PORTS), Some(&json!({"http": 30880, "80": 30880})));
        assert_eq!(outputs.get(ADDRESS), None);
    }

    #[test]
    fn one_inside_the_cluster_gives_nothing_and_says_why() {
        let body = json!({"metadata": {}, "spec": {"ports": [{"port": 80}]}});
        assert!(out_of_reach(&body).contains("type ClusterIP"));
        assert_eq!(judged(body), Verdict::Done(Outputs::new()));
    }

    #[test]
    fn a_node_is_reached_at_its_address_inside() {
        let node = |name: &str, labels: Value, addresses: Value| -> DynamicObject {
            let metadata = json!({"name": name, "labels": labels});
            let node = json!({"metadata": metadata, "status": {"addresses": addresses}});
            serde_json::from_value(node).expect("a node")
        };
        let inside = |address: &str| {
            json!([
                {"type": "Hostname", "address": "n"},
                {"type": "InternalIP", "address": address},
            ])
        };
        let worker = || node("a", json!({}), inside("172.22.0.3"));
        let plane = |addresses| node("b", json!({CONTROL_PLANE: ""}), addresses);
        let first = |nodes: &[DynamicObject]| first_address(nodes).map(|first| first.to_string());
        let both = [worker(), plane(inside("172.22.0.2"))];
        assert_eq!(first(&both).as_deref(), Some("172.22.0.2"));
        assert_eq!(first(&[plane(Value::Null)]), None, "it has just joined");
    }
}
