//! The Service, and the load balancer that gives it an address.

use std::net::IpAddr;

use kube::api::DynamicObject;
use serde_json::Value;

use super::cause;
use crate::finding::Finding;
use crate::finding::name::{
    ADDRESS_NOT_IN_POOLS, METALLB_NOT_READY, NO_ADDRESS, NO_LOAD_BALANCER, NO_SUCH_PORT,
    NODES_EXCLUDED, NOT_ADVERTISED, POOL_MISSING, SERVICE_MISSING, SERVICE_NOT_REACHABLE,
    SOURCE_RANGES, SPEAKER_MISSING, TWO_LOAD_BALANCERS, WRONG_PROTOCOL,
};
use crate::plan::Id;
use crate::resources::pods::has_condition;
use crate::topology::{AddressRange, Subnet};
use crate::trace::Hop;
use crate::trace::sight::{Cluster, Sight};
use crate::trace::way::Goal;

const SERVICE: &str = "service";
const LOAD_BALANCER: &str = "load-balancer";
/// What MetalLB's parts are labelled with, in its manifest and in its chart.
const COMPONENT: [&str; 2] = ["component", "app.kubernetes.io/component"];
const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

pub fn service(sight: &Sight) -> Hop {
    let at = sight.way.to.to_string();
    let at = at.strip_prefix("service ").unwrap_or(&at).to_owned();
    let cluster = match &sight.cluster {
        Ok(cluster) => cluster,
        Err(why) => return Hop::unexamined(SERVICE, at, why),
    };
    let remedy = &sight.remedy;
    let (Some(service), Some(id)) = (&cluster.service, cluster.service_id()) else {
        let (saw, id) = match &sight.way.to {
            Goal::Service(service, _) => (
                format!("there is no Service `{service}`"),
                Some(Id::new("object", format_args!("core/Service/{service}"))),
            ),
            to => (format!("no Service serves {to}"), None),
        };
        let by_hand = "create the Service, or lead the forward to another";
        let fix = match id {
            Some(id) if remedy.made.contains(&id) => format!("`{}` makes it", remedy.apply),
            _ => by_hand.to_owned(),
        };
        return cause(
            SERVICE,
            at,
            Finding::new(SERVICE_MISSING, saw, "nothing leads to the pods", fix),
        );
    };
    let broken = |finding| cause(SERVICE, at.clone(), finding);
    let kind = service.data.pointer("/spec/type").and_then(Value::as_str).unwrap_or("ClusterIP");
    if !["LoadBalancer", "NodePort"].contains(&kind) {
        let saw = format!("the Service is of type {kind}");
        let why = "only LoadBalancer and NodePort are reached from outside of the cluster";
        let fix = remedy.of_object(&id, "set `type: LoadBalancer`");
        return broken(Finding::new(SERVICE_NOT_REACHABLE, saw, why, fix));
    }
    let Some(port) = cluster.port(&sight.way) else {
        let ports: Vec<String> =
            cluster.ports().iter().map(|port| format!("{}/{}", port.number, port.proto)).collect();
        let saw = format!("the Service has no such port; it has {}", ports.join(", "));
        let fix = remedy.of_object(&id, "lead the forward to one that it has");
        return broken(Finding::new(
            NO_SUCH_PORT,
            saw,
            "nothing listens on a port that the Service does not have",
            fix,
        ));
    };
    if !port.carries(sight.way.proto) {
        let saw = format!(
            "port {} of the Service is {}, and the forward is {}",
            port.number, port.proto, sight.way.proto
        );
        let why = "packets of one protocol never reach a port of the other";
        let fix = format!("write `listen: PORT/{}`, or change the port's protocol", port.proto);
        return broken(Finding::new(WRONG_PROTOCOL, saw, why, fix));
    }
    if let Some(finding) = source_ranges(sight, cluster, &id) {
        return broken(finding);
    }
    let policy =
        cluster.spec("/externalTrafficPolicy").and_then(Value::as_str).unwrap_or("Cluster");
    let local = if policy == "Local" { ", externalTrafficPolicy Local" } else { "" };
    let saw = format!("{kind}, port {} to {}{local}", port.number, port.target);
    Hop::fine(SERVICE, at, saw)
}

