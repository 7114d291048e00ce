//! What stands between networks: firewalls, routes, proxies.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Judged, error, warning};
use crate::doctor::facts::{Facts, Firewall};
use crate::doctor::{Found, Part};
use crate::finding::name::{
    DOCKER_RULES_MISSING, ENGINE_WITHOUT_PROXY, FIREWALL_BYPASSED, FORWARD_REJECTED,
    NFT_DROPS_FORWARD, PROXY_ON_LOOPBACK, ROUTE_OVERLAPS,
};
use crate::resources::foreign_routes;
use crate::topology::Topology;

const PART: Part = Part::Machine;
/// Tables of nft in which the engine's own rules are, as iptables or by itself.
const ENGINES_TABLES: [&str; 4] =
    ["ip filter", "ip6 filter", "ip docker-bridges", "ip6 docker-bridges"];

pub fn judged(facts: &Facts) -> Vec<Judged> {
    vec![firewall(facts), routes(facts), proxies(facts)]
}

fn firewall(facts: &Facts) -> Judged {
    const CHECK: &str = "firewall";
    if let Some(why) = facts.elsewhere() {
        return Judged::unexamined(PART, CHECK, why);
    }
    let Firewall { forward, chains, ufw } = &facts.machine.firewall;
    let managers = managers(facts, *ufw);
    let found = [
        forward.as_ref().ok().and_then(|rules| engines_rules(rules, chains.as_deref().ok())),
        chains.as_ref().ok().and_then(|chains| drops(chains)),
        bypassed(facts, &managers),
    ];
    let found: Vec<Found> = found.into_iter().flatten().collect();
    let managers = match &managers[..] {
        [] => "neither ufw nor firewalld".to_owned(),
        managers => managers.join(" and "),
    };
    let unseen = chains.as_ref().err().map(|why| format!("; tables of nft not examined: {why}"));
    let managers = managers + &unseen.unwrap_or_default();
    match forward {
        Err(why) if found.is_empty() => {
            Judged::unexamined(PART, CHECK, format!("{managers}; the rules: {why}"))
        }
        Err(_) => Judged::new(PART, CHECK, managers, found),
        Ok(rules) => {
            let policy = rules.lines().next().unwrap_or_default();
            let policy = policy.strip_prefix("-P FORWARD ").unwrap_or("not known");
            Judged::new(PART, CHECK, format!("FORWARD policy {policy}; {managers}"), found)
        }
    }
}

/// The programs that keep a firewall here.
fn managers(facts: &Facts, ufw: bool) -> Vec<&'static str> {
    let processes = facts.machine.processes.as_deref().unwrap_or_default();
    let firewalld = processes.iter().any(|(_, command)| command.contains("/firewalld"));
    [ufw.then_some("ufw"), firewalld.then_some("firewalld")].into_iter().flatten().collect()
}

/// What iptables does with packets between networks before, or without, the engine's own rules.
fn engines_rules(rules: &str, chains: Option<&str>) -> Option<Found> {
    let is_of_engine = |rule: &str| rule.contains(" -j DOCKER");
    let is_last = |rule: &&str| {
        let rest = rule.strip_prefix("-A FORWARD -j ");
        rest.is_some_and(|rest| rest.starts_with("REJECT") || rest.starts_with("DROP"))
    };
    let before: Vec<&str> = rules.lines().take_while(|rule| !is_of_engine(rule)).collect();
    let has_own = rules.lines().any(is_of_engine)
        || chains.is_some_and(|chains| chains.contains("docker-bridges"));
    if let Some(rule) = before.iter().find(|rule| is_last(rule)).filter(|_| has_own) {
        return Some(error(
            FORWARD_REJECTED,
            format!("`{rule}` comes before the engine's own rules"),
            "nothing passes between containers and the outside",
            "`sudo systemctl restart docker` puts the engine's rules first again; have the firewall start before the engine",
        ));
    }
    let drops = rules.starts_with("-P FORWARD DROP") || before.iter().any(is_last);
    (drops && !has_own).then(|| {
        error(
            DOCKER_RULES_MISSING,
            "iptables drops what passes between networks, and the engine's own rules are gone",
            "something has flushed them: nothing passes between containers and the outside",
            "`sudo systemctl restart docker` has the engine write them again",
        )
    })
}

