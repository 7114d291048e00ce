//! The pods behind the Service: whether there are any, whom they let in, what they listen on.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use kube::api::DynamicObject;
use serde_json::Value;

use super::cause;
use crate::finding::Finding;
use crate::finding::name::{
    NETWORK_POLICY, NO_READY_PODS, NO_SUCH_TARGET_PORT, POD_NOT_LISTENING, POD_ON_IPV6_ONLY,
    POD_ON_LOOPBACK, SELECTOR_MATCHES_NOTHING, SELECTOR_TOO_WIDE,
};
use crate::resources::object_id;
use crate::topology::{Proto, Subnet};
use crate::trace::sight::{Cluster, Dial, Endpoint, Pod, Sight, Workload};
use crate::trace::{Hop, Rank};

const ENDPOINTS: &str = "endpoints";
const POLICY: &str = "policy";
const POD: &str = "pod";
/// How many labels of other pods are shown.
const SHOWN: usize = 3;

pub fn endpoints(sight: &Sight) -> Option<Hop> {
    let cluster = sight.cluster.as_ref().ok()?;
    let service = cluster.service.as_ref()?;
    let at = service.metadata.name.clone().unwrap_or_default();
    let (ready, all) = (cluster.ready().count(), cluster.endpoints.len());
    if ready == 0 {
        return Some(cause(ENDPOINTS, at, none_ready(sight, cluster)?));
    }
    if let Some(port) = cluster.port(&sight.way)
        && cluster.ready().all(|endpoint| endpoint.port.is_none())
    {
        let saw =
            format!("the Service leads to the port `{}`, which no pod of it has", port.target);
        let why = "`targetPort` is a number, or the name of a port that the pod's container lists";
        let fix = sight
            .remedy
            .of_object(&cluster.service_id()?, "write the port's number as `targetPort`");
        return Some(cause(ENDPOINTS, at, Finding::new(NO_SUCH_TARGET_PORT, saw, why, fix)));
    }
    let saw =
        if ready == all { format!("{ready} ready") } else { format!("{ready} of {all} ready") };
    Some(Hop::fine(ENDPOINTS, at, saw))
}

/// Why no pod is ready, in the pods' own words.
fn none_ready(sight: &Sight, cluster: &Cluster) -> Option<Finding> {
    let (kubectl, service) = (&sight.remedy.kubectl, cluster.service.as_ref()?);
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let why = "a Service without a ready pod does not answer, which from outside looks like a fault of the network";
    if !cluster.pods.is_empty() {
        let saw = match &cluster.complaints[..] {
            [] => "no pod is ready".to_owned(),
            said => format!("no pod of {} is ready; {}", cluster.pods.len(), said[0]),
        };
        let pod = cluster.pods[0].metadata.name.as_deref().unwrap_or_default();
        let fix = format!("`{kubectl} -n {namespace} describe pod {pod}` shows all that it says");
        return Some(Finding::new(NO_READY_PODS, saw, why, fix));
    }
    let Some(selector) = cluster.spec("/selector").and_then(Value::as_object) else {
        let saw = "the Service has no selector and no endpoints";
        return Some(Finding::new(
            NO_READY_PODS,
            saw,
            why,
            "give it a selector, or endpoints of your own",
        ));
    };
    let chosen = |labels: Option<&Value>| {
        selector.iter().all(|(key, value)| labels.is_some_and(|labels| labels[key] == *value))
    };
    let made_by = |workload: &&Workload| {
        chosen(workload.object.data.pointer("/spec/template/metadata/labels"))
    };
    if let Some(workload) = cluster.workloads.iter().find(made_by) {
        return Some(makes_none(sight, namespace, workload, why));
    }
    let wanted: Vec<String> = selector.iter().map(|(key, value)| pair(key, value)).collect();
    let others: BTreeSet<String> =
        cluster.others.iter().filter_map(|pod| labels_in_words(pod, selector.keys())).collect();
    let others: Vec<String> = others.into_iter().take(SHOWN).collect();
    let there = match &others[..] {
        [] => format!("the namespace `{namespace}` has no pod with such a label"),
        others => format!("pods of `{namespace}` have {}", others.join("; ")),
    };
    let saw =
        format!("no pod has the labels {} that the Service selects; {there}", wanted.join(","));
    let fix = sight
        .remedy
        .of_object(&cluster.service_id()?, "write the pods' own labels as the Service's selector");
    Some(Finding::new(
        SELECTOR_MATCHES_NOTHING,
        saw,
        "a Service leads to the pods that its selector names",
        fix,
    ))
}

