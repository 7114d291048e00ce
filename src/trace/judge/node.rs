//! The nodes: whether they run, what kube-proxy has written there, what their firewalls drop.

use super::cause;
use crate::backend::docker::ContainerState;
use crate::finding::Finding;
use crate::finding::name::{
    API_SILENT, DROPPED_ON_NODE, KUBE_PROXY_BEHIND, KUBE_PROXY_MISSING, NO_LOCAL_PODS, NODE_STOPPED,
};
use crate::resources::pods::has_condition;
use crate::trace::sight::{Cluster, Node, NodeInside, Sight};
use crate::trace::{Hop, Rank};

const NODE: &str = "node";
const KUBE_PROXY: &str = "kube-proxy";
const FIREWALL: &str = "firewall";

pub fn node(sight: &Sight) -> Hop {
    let stopped = |node: &&Node| node.container.state != ContainerState::Running;
    let apply = &sight.remedy.apply;
    let names: Vec<&str> = sight.nodes.iter().map(|node| &*node.container.name).collect();
    let at = names.join(", ");
    if let Err(why) = &sight.cluster {
        if let Some(node) = sight.nodes.iter().find(stopped) {
            return cause(NODE, &node.container.name, is_stopped(node, apply));
        }
        let why_it_matters = "without it nothing in the cluster can be looked at";
        let fix = format!(
            "`{} get nodes` asks it; a cluster that was just started needs some seconds",
            sight.remedy.kubectl
        );
        let saw = format!("the API server does not answer: {why}");
        return Hop::broken(
            NODE,
            at,
            Rank::Likely,
            Finding::new(API_SILENT, saw, why_it_matters, fix),
        );
    }
    if sight.nodes.is_empty() {
        let why = "the cluster was not made by this topology, so its nodes are not inspected";
        return Hop::unexamined(NODE, at, why);
    }
    match sight.nodes.iter().find(stopped) {
        Some(node) if sight.fails() => cause(NODE, &node.container.name, is_stopped(node, apply)),
        Some(node) => {
            Hop::fine(NODE, at, format!("`{}` is stopped, and not on the way", node.container.name))
        }
        None => Hop::fine(NODE, at, if names.len() == 1 { "runs" } else { "run" }),
    }
}

fn is_stopped(node: &Node, apply: &str) -> Finding {
    let name = &node.container.name;
    Finding::new(
        NODE_STOPPED,
        format!("the node `{name}` does not run: {}", node.container.status),
        "its pods, and the addresses that it announces, are gone while it is stopped",
        format!("`{apply}` starts it"),
    )
}

pub fn kube_proxy(sight: &Sight) -> Option<Hop> {
    let cluster = sight.cluster.as_ref().ok()?;
    let port = cluster.port(&sight.way)?;
    let entry = entry_node(sight, cluster)?;
    let name = &entry.container.name;
    let inside = match &entry.inside {
        Ok(inside) => inside,
        Err(why) => return Some(Hop::unexamined(KUBE_PROXY, name, why)),
    };
    if let Some(finding) = no_local_pods(sight, cluster, name) {
        return Some(cause(KUBE_PROXY, name, finding));
    }
    let runs = cluster.proxies.iter().any(|pod| {
        pod.data.pointer("/spec/nodeName").is_some_and(|node| node == name.as_str())
            && has_condition(&pod.data, "Ready")
    });
    let kubectl = &sight.remedy.kubectl;
    let is_its_own = sight.aim.is_some_and(|aim| {
        cluster.addresses().contains(&aim.ip()) || port.node_port == Some(aim.port())
    });
    let has_targets = cluster.ready().any(|endpoint| endpoint.port.is_some());
    match has_rules(sight, cluster, inside) {
        None => Some(Hop::unexamined(
            KUBE_PROXY,
            name,
            "it keeps its rules in neither iptables nor nftables",
        )),
        // Its rules stay when it goes, and serve pods that stay.
        Some(true) if runs || !sight.fails() => {
            let rest =
                if runs { "" } else { "; it does not run now, so that they will not follow" };
            Some(Hop::fine(KUBE_PROXY, name, format!("its rules lead to the Service{rest}")))
        }
        Some(has) if !runs => {
            let rules = if has {
                "its rules are from before"
            } else {
                "there are no rules for the Service"
            };
            let saw = format!("no kube-proxy runs on `{name}`, and {rules}");
            let why = "it writes the rules that lead from the Service to its pods";
            let fix = format!(
                "`{kubectl} -n kube-system get daemonset kube-proxy` shows whether it is there and why it does not run"
            );
            Some(cause(KUBE_PROXY, name, Finding::new(KUBE_PROXY_MISSING, saw, why, fix)))
        }
        Some(true) => Some(Hop::fine(KUBE_PROXY, name, "its rules lead to the Service")),
        Some(false) if !has_targets || !is_its_own => Some(Hop::follows(
            KUBE_PROXY,
            name,
            "no rules lead to pods, since there are none or the Service is elsewhere",
        )),
        Some(false) => {
            let saw = format!("kube-proxy runs on `{name}` and has no rules for the Service");
            let why = "the node does not know where the Service's pods are";
            let fix = format!("`{kubectl} -n kube-system logs -l k8s-app=kube-proxy` says why");
            // It follows a change within a second or two.
            let finding = Finding::new(KUBE_PROXY_BEHIND, saw, why, fix);
            Some(Hop::broken(KUBE_PROXY, name, Rank::Likely, finding))
        }
    }
}