/// A table of somebody else's decides beside the engine's: what any of them drops is dropped.
fn drops(chains: &str) -> Option<Found> {
    let mut table = "";
    let mut chain = "";
    for line in chains.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("table ") {
            table = name.trim_end_matches(" {");
        } else if let Some(name) = line.strip_prefix("chain ") {
            chain = name.trim_end_matches(" {");
        } else if line.contains("hook forward")
            && line.contains("policy drop")
            && !ENGINES_TABLES.contains(&table)
        {
            return Some(warning(
                NFT_DROPS_FORWARD,
                format!("the chain `{chain}` of the nft table `{table}` has the policy drop"),
                "it drops what no rule of its own accepts, whatever the engine's rules say",
                format!(
                    "`sudo nft add rule {table} {chain} iifname \"br-*\" accept` and the same with `oifname`; /etc/nftables.conf keeps them"
                ),
            ));
        }
    }
    None
}

fn bypassed(facts: &Facts, managers: &[&str]) -> Option<Found> {
    let manager = managers.first()?;
    let mut published = facts.topology()?.gateway.as_ref()?.publications();
    let (open, _) = published.find(|(listen, _)| !listen.addr.is_loopback())?;
    Some(warning(
        FIREWALL_BYPASSED,
        format!("{manager} is on, and the file publishes at {open}"),
        format!(
            "published ports are open to the network whatever {manager} says: the engine's rules come first"
        ),
        "publish at 127.0.0.1, or at one address of this machine, unless it is meant",
    ))
}

fn routes(facts: &Facts) -> Judged {
    const CHECK: &str = "routes";
    if let Some(machine) = facts.engine.as_ref().ok().and_then(|engine| engine.remote.as_ref()) {
        return Judged::unexamined(PART, CHECK, format!("those of {machine} matter"));
    }
    let all = &facts.machine.routes;
    let saw = format!("{} networks", all.len());
    let found = facts.topology().map(|topology| overlaps(facts, topology)).unwrap_or_default();
    Judged::new(PART, CHECK, saw, found)
}

/// Routes that take some of the topology's network, as it is or as the file has it.
fn overlaps(facts: &Facts, topology: &Topology) -> Vec<Found> {
    let Ok(engine) = &facts.engine else { return Vec::new() };
    let live = engine.snapshot.network(&topology.network_name());
    let subnets: Vec<IpNet> = match live {
        Some(network) => network.subnets.iter().map(|subnet| subnet.net).collect(),
        None => topology.network.subnets().iter().map(|subnet| subnet.net()).collect(),
    };
    let overlap = |subnet: &IpNet| {
        let foreign = foreign_routes(subnet, &facts.machine.routes, topology, &engine.snapshot);
        let found = |route: &crate::backend::host::Route| {
            let (net, interface) = (route.net, &route.interface);
            warning(
                ROUTE_OVERLAPS,
                format!("the route {net} of `{interface}` overlaps the network's subnet {subnet}"),
                "the longer prefix wins, so that one side cannot be reached from this machine",
                "write a free subnet in `network.subnet`, unless you do not need that part of the other network",
            )
        };
        foreign.into_iter().map(found).collect::<Vec<Found>>()
    };
    subnets.iter().flat_map(overlap).collect()
}

fn proxies(facts: &Facts) -> Judged {
    let here = &facts.machine.proxies;
    let engine = facts.engine.as_ref().ok();
    let engines = engine.and_then(|engine| engine.info.proxy.as_ref());
    let mut saw: Vec<String> = here.iter().map(|(name, proxy)| format!("{name} {proxy}")).collect();
    saw.extend(engines.map(|proxy| format!("the engine {proxy}")));
    let saw = if saw.is_empty() { "none".to_owned() } else { saw.join("; ") };
    let is_alone = engine.is_some_and(|engine| engine.remote.is_none()) && engines.is_none();
    let lonely = here.first().filter(|_| is_alone).map(|(name, proxy)| {
        warning(
            ENGINE_WITHOUT_PROXY,
            format!("{name} is {proxy}, and the engine has no proxy"),
            "pulls are the engine's own: where there is no other way out, they fail",
            "set the engine's: https://docs.docker.com/engine/daemon/proxy",
        )
    });
    let looped = here.iter().find(|(_, proxy)| facts.nodes() > 0 && is_on_loopback(proxy));
    let looped = looped.map(|(name, proxy)| {
        warning(
            PROXY_ON_LOOPBACK,
            format!("{name} is {proxy}"),
            "kind hands it to the nodes that it makes, where this address is the node itself: they pull no images",
            format!("name the proxy by an address that containers reach, or `env -u {name} topo apply`"),
        )
    });
    Judged::new(PART, "proxies", saw, lonely.into_iter().chain(looped))
}

fn is_on_loopback(proxy: &str) -> bool {
    let (_, rest) = proxy.split_once("://").unwrap_or(("", proxy));
    let host = match rest.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => rest.split([':', '/']).next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
