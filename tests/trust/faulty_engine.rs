//! An engine that refuses, breaks off or talks nonsense at any call, of those that only look too: the
//! exit code is right, what is said is true, and the next run gets there.

use crate::doing::{Case, Doing, every};
use crate::lane::{Lane, Ran};
use crate::listing;
use crate::proxy::{Among, What};
use crate::rounds;
use crate::seed::sample;
use crate::truth::{self, Before};

const TEST: &str = "fault";

const WHATS: [What; 7] = [
    What::Refused(500),
    What::Refused(409),
    What::Refused(429),
    What::ResetBefore,
    What::ResetAfter,
    What::HalfAnswered,
    What::Garbled,
];

#[test]
#[ignore = "needs the lab"]
fn whatever_the_engine_does_what_is_said_is_true() {
    let doings = [Doing::Create, Doing::Move, Doing::Widen, Doing::Destroy];
    let cases = every(&doings, &WHATS, Among::All);
    rounds::run(TEST, &sample(TEST, cases), round);
}

fn round(lane: &Lane, case: &Case) -> Result<(), String> {
    let empty = listing::of(lane);
    case.doing.prepare(lane)?;
    let before = Before::of(lane);
    let ran = case.doing.strike(lane, Some(case.fault), &["-o", "json"]);
    let at = ran.run.struck().unwrap_or_default();
    let judged = truth::honest(lane, &before, &ran).and_then(|()| did_it_all(case, &ran, lane));
    let judged = judged.and_then(|()| case.doing.ends_well(lane, &empty));
    judged.map_err(|why| format!("({at}) {why}"))
}

/// One that ended with 0 has left nothing to the next run.
fn did_it_all(case: &Case, ran: &Ran, lane: &Lane) -> Result<(), String> {
    if ran.code != Some(0) {
        return Ok(());
    }
    if case.doing != Doing::Destroy {
        return lane.topo(&["diff", &lane.file()]).ends(0, "the diff of what ended with 0");
    }
    let left = listing::on_the_engine(lane);
    if left.is_empty() { Ok(()) } else { Err(format!("it ended with 0, and left {left:?}")) }
}
