//! What `topo watch` sees and does, a line each.

use std::time::Duration;

use owo_colors::{AnsiColors, OwoColorize};
use serde_json::{Value, json};

use super::plan::one_line;
use super::text::{elapsed, tame};
use crate::engine::Failure;
use crate::plan::{Action, Id, Item};

/// Something worth a line while a topology is watched.
#[derive(Debug, Clone, Copy)]
pub enum Sighting<'a> {
    Begins {
        topology: &'a str,
    },
    /// It is no longer as it was applied.
    Drifted {
        item: &'a Item,
    },
    Repaired {
        id: &'a Id,
        did: Action,
        elapsed: Duration,
    },
    Failed {
        id: &'a Id,
        failure: &'a Failure,
    },
    NotYet {
        id: &'a Id,
        why: &'a str,
    },
    /// It drifts again and again, and is left alone for longer and longer.
    Again {
        id: &'a Id,
        pause: Duration,
    },
    /// It needs more than a repair.
    Left {
        item: &'a Item,
    },
    /// Nothing can be seen or repaired.
    Trouble {
        why: &'a str,
    },
    Over,
}

/// As a terminal without colours has it, at this moment.
pub fn line(sighting: &Sighting) -> String {
    anstream::adapter::strip_str(&render(sighting, &clock())).to_string()
}

pub fn clock() -> String {
    jiff::Zoned::now().strftime("%H:%M:%S").to_string()
}

/// `12:03:10  repaired  port/127.0.0.1:10001/tcp  updated in 0.4s`
pub fn render(sighting: &Sighting, clock: &str) -> String {
    let (paint, word) = match sighting {
        Sighting::Begins { .. } | Sighting::Over => (AnsiColors::Cyan, word(sighting)),
        Sighting::Repaired { .. } => (AnsiColors::Green, word(sighting)),
        Sighting::Failed { .. } | Sighting::Trouble { .. } => (AnsiColors::Red, word(sighting)),
        _ => (AnsiColors::Yellow, word(sighting)),
    };
    let id = subject(sighting).map(|id| format!("{}  ", tame(id.as_str()).bold()));
    let line = format!(
        "{clock}  {}  {}{}",
        format!("{word:<9}").color(paint),
        id.unwrap_or_default(),
        tame(&detail(sighting))
    );
    let below: Vec<String> = match sighting {
        Sighting::Failed { failure, .. } => {
            let more = failure.causes.iter().chain(&failure.hint);
            more.map(|line| format!("\n{:10}{}", "", tame(line))).collect()
        }
        Sighting::Drifted { item } => {
            item.changes.iter().map(|change| format!("\n{:6}{}", "", one_line(change))).collect()
        }
        _ => Vec::new(),
    };
    format!("{}{}", line.trim_end(), below.concat())
}

pub fn document(sighting: &Sighting, clock: &str) -> Value {
    let mut line = json!({ "type": word(sighting), "at": clock, "id": subject(sighting) });
    match sighting {
        Sighting::Drifted { item } => {
            line["action"] = json!(item.action);
            line["changes"] = json!(item.changes);
        }
        Sighting::Repaired { did, elapsed, .. } => {
            line["action"] = json!(did);
            line["seconds"] = json!(elapsed.as_secs_f64());
        }
        Sighting::Failed { failure, .. } => {
            line["message"] = json!(failure.message);
            line["causes"] = json!(failure.causes);
            line["hint"] = json!(failure.hint);
        }
        _ => line["message"] = json!(detail(sighting)),
    }
    line
}

fn word(sighting: &Sighting) -> &'static str {
    match sighting {
        Sighting::Begins { .. } => "watching",
        Sighting::Drifted { .. } => "drift",
        Sighting::Repaired { .. } => "repaired",
        Sighting::Failed { .. } => "failed",
        Sighting::NotYet { .. } => "pending",
        Sighting::Again { .. } => "waiting",
        Sighting::Left { .. } => "left",
        Sighting::Trouble { .. } => "trouble",
        Sighting::Over => "resumed",
    }
}

fn subject<'a>(sighting: &Sighting<'a>) -> Option<&'a Id> {
    match sighting {
        Sighting::Drifted { item } | Sighting::Left { item } => Some(&item.id),
        Sighting::Repaired { id, .. }
        | Sighting::Failed { id, .. }
        | Sighting::NotYet { id, .. }
        | Sighting::Again { id, .. } => Some(id),
        Sighting::Begins { .. } | Sighting::Trouble { .. } | Sighting::Over => None,
    }
}

fn detail(sighting: &Sighting) -> String {
    match sighting {
        Sighting::Begins { topology } => format!("topology `{topology}`; press Ctrl-C to stop"),
        Sighting::Drifted { item } => match (item.action, &item.why) {
            (_, Some(why)) => why.clone(),
            (Action::Create, None) => "missing".to_owned(),
            (Action::Start, None) => "stopped".to_owned(),
            (_, None) => "changed".to_owned(),
        },
        Sighting::Repaired { did, elapsed: time, .. } => {
            format!("{} in {}", did.past(), elapsed(*time))
        }
        Sighting::Failed { failure, .. } => failure.message.clone(),
        Sighting::NotYet { why, .. } => (*why).to_owned(),
        Sighting::Again { pause, .. } => format!(
            "changed again soon after it was repaired; something else may change it too; next repair in {} or later",
            elapsed(*pause)
        ),
        Sighting::Left { item } => {
            let why = item.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            format!("`topo apply` would {} it{why}; not done by `topo watch`", item.action)
        }
        Sighting::Trouble { why } => format!("{why}; trying again"),
        Sighting::Over => "the topology can be inspected again".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    #[test]
    fn each_sighting_is_a_line_and_what_belongs_to_it() {
        let plan = samples::plan();
        let changed = plan.items.iter().find(|item| !item.changes.is_empty()).expect("a change");
        let failure = samples::failure();
        let id = &changed.id;
        let all = [
            Sighting::Begins { topology: "dev" },
            Sighting::Drifted { item: changed },
            Sighting::Repaired { id, did: Action::Update, elapsed: Duration::from_millis(412) },
            Sighting::Failed { id, failure: &failure },
            Sighting::NotYet { id, why: "needs `gateway/edge`, which failed" },
            Sighting::Again { id, pause: Duration::from_secs(2) },
            Sighting::Left { item: changed },
            Sighting::Trouble { why: "cannot reach a Docker engine" },
            Sighting::Over,
        ];
        let text: Vec<String> = all.iter().map(|one| render(one, "12:03:10")).collect();
        insta::assert_snapshot!(anstream::adapter::strip_str(&text.join("\n")).to_string());
        let lines: Vec<String> =
            all.iter().map(|one| document(one, "12:03:10").to_string()).collect();
        insta::assert_snapshot!("sightings_as_json", lines.join("\n"));
    }
}
