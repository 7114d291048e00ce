//! What the gateway does with the port.

use super::cause;
use crate::finding::Finding;
use crate::finding::name::{
    DROPPED_IN_GATEWAY, FORWARD_NOT_IN_FORCE, IP_FORWARD_OFF, PROXY_NOT_RUNNING, STALE_TARGET,
};
use crate::trace::sight::{Dial, Inside, Sight};
use crate::trace::way::Goal;
use crate::trace::{Hop, Rank};

const FORWARD: &str = "forward";

pub fn forward(sight: &Sight) -> Option<Hop> {
    let gateway = sight.gateway.as_ref()?;
    let at = sight.way.listen?.port().to_string();
    let inside = match &gateway.inside {
        Ok(inside) => inside,
        Err(why) => return Some(Hop::unexamined(FORWARD, at, why)),
    };
    let apply = &sight.remedy.apply;
    let broken = |finding: Finding| Some(cause(FORWARD, at.clone(), finding));
    if inside.proxy_runs == Some(false) {
        let saw = format!("nginx does not run in `{}`", gateway.name);
        let why = "in `mode: proxy` it takes the connections";
        let fix =
            format!("`docker logs {}` says why; `docker restart {}`", gateway.name, gateway.name);
        return broken(Finding::new(PROXY_NOT_RUNNING, saw, why, fix));
    }
    let (live, saved) = (inside.live, inside.saved);
    let Some(live) = live else {
        let saw = match saved {
            Some(saved) => format!("the rule to {saved} was applied and is not in force"),
            None => "no forward of this port was ever applied".to_owned(),
        };
        let why = "the gateway does not know where to lead the port";
        return broken(Finding::new(
            FORWARD_NOT_IN_FORCE,
            saw,
            why,
            format!("`{apply}` puts it in force"),
        ));
    };
    if !inside.forwarding {
        let saw = format!("net.ipv4.ip_forward is 0 in `{}`", gateway.name);
        let why = "the kernel drops what it should forward";
        let fix = format!("`docker restart {}` sets it back", gateway.name);
        return broken(Finding::new(IP_FORWARD_OFF, saw, why, fix));
    }
    if let Some(finding) = stale(sight, live) {
        return broken(finding);
    }
    match dropped(sight, inside) {
        Some(finding) => Some(Hop::broken(FORWARD, at, Rank::Likely, finding)),
        None => Some(Hop::fine(FORWARD, at, format!("leads to {live}"))),
    }
}

/// The Service has moved, and the rule leads to where it was.
fn stale(sight: &Sight, live: std::net::SocketAddr) -> Option<Finding> {
    let cluster = sight.cluster.as_ref().ok()?;
    let Goal::Service(service, _) = &sight.way.to else { return None };
    let port = cluster.port(&sight.way)?;
    let given = cluster.addresses();
    let first = given.iter().find(|address| address.is_ipv4() == live.is_ipv4())?;
    let is_there = given.contains(&live.ip()) && live.port() == port.number;
    (!is_there).then(|| {
        Finding::new(
            STALE_TARGET,
            format!(
                "the gateway leads to {live}, and the Service `{service}` is at {first}:{}",
                port.number
            ),
            "the Service has moved since the forward was applied",
            format!("`{}` leads it to the new address", sight.remedy.apply),
        )
    })
}

/// What comes to the gateway does not come through, although the gateway itself gets there.
fn dropped(sight: &Sight, inside: &Inside) -> Option<Finding> {
    let gateway = &sight.gateway.as_ref()?.name;
    let comes_through =
        !matches!(sight.through_gateway, Dial::Refused | Dial::NoRoute | Dial::Silent);
    if comes_through || sight.to_aim != Dial::Connected {
        return None;
    }
    let counted = inside.after.as_ref().and_then(|after| after.grown(&inside.before));
    let rule = counted.map(|rule| format!("; counted there: {rule}")).unwrap_or_default();
    let aim = sight.aim?;
    Some(Finding::new(
        DROPPED_IN_GATEWAY,
        format!(
            "`{gateway}` itself connects to {aim}, but a connection through it {}{rule}",
            sight.through_gateway.in_words()
        ),
        "a rule in the gateway's network, which topo did not make, drops what should be forwarded",
        format!(
            "`docker restart {gateway}` takes away rules that were added by hand; `mode: proxy` needs no forwarding"
        ),
    ))
}