fn makes_none(sight: &Sight, namespace: &str, workload: &Workload, why: &str) -> Finding {
    let name = workload.object.metadata.name.as_deref().unwrap_or_default();
    let kind = &workload.kind.name;
    let kubectl = &sight.remedy.kubectl;
    let lower = kind.to_lowercase();
    if workload.object.data.pointer("/spec/replicas").is_some_and(|replicas| replicas == 0) {
        let by_hand = format!("`{kubectl} -n {namespace} scale {lower}/{name} --replicas=1`");
        let id = object_id(&workload.kind, Some(namespace), name);
        let saw = format!("the {kind} `{name}` is scaled to 0");
        return Finding::new(NO_READY_PODS, saw, why, sight.remedy.of_object(&id, by_hand));
    }
    let conditions = workload.object.data.pointer("/status/conditions").and_then(Value::as_array);
    let failed = conditions
        .into_iter()
        .flatten()
        .find(|it| it["type"] == "ReplicaFailure" || it["status"] == "False");
    let message = failed
        .and_then(|it| it["message"].as_str())
        .map(|it| format!(": {it}"))
        .unwrap_or_default();
    let saw = format!("the {kind} `{name}` has made no pod{message}");
    Finding::new(
        NO_READY_PODS,
        saw,
        why,
        format!("`{kubectl} -n {namespace} describe {lower} {name}` shows why"),
    )
}

fn pair(key: &str, value: &Value) -> String {
    format!("{key}={}", value.as_str().unwrap_or_default())
}

