//! Who answers for the address on the network.

use std::collections::BTreeSet;

use super::cause;
use super::service::announced;
use crate::finding::Finding;
use crate::finding::name::{ADDRESS_ANSWERED_TWICE, ADDRESS_TAKEN, NOBODY_HAS_ADDRESS};
use crate::trace::sight::Sight;
use crate::trace::{Hop, Rank};

const ADDRESS: &str = "address";

pub fn address(sight: &Sight) -> Hop {
    let Some(aim) = sight.aim else {
        // Where the gateway itself is at fault, that has been said.
        let why = "where the connection leads is not known";
        return Hop::unexamined(ADDRESS, sight.way.to.to_string(), why);
    };
    let at = aim.ip().to_string();
    let (mut answers, unasked) = answers(sight);
    if !answers.is_empty()
        && let Some(own) = unheard(sight)
    {
        answers.insert(own);
    }
    let holders: Vec<String> = answers.iter().map(|answer| in_words(sight, answer)).collect();
    if answers.len() > 1 {
        let saw = format!("{} answer for {at}", holders.join(" and "));
        let why = "connections reach one or the other, as it comes";
        let strange = answers.iter().find(|answer| sight.node_of(answer).is_none());
        let who = strange.and_then(|answer| sight.holder(answer));
        return cause(ADDRESS, at, Finding::new(ADDRESS_ANSWERED_TWICE, saw, why, free(who)));
    }
    let is_for_nodes =
        sight.has_own_nodes && sight.cluster.as_ref().is_ok_and(|it| it.service.is_some());
    if let Some(answer) = answers.first() {
        if is_for_nodes && sight.node_of(answer).is_none() {
            let saw = format!("{} answers for {at}", in_words(sight, answer));
            let why = "no node of the cluster gets what is sent there";
            return cause(
                ADDRESS,
                at,
                Finding::new(ADDRESS_TAKEN, saw, why, free(sight.holder(answer))),
            );
        }
        return Hop::fine(ADDRESS, at, format!("{} answers for it", holders.join(", ")));
    }
    if let Some(inside) = sight.gateway.as_ref().and_then(|gateway| gateway.inside.as_ref().ok())
        && inside.neighbor == Ok(None)
    {
        return Hop::broken(ADDRESS, at.clone(), Rank::Symptom, nobody(sight, &at));
    }
    let why = unasked.unwrap_or_else(|| "which machine answers for it was not asked".to_owned());
    Hop::unexamined(ADDRESS, at, why)
}

/// The only node of a cluster does not hear itself announce the address that others answer for.
fn unheard(sight: &Sight) -> Option<&str> {
    let [only] = &sight.nodes[..] else { return None };
    let cluster = sight.cluster.as_ref().ok()?;
    let announces = cluster.ready().next().is_some() && announced(cluster, sight.aim?.ip());
    let own = sight.hardware.iter().find(|(_, name)| *name == only.container.name);
    own.filter(|_| announces).map(|(hardware, _)| hardware.as_str())
}

/// What answers on the wire: to the gateway, and to each node that asked. A node does not hear itself.
fn answers(sight: &Sight) -> (BTreeSet<&str>, Option<String>) {
    let mut answers = BTreeSet::new();
    let mut unasked = None;
    let inside = sight.gateway.as_ref().and_then(|gateway| gateway.inside.as_ref().ok());
    match inside.map(|inside| &inside.neighbor) {
        Some(Ok(neighbor)) => answers.extend(neighbor.as_deref()),
        Some(Err(why)) => unasked = Some(why.clone()),
        None => {}
    }
    for node in sight.nodes.iter().filter_map(|node| node.inside.as_ref().ok()) {
        match &node.answers {
            Ok(heard) => answers.extend(heard.iter().map(String::as_str)),
            Err(why) => unasked = Some(why.clone()),
        }
    }
    (answers, unasked)
}

fn in_words(sight: &Sight, hardware: &str) -> String {
    match sight.holder(hardware) {
        Some(container) => format!("`{container}` ({hardware})"),
        None => hardware.to_owned(),
    }
}

fn free(holder: Option<&str>) -> String {
    match holder {
        Some(container) => {
            format!("give `{container}` another address, or take this one out of the pools")
        }
        None => {
            "find the machine or container with that hardware address, and give it another address"
                .to_owned()
        }
    }
}

fn nobody(sight: &Sight, at: &str) -> Finding {
    Finding::new(
        NOBODY_HAS_ADDRESS,
        format!("no machine on the network answers for {at}"),
        "nothing can be sent to an address that no machine has",
        match &sight.cluster {
            Ok(_) => format!(
                "`{} -n metallb-system logs daemonset/speaker` says what MetalLB announces",
                sight.remedy.kubectl
            ),
            Err(_) => "start what has this address, or lead the forward elsewhere".to_owned(),
        },
    )
}
