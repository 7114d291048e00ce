//! What a run said, held against what there is.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::engine;
use crate::lane::{Lane, Ran};
use crate::listing;

/// What there is of a topology, by resource: changed if, and only if, the resource was.
#[derive(Debug, Clone, PartialEq)]
pub struct World(BTreeMap<String, String>);

impl World {
    pub fn of(lane: &Lane) -> Self {
        let mut world = BTreeMap::new();
        let network = format!("topo-{}", lane.name);
        for found in engine::networks().iter().filter(|one| one["Name"] == network.as_str()) {
            world.insert(format!("network/{network}"), found["Id"].to_string());
        }
        let gateway = format!("{}-gw", lane.name);
        let is_gateway = |one: &&Value| one["Names"][0] == format!("/{gateway}").as_str();
        if let Some(found) = engine::containers().iter().find(is_gateway) {
            let state = format!("{} {}", found["Id"], found["State"]);
            world.insert(format!("gateway/{gateway}"), state);
            world.extend(forwards(&gateway));
        }
        Self(world)
    }

    fn get(&self, id: &str) -> Option<&String> {
        self.0.get(id)
    }
}

/// From the rules that are in force.
fn forwards(gateway: &str) -> Vec<(String, String)> {
    let list = ["exec", gateway, "nft", "-j", "list", "map", "ip", "topo", "forwards"];
    let listed = Command::new("docker").args(list).output().expect("docker runs");
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
    let parts = listed["nftables"].as_array().into_iter().flatten();
    let elements = parts.flat_map(|part| part["map"]["elem"].as_array().into_iter().flatten());
    elements
        .map(|element| {
            let listen = &element[0]["concat"][1];
            (format!("port/127.0.0.1:{listen}/tcp"), element[1].to_string())
        })
        .collect()
}

/// How each resource came out, as the run said last.
struct Said {
    action: String,
    phase: String,
}

/// Neither its exit code nor its summary says other than what is.
pub fn honest(lane: &Lane, before: &Before, ran: &Ran) -> Result<(), String> {
    ran.sane("the run")?;
    let now = Before::of(lane);
    if ran.code == Some(2) && now != *before {
        return Err(format!("exit 2 means that nothing was changed, and it was:\n{}", ran.said()));
    }
    let lines: Vec<Value> =
        ran.out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let summary = lines.iter().find(|line| line["type"] == "summary");
    match (ran.code, summary.map(|summary| summary["complete"] == true)) {
        (Some(0), Some(true)) | (Some(3), Some(false)) | (Some(2 | 130), _) => {}
        (_, complete) => {
            let ending = ran.ending();
            return Err(format!(
                "exit {ending} with a summary of complete {complete:?}:\n{}",
                ran.said()
            ));
        }
    }
    let said = outcomes(&lines);
    let ids = before.world.0.keys().chain(now.world.0.keys()).chain(said.keys());
    let lies: Vec<String> =
        ids.filter_map(|id| lie(id, said.get(id), &before.world, &now.world)).collect();
    if lies.is_empty() { Ok(()) } else { Err(format!("{}:\n{}", lies.join("; "), ran.said())) }
}

/// All that is looked at before a run, to be looked at again after it.
#[derive(PartialEq)]
pub struct Before {
    world: World,
    things: listing::Listing,
}

impl Before {
    pub fn of(lane: &Lane) -> Self {
        Self { world: World::of(lane), things: listing::on_the_engine(lane) }
    }
}

fn outcomes(lines: &[Value]) -> BTreeMap<String, Said> {
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let steps = lines.iter().filter(|line| line["type"] == "step");
    let said = |line| Said { action: text(line, "action"), phase: text(line, "phase") };
    steps.map(|line| (text(line, "id"), said(line))).collect()
}

/// A forward goes with its gateway and needs no step of its own, so only that it was made is looked at.
fn lie(id: &str, said: Option<&Said>, before: &World, now: &World) -> Option<String> {
    let is_looked_at = ["network/", "gateway/", "port/"].iter().any(|kind| id.starts_with(kind));
    if !is_looked_at {
        return None;
    }
    let (was, is) = (before.get(id), now.get(id));
    match said.map(|said| (said.phase.as_str(), said.action.as_str())) {
        Some(("done", "delete")) => {
            is.map(|_| format!("`{id}` is said to be deleted and is there"))
        }
        Some(("done", _)) if is.is_none() => {
            Some(format!("`{id}` is said to be done and is not there"))
        }
        Some(("removed", _)) => is.map(|_| format!("`{id}` is said to be removed and is there")),
        Some(("done", "replace")) if was == is => {
            Some(format!("`{id}` is said to be replaced and is the same"))
        }
        Some(("done" | "failed" | "started" | "waiting", _)) => None,
        _ if id.starts_with("port/") || was == is => None,
        said => Some(format!("`{id}` was {was:?}, is {is:?}, and of it is said {said:?}")),
    }
}