/// Of a pod's labels those that a selector asks for.
fn labels_in_words<'a>(
    pod: &DynamicObject,
    keys: impl Iterator<Item = &'a String>,
) -> Option<String> {
    let labels = pod.metadata.labels.as_ref()?;
    let pairs: Vec<String> =
        keys.filter_map(|key| labels.get(key).map(|value| format!("{key}={value}"))).collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

/// A `NetworkPolicy` that selects the pods and does not let in what comes from outside. Whether the
/// cluster's network heeds it shows in that the connection fails.
pub fn policy(sight: &Sight) -> Option<Hop> {
    let cluster = sight.cluster.as_ref().ok()?;
    if cluster.policies.is_empty() || cluster.pods.is_empty() {
        return None;
    }
    let of_pods: Vec<&DynamicObject> =
        cluster.policies.iter().filter(|policy| selects(policy, cluster)).collect();
    let names: Vec<&str> =
        of_pods.iter().filter_map(|policy| policy.metadata.name.as_deref()).collect();
    let at = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let admitted =
        of_pods.is_empty() || of_pods.iter().any(|policy| admits(policy, sight, cluster));
    if admitted {
        return Some(Hop::fine(POLICY, at, "lets the connection in"));
    }
    if !sight.fails() || pod_fault(sight, cluster).is_some() {
        return Some(Hop::fine(
            POLICY,
            at,
            "has no rule for the connection, and is not what stops it",
        ));
    }
    let saw = format!(
        "the NetworkPolicy `{at}` selects the pods and lets in nothing that comes from outside on this port"
    );
    let why = "the cluster's network drops what no policy lets in";
    let fix = "add an ingress rule for this port without `from`, or with an `ipBlock` of the nodes' network".to_owned();
    Some(cause(POLICY, at, Finding::new(NETWORK_POLICY, saw, why, fix)))
}

fn selects(policy: &DynamicObject, cluster: &Cluster) -> bool {
    let of_ingress = policy.data.pointer("/spec/policyTypes").and_then(Value::as_array);
    let of_ingress = of_ingress.is_none_or(|types| types.iter().any(|it| it == "Ingress"));
    let selector = &policy.data["spec"]["podSelector"];
    of_ingress && cluster.pods.iter().any(|pod| matches(selector, pod))
}

fn matches(selector: &Value, pod: &DynamicObject) -> bool {
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    let mut by_label = selector["matchLabels"].as_object().into_iter().flatten();
    let mut expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    by_label.all(|(key, value)| labels.get(key).is_some_and(|it| *value == **it))
        && expressions.all(|expression| {
            let own = labels.get(expression["key"].as_str().unwrap_or_default());
            let among = || {
                expression["values"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|value| own.is_some_and(|own| *value == **own))
            };
            match expression["operator"].as_str() {
                Some("In") => among(),
                Some("NotIn") => !among(),
                Some("Exists") => own.is_some(),
                Some("DoesNotExist") => own.is_none(),
                _ => false,
            }
        })
}

fn admits(policy: &DynamicObject, sight: &Sight, cluster: &Cluster) -> bool {
    let rules =
        policy.data.pointer("/spec/ingress").and_then(Value::as_array).into_iter().flatten();
    let target = cluster.ready().find_map(|endpoint| endpoint.port);
    let named = cluster.port(&sight.way).map(|port| port.target).unwrap_or_default();
    rules.into_iter().any(|rule| {
        let of_port = |port: &Value| match &port["port"] {
            Value::Null => true,
            Value::String(name) => *name == named,
            number => {
                let last = port["endPort"].as_u64().or(number.as_u64());
                target.is_some_and(|target| {
                    number.as_u64() <= Some(target.into()) && last >= Some(target.into())
                })
            }
        };
        let ports = rule["ports"].as_array().filter(|ports| !ports.is_empty());
        let from = rule["from"].as_array().filter(|from| !from.is_empty());
        // A node's address, or with `externalTrafficPolicy: Local` the gateway's.
        let sources = || {
            let gateway =
                sight.gateway.iter().flat_map(|gateway| gateway.addresses.iter().copied());
            gateway.chain(cluster.nodes.iter().filter_map(|node| {
                let addresses = node.data.pointer("/status/addresses")?.as_array()?;
                addresses.iter().find_map(|one| one["address"].as_str()?.parse().ok())
            }))
        };
        let from_outside = |peer: &Value| {
            let block =
                peer["ipBlock"]["cidr"].as_str().and_then(|text| text.parse::<Subnet>().ok());
            block.is_some_and(|block| sources().any(|source| block.contains(source)))
        };
        ports.is_none_or(|ports| ports.iter().any(of_port))
            && from.is_none_or(|from| from.iter().any(from_outside))
    })
}

pub fn pod(sight: &Sight) -> Option<Hop> {
    let cluster = sight.cluster.as_ref().ok()?;
    let first = cluster.ready().next()?;
    let at = place(first);
    if let Some((endpoint, finding)) = pod_fault(sight, cluster) {
        return Some(cause(POD, place(endpoint), finding));
    }
    let looked = || cluster.ready().filter_map(|endpoint| Some((endpoint, seen(sight, endpoint)?)));
    let unreached =
        looked().find(|(_, pod)| matches!(pod.dial, Dial::Refused | Dial::NoRoute | Dial::Silent));
    if let Some((endpoint, pod)) = unreached
        && sight.fails()
    {
        let saw =
            format!("a connection from its node to {} {}", place(endpoint), pod.dial.in_words());
        let why = "the pod listens, so something between its node and the pod stops it";
        let fix =
            format!("`docker exec {} iptables-save -c` shows the rules on its node", endpoint.node);
        let finding = Finding::new(crate::finding::name::UNEXPLAINED, saw, why, fix);
        return Some(Hop::broken(POD, place(endpoint), Rank::Symptom, finding));
    }
    match looked().next() {
        Some((endpoint, Pod { sockets: Ok(_), .. })) => {
            Some(Hop::fine(POD, place(endpoint), "listens on the port"))
        }
        Some((endpoint, Pod { sockets: Err(why), .. })) => {
            Some(Hop::unexamined(POD, place(endpoint), why))
        }
        None => {
            let node = sight.nodes.iter().find(|node| node.container.name == first.node);
            let why = node.and_then(|node| node.inside.as_ref().err()).map_or_else(
                || format!("its node, `{}`, is not inspected", first.node),
                |why| format!("`{}`: {why}", first.node),
            );
            Some(Hop::unexamined(POD, at, why))
        }
    }
}

fn place(endpoint: &Endpoint) -> String {
    let port = endpoint.port.map(|port| format!(":{port}")).unwrap_or_default();
    let name =
        if endpoint.pod.is_empty() { endpoint.address.to_string() } else { endpoint.pod.clone() };
    format!("{name}{port}")
}

fn seen<'a>(sight: &'a Sight, endpoint: &Endpoint) -> Option<&'a Pod> {
    let inside = sight.nodes.iter().filter_map(|node| node.inside.as_ref().ok());
    inside.flat_map(|inside| &inside.pods).find(|pod| pod.uid == endpoint.uid)
}