/// What comes through the gateway comes from its address.
fn source_ranges(sight: &Sight, cluster: &Cluster, id: &Id) -> Option<Finding> {
    let ranges = cluster.spec("/loadBalancerSourceRanges")?.as_array()?;
    let written: Vec<&str> = ranges.iter().filter_map(Value::as_str).collect();
    let gateway = sight.gateway.as_ref()?;
    let admits = |address: &IpAddr| {
        written.iter().any(|range| range.parse::<Subnet>().is_ok_and(|net| net.contains(*address)))
    };
    if written.is_empty() || gateway.addresses.iter().any(admits) || !sight.fails() {
        return None;
    }
    let addresses: Vec<String> = gateway.addresses.iter().map(ToString::to_string).collect();
    Some(Finding::new(
        SOURCE_RANGES,
        format!(
            "the Service admits {} alone, and the gateway is {}",
            written.join(", "),
            addresses.join(", ")
        ),
        "kube-proxy drops what comes from elsewhere, and all that the gateway forwards comes from its address",
        sight.remedy.of_object(id, "add the gateway's address to `loadBalancerSourceRanges`"),
    ))
}

pub fn load_balancer(sight: &Sight) -> Option<Hop> {
    let cluster = sight.cluster.as_ref().ok()?;
    let service = cluster.service.as_ref()?;
    if service.data.pointer("/spec/type")? != "LoadBalancer"
        || !matches!(sight.way.to, Goal::Service(..))
    {
        return None;
    }
    let given = cluster.addresses();
    let at: Vec<String> = given.iter().map(ToString::to_string).collect();
    let at = if at.is_empty() { "no address".to_owned() } else { at.join(", ") };
    let families = |v4: bool| given.iter().filter(|address| address.is_ipv4() == v4).count();
    if let Some(other) = &sight.other_balancer
        && (families(true) > 1 || families(false) > 1 || sight.fails())
    {
        let saw = format!("`{other}` of cloud-provider-kind serves this cluster's Services too");
        let why = "two load balancers write the Service's address over one another";
        let fix = format!("end cloud-provider-kind, then `docker rm -f {other}`");
        return Some(cause(LOAD_BALANCER, at, Finding::new(TWO_LOAD_BALANCERS, saw, why, fix)));
    }
    let finding = if given.is_empty() {
        no_address(sight, cluster)
    } else {
        unannounced(sight, cluster, &given)
    };
    match finding {
        Some(finding) => Some(cause(LOAD_BALANCER, at, finding)),
        None if cluster.metallb.is_empty() => Some(Hop::unexamined(
            LOAD_BALANCER,
            at,
            "another program than MetalLB gave the address",
        )),
        None => {
            let pools: Vec<&str> =
                given.iter().filter_map(|address| pool_of(cluster, *address)).collect();
            Some(Hop::fine(
                LOAD_BALANCER,
                at,
                format!("MetalLB announces it, of pool {}", pools.join(", ")),
            ))
        }
    }
}

/// Why the Service stays `<pending>`.
fn no_address(sight: &Sight, cluster: &Cluster) -> Option<Finding> {
    let (apply, kubectl) = (&sight.remedy.apply, &sight.remedy.kubectl);
    let pending = "the Service has no address";
    if cluster.metallb.is_empty() {
        let saw = format!("{pending}, and no MetalLB runs in the cluster");
        let fix = format!("write a `metallb` block with a pool, then `{apply}`");
        return Some(Finding::new(
            NO_LOAD_BALANCER,
            saw,
            "nothing assigns addresses to Services of type LoadBalancer",
            fix,
        ));
    }
    if cluster.pools.is_empty() {
        let saw = format!("{pending}, and MetalLB has no pool");
        return Some(Finding::new(
            POOL_MISSING,
            saw,
            "MetalLB gives addresses out of its pools",
            format!("`{apply}` makes the pools of the file"),
        ));
    }
    if let Some(part) = unready(cluster, "controller") {
        return Some(Finding::new(
            METALLB_NOT_READY,
            format!("{pending}, and {part}"),
            "MetalLB's controller gives the addresses",
            format!("`{kubectl} -n metallb-system get pods` shows why"),
        ));
    }
    let allocation =
        cluster.warnings.iter().rev().find(|warning| warning.starts_with("AllocationFailed"));
    if let Some(warning) = allocation {
        let id = cluster.service_id()?;
        let fix = "ask for an address of a pool, or widen the pool in the file";
        return Some(Finding::new(
            ADDRESS_NOT_IN_POOLS,
            format!("{pending}: {warning}"),
            "MetalLB gives only what its pools have, to whom they are for",
            sight.remedy.of_object(&id, fix),
        ));
    }
    Some(Finding::new(
        NO_ADDRESS,
        pending,
        "MetalLB has not given one, and says nothing of it",
        format!("`{kubectl} -n metallb-system logs deployment/controller` says why"),
    ))
}

