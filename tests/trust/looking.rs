//! Commands that only look: they change nothing, and say of what they could not see that it is unknown.

use std::fmt;

use serde_json::Value;

use crate::engine;
use crate::files::File;
use crate::lane::{Lane, Ran};
use crate::proxy::{Among, Fault, Order, What};
use crate::rounds;
use crate::seed::sample;

const WHATS: [What; 6] = [
    What::Refused(500),
    What::Refused(409),
    What::ResetBefore,
    What::ResetAfter,
    What::HalfAnswered,
    What::Garbled,
];

/// Applied, and then one forward moved in the file and another taken out of the rules by hand.
fn differing(lane: &Lane) -> Result<(), String> {
    applied(lane)?;
    let gateway = format!("{}-gw", lane.name);
    let element = format!("{{ tcp . {} }}", lane.port() + 1);
    engine::docker(&[
        "exec", &gateway, "nft", "delete", "element", "ip", "topo", "forwards", &element,
    ]);
    File::moved().write(lane);
    Ok(())
}

fn gone(lane: &Lane) -> Result<(), String> {
    lane.topo(&["destroy", "--yes", &lane.file()]).ends(0, "the destroy")
}

fn applied(lane: &Lane) -> Result<String, String> {
    let file = File::new().write(lane);
    lane.topo(&["apply", "--yes", &file]).ends(0, "the apply").map(|()| file)
}

fn diff(lane: &Lane, order: Order) -> Ran {
    lane.topo_by(order, &["diff", "-o", "json", &lane.file()])
}

fn status(lane: &Lane, order: Order) -> Ran {
    lane.topo_by(order, &["status", "-o", "json", &lane.file()])
}

#[test]
#[ignore = "needs the lab"]
fn looking_needs_no_call_that_changes() {
    rounds::one("reads", |lane| {
        differing(lane)?;
        for look in [diff, status] {
            let (open, reads) = (look(lane, Order::Pass), look(lane, Order::ReadsAlone));
            if let Some(change) = reads.run.struck() {
                return Err(format!("it asked for a change: {change}"));
            }
            if (&open.code, &open.out) != (&reads.code, &reads.out) {
                return Err(format!("it said\n{}\nand then\n{}", open.said(), reads.said()));
            }
        }
        gone(lane)
    });
}

/// Neither that a forward works nor that it does not is known without a look at the rules.
#[test]
#[ignore = "needs the lab"]
fn what_no_program_could_look_at_is_not_said_to_be_well() {
    rounds::one("no-exec", |lane| {
        applied(lane)?;
        let gateway = format!("{}-gw", lane.name);
        engine::docker(&["exec", &gateway, "nft", "flush", "ruleset"]);
        let (diff, status) = (diff(lane, Order::NoExec), status(lane, Order::NoExec));
        gone(lane)?;
        if diff.code == Some(0) {
            return Err("a look that was refused came to \"in sync\"".to_owned());
        }
        let well =
            resources(&status).into_iter().filter(|one| is_port(one) && one["state"] == "ready");
        let well: Vec<Value> = well.collect();
        if well.is_empty() { Ok(()) } else { Err(format!("said to be ready: {well:?}")) }
    });
}

#[test]
#[ignore = "needs the lab"]
fn an_apply_with_nothing_to_do_calls_nothing_that_changes() {
    rounds::one("nothing-to-do", |lane| {
        let file = applied(lane)?;
        let again = lane.topo(&["apply", &file]);
        gone(lane)?;
        again.ends(0, "the apply with nothing to do")?;
        let changes: Vec<String> = again.run.changes().into_iter().map(|call| call.what).collect();
        if changes.is_empty() { Ok(()) } else { Err(format!("it called {changes:?}")) }
    });
}

fn is_port(resource: &Value) -> bool {
    resource["id"].as_str().is_some_and(|id| id.starts_with("port/"))
}

fn resources(status: &Ran) -> Vec<Value> {
    let said: Value = serde_json::from_str(&status.out).unwrap_or_default();
    said["resources"].as_array().cloned().unwrap_or_default()
}

struct Case {
    command: &'static str,
    fault: Fault,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.command, self.fault)
    }
}

#[test]
#[ignore = "needs the lab"]
fn a_look_that_fails_says_so_or_what_is() {
    const TEST: &str = "look";
    let lanes = [rounds::lane(TEST, 1), rounds::lane(TEST, 2)];
    let truths = lanes.each_ref().map(|lane| {
        differing(lane).expect("nothing is in the way");
        (lane.name.clone(), diff(lane, Order::Pass), status(lane, Order::Pass))
    });
    let (_, diffed, stated) = &truths[0];
    let mut cases = every("diff", diffed.run.calls().len());
    cases.extend(every("status", stated.run.calls().len()));
    rounds::in_lanes(TEST, &lanes, &sample(TEST, cases), |lane, case| {
        let (_, diffed, stated) =
            truths.iter().find(|(name, ..)| *name == lane.name).ok_or("a lane of its own")?;
        let order = Order::Strike(case.fault);
        let (ran, truth) = match case.command {
            "diff" => (diff(lane, order), diffed),
            _ => (status(lane, order), stated),
        };
        let at = ran.run.struck().unwrap_or_default();
        true_or_refused(&ran, truth).map_err(|why| format!("({at}) {why}"))
    });
}

fn every(command: &'static str, calls: usize) -> Vec<Case> {
    let at = |at| WHATS.map(|what| Case { command, fault: Fault { what, at, among: Among::All } });
    (1..=calls).flat_map(at).collect()
}

/// It fails with a reason, or says what is, or of a part that it is not known.
fn true_or_refused(ran: &Ran, truth: &Ran) -> Result<(), String> {
    ran.sane("the look")?;
    if ran.code == Some(2) && ran.err.contains("error:") || ran.out.contains("\"type\":\"error\"") {
        return Ok(());
    }
    let read = |ran: &Ran| serde_json::from_str::<Value>(&ran.out).unwrap_or_default();
    let (said, true_said) = (read(ran), read(truth));
    for key in ["actions", "resources"] {
        let list = |of: &Value| of[key].as_array().cloned().unwrap_or_default();
        if list(&said).len() != list(&true_said).len() {
            return Err(format!("it lists other {key}:\n{}", ran.said()));
        }
        for (one, truth) in list(&said).iter().zip(list(&true_said)) {
            let is_unknown = one["action"] == "deferred" || one["state"] == "unknown";
            if *one != truth && !is_unknown {
                return Err(format!("it says {one}\nand true is {truth}"));
            }
        }
    }
    if said["inSync"] != true_said["inSync"] || ran.code != truth.code {
        let (ending, true_ending) = (ran.ending(), truth.ending());
        return Err(format!("it ended with {ending}, not {true_ending}:\n{}", ran.said()));
    }
    Ok(())
}