/// The first pod that does not listen where the Service leads.
fn pod_fault<'a>(sight: &Sight, cluster: &'a Cluster) -> Option<(&'a Endpoint, Finding)> {
    cluster.ready().find_map(|endpoint| Some((endpoint, deaf(sight, cluster, endpoint)?)))
}

fn deaf(sight: &Sight, cluster: &Cluster, endpoint: &Endpoint) -> Option<Finding> {
    let pod = seen(sight, endpoint)?;
    let (Ok(sockets), Some(port)) = (&pod.sockets, endpoint.port) else { return None };
    let place = SocketAddr::new(endpoint.address, port);
    let (who, kubectl) = (&endpoint.pod, &sight.remedy.kubectl);
    let on_port: Vec<_> = sockets.iter().filter(|socket| socket.at.port() == port).collect();
    let takes = on_port.iter().any(|socket| socket.takes(place));
    if takes {
        let only_v6 = on_port.iter().all(|socket| socket.at.is_ipv6()) && place.is_ipv4();
        return (only_v6 && pod.dial == Dial::Refused).then(|| {
            let saw = format!(
                "the pod `{who}` listens on [::]:{port} for IPv6 alone, and the Service is IPv4"
            );
            Finding::new(
                POD_ON_IPV6_ONLY,
                saw,
                "connections over IPv4 are refused",
                "have the program listen on 0.0.0.0 too",
            )
        });
    }
    if pod.dial == Dial::Connected && sight.way.proto == Proto::Tcp {
        return None;
    }
    if let Some(socket) = on_port.iter().find(|socket| socket.at.ip().is_loopback()) {
        let saw = format!("the pod `{who}` listens on {} alone", socket.at);
        let why = "a program that listens on the loopback hears only what is in its own pod";
        return Some(Finding::new(
            POD_ON_LOOPBACK,
            saw,
            why,
            "have the program listen on 0.0.0.0, or on [::]",
        ));
    }
    let listened: BTreeSet<u16> = sockets
        .iter()
        .filter(|socket| !socket.at.ip().is_loopback())
        .map(|socket| socket.at.port())
        .collect();
    let listened: Vec<String> = listened.iter().map(ToString::to_string).collect();
    let instead = if listened.is_empty() {
        "it listens on no port".to_owned()
    } else {
        format!("it listens on {}", listened.join(", "))
    };
    let saw =
        format!("the pod `{who}` does not listen on {port}, where the Service leads; {instead}");
    if let Some(finding) = foreign(sight, cluster, endpoint, &saw) {
        return Some(finding);
    }
    let by_hand = format!(
        "write the port that it listens on as the Service's `targetPort`; `{kubectl} logs {who}` shows what the program says"
    );
    let fix = sight.remedy.of_object(&cluster.service_id()?, by_hand);
    Some(Finding::new(POD_NOT_LISTENING, saw, "connections to the pod are refused", fix))
}

/// A pod of another owner than those that do listen was not meant.
fn foreign(sight: &Sight, cluster: &Cluster, deaf: &Endpoint, saw: &str) -> Option<Finding> {
    let owner = |endpoint: &Endpoint| {
        let pod =
            cluster.pods.iter().find(|pod| pod.metadata.name.as_ref() == Some(&endpoint.pod))?;
        let owners = pod.metadata.owner_references.as_ref();
        // A pod that nobody made but a person is its own.
        let Some(owner) = owners.and_then(|owners| owners.first()) else {
            return Some(endpoint.pod.clone());
        };
        let owner = owner.name.clone();
        let hash = pod.metadata.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
        Some(match hash {
            Some(hash) => owner.trim_end_matches(hash.as_str()).trim_end_matches('-').to_owned(),
            None => owner,
        })
    };
    let strange = owner(deaf)?;
    let others: BTreeSet<String> =
        cluster.ready().filter_map(owner).filter(|other| *other != strange).collect();
    let other = others.first()?;
    let fix = sight
        .remedy
        .of_object(&cluster.service_id()?, "select by a label that only the meant pods have");
    Some(Finding::new(
        SELECTOR_TOO_WIDE,
        format!("the Service selects pods of `{strange}` beside those of `{other}`, and {saw}"),
        "every so many connections reach a pod that was not meant",
        fix,
    ))
}