/// The node that connections enter: the one that has the aim's address, or answers for it.
fn entry_node<'a>(sight: &'a Sight, cluster: &Cluster) -> Option<&'a Node> {
    let by_name = |name: &str| sight.nodes.iter().find(|node| node.container.name == name);
    let aim = sight.aim?.ip();
    let has_it = cluster.nodes.iter().find(|node| {
        let addresses = node.data.pointer("/status/addresses").and_then(|all| all.as_array());
        addresses.into_iter().flatten().any(|one| one["address"] == aim.to_string())
    });
    if let Some(name) = has_it.and_then(|node| node.metadata.name.as_deref()) {
        return by_name(name);
    }
    let inside = sight.gateway.as_ref().and_then(|gateway| gateway.inside.as_ref().ok());
    let neighbor = inside.and_then(|inside| inside.neighbor.as_ref().ok()?.as_deref());
    let heard =
        sight.nodes.iter().filter_map(|node| node.inside.as_ref().ok()?.answers.as_ref().ok());
    let mut answers = neighbor.into_iter().chain(heard.flatten().map(String::as_str));
    answers.find_map(|answer| sight.node_of(answer)).and_then(by_name).or(match &sight.nodes[..] {
        [only] => Some(only),
        _ => sight.nodes.iter().find(|node| node.inside.is_ok()),
    })
}

/// None where kube-proxy's way of keeping rules is not known.
fn has_rules(sight: &Sight, cluster: &Cluster, inside: &NodeInside) -> Option<bool> {
    let rules = &inside.rules;
    if !rules.contains("KUBE-SERVICES") && !rules.contains("table ip") {
        // Its chains go with it only when somebody takes them away.
        return if cluster.proxies.is_empty() { Some(false) } else { None };
    }
    let aim = sight.aim?;
    let port = cluster.port(&sight.way)?;
    let iptables = |line: &str| {
        let to_address = line.contains(&format!("-d {}/", aim.ip()))
            && line.contains(&format!("--dport {} ", aim.port()));
        let to_node = line.contains("-A KUBE-NODEPORTS")
            && port.node_port.is_some_and(|port| line.contains(&format!("--dport {port} ")));
        (to_address || to_node && port.node_port == Some(aim.port()))
            && ["-j KUBE-EXT-", "-j KUBE-SVC-", "-j KUBE-FW-", "-j KUBE-XLB-"]
                .iter()
                .any(|jump| line.contains(jump))
    };
    let nftables = |line: &str| {
        let elements = [
            format!("{} . {} . {}", aim.ip(), port.proto, aim.port()),
            format!("{} . {} :", port.proto, aim.port()),
        ];
        elements.iter().any(|element| line.contains(element)) && !line.contains("no-endpoint")
    };
    Some(rules.lines().any(|line| iptables(line) || nftables(line)))
}

/// With `externalTrafficPolicy: Local` a node passes only to pods of its own.
fn no_local_pods(sight: &Sight, cluster: &Cluster, node: &str) -> Option<Finding> {
    let is_local = cluster.spec("/externalTrafficPolicy").is_some_and(|policy| policy == "Local");
    let mut ready = cluster.ready().peekable();
    ready.peek()?;
    let has_one = ready.any(|endpoint| endpoint.node == node);
    if !is_local || has_one || !sight.fails() {
        return None;
    }
    let id = cluster.service_id()?;
    let by_hand = "set `externalTrafficPolicy: Cluster`, or lead to a node that has a pod";
    Some(Finding::new(
        NO_LOCAL_PODS,
        format!("connections enter at `{node}`, which has no ready pod of the Service"),
        "with `externalTrafficPolicy: Local` a node drops what it has no pod of its own for",
        sight.remedy.of_object(&id, by_hand),
    ))
}

pub fn firewall(sight: &Sight) -> Option<Hop> {
    let looked: Vec<(&str, &NodeInside)> = sight
        .nodes
        .iter()
        .filter_map(|node| Some((&*node.container.name, node.inside.as_ref().ok()?)))
        .collect();
    let names: Vec<&str> = looked.iter().map(|(name, _)| *name).collect();
    if names.is_empty() {
        return None;
    }
    for (name, inside) in &looked {
        let Some(rule) = inside.after.as_ref().and_then(|after| after.grown(&inside.before)) else {
            continue;
        };
        let saw = format!("a rule on `{name}` drops packets: {rule}");
        let why = "what kube-proxy has translated dies there";
        let fix = format!(
            "take it away, or let what kube-proxy has marked through: `docker exec {name} iptables -I FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT`"
        );
        return Some(Hop::broken(
            FIREWALL,
            *name,
            Rank::Likely,
            Finding::new(DROPPED_ON_NODE, saw, why, fix),
        ));
    }
    Some(Hop::fine(FIREWALL, names.join(", "), "no rule dropped what was tried"))
}