/// Why nobody on the network may hear of the address.
fn unannounced(sight: &Sight, cluster: &Cluster, given: &[IpAddr]) -> Option<Finding> {
    if cluster.metallb.is_empty() {
        return None;
    }
    let (apply, kubectl) = (&sight.remedy.apply, &sight.remedy.kubectl);
    let strange = given.iter().find(|address| pool_of(cluster, **address).is_none());
    if let Some(address) = strange {
        let saw = format!("the Service has {address}, which is in no pool of MetalLB");
        let name = if cluster.pools.is_empty() { POOL_MISSING } else { ADDRESS_NOT_IN_POOLS };
        return Some(Finding::new(
            name,
            saw,
            "MetalLB announces only addresses of its pools",
            format!("`{apply}` sets the pools back to what the file says"),
        ));
    }
    let speakers: Vec<&DynamicObject> = parts(cluster, "speaker").collect();
    if !speakers.iter().any(|pod| has_condition(&pod.data, "Ready")) {
        let saw = if speakers.is_empty() {
            "no speaker of MetalLB is there".to_owned()
        } else {
            unready(cluster, "speaker")?
        };
        return Some(Finding::new(
            SPEAKER_MISSING,
            saw,
            "nothing announces the Service's address on the network",
            format!(
                "`{apply}` brings MetalLB back; `{kubectl} -n metallb-system get pods` shows what is there"
            ),
        ));
    }
    let pools: Vec<&str> = given.iter().filter_map(|address| pool_of(cluster, *address)).collect();
    let advertises = |advertisement: &DynamicObject| {
        let named = advertisement.data.pointer("/spec/ipAddressPools").and_then(Value::as_array);
        let by_labels = advertisement.data.pointer("/spec/ipAddressPoolSelectors").is_some();
        by_labels
            || named.is_none_or(|named| {
                named.is_empty() || named.iter().any(|name| pools.iter().any(|pool| name == pool))
            })
    };
    if !cluster.advertisements.iter().any(advertises) && sight.fails() {
        let saw = format!("no L2Advertisement announces the pool {}", pools.join(", "));
        return Some(Finding::new(
            NOT_ADVERTISED,
            saw,
            "the address is assigned, but not announced on the network",
            format!("`{apply}` makes the advertisement of each pool of the file"),
        ));
    }
    let is_excluded = |node: &DynamicObject| {
        node.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(EXCLUDED))
    };
    if !cluster.nodes.is_empty() && cluster.nodes.iter().all(is_excluded) {
        let saw = format!("every node has the label {EXCLUDED}");
        let fix = format!("`{kubectl} label node --all {EXCLUDED}-`");
        return Some(Finding::new(
            NODES_EXCLUDED,
            saw,
            "MetalLB's speakers pass over such nodes",
            fix,
        ));
    }
    None
}

/// Whether MetalLB tells the network of the address.
pub fn announced(cluster: &Cluster, address: IpAddr) -> bool {
    let speaks = parts(cluster, "speaker").any(|pod| has_condition(&pod.data, "Ready"));
    speaks && cluster.addresses().contains(&address)
}

fn parts<'a>(cluster: &'a Cluster, part: &'a str) -> impl Iterator<Item = &'a DynamicObject> {
    cluster.metallb.iter().filter(move |pod| {
        let labels = pod.metadata.labels.as_ref();
        COMPONENT
            .iter()
            .any(|key| labels.and_then(|labels| labels.get(*key)).is_some_and(|it| it == part))
    })
}

/// A part of MetalLB that is not up, in words.
fn unready(cluster: &Cluster, part: &str) -> Option<String> {
    let pods: Vec<&DynamicObject> = parts(cluster, part).collect();
    if pods.iter().any(|pod| has_condition(&pod.data, "Ready")) {
        return None;
    }
    let complaint = pods.iter().find_map(|pod| crate::resources::pods::complaint(&pod.data));
    Some(match complaint {
        Some(complaint) => format!("MetalLB's {part} is not ready: {complaint}"),
        None if pods.is_empty() => format!("MetalLB's {part} does not run"),
        None => format!("MetalLB's {part} is not ready"),
    })
}

fn pool_of(cluster: &Cluster, address: IpAddr) -> Option<&str> {
    let has = |pool: &&DynamicObject| {
        let written = pool.data.pointer("/spec/addresses").and_then(Value::as_array);
        written.into_iter().flatten().filter_map(Value::as_str).any(|text| {
            text.parse::<AddressRange>().is_ok_and(|range| range.contains(address))
                || text.parse::<Subnet>().is_ok_and(|net| net.contains(address))
        })
    };
    cluster.pools.iter().find(has)?.metadata.name.as_deref()
}
