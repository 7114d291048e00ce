//! A signal at any change: what runs comes to its end, the run says what was done and what was not,
//! and the next one goes on.

use crate::doing::{Case, Doing, every};
use crate::lane::{Lane, Ran};
use crate::listing;
use crate::proxy::{Among, Signal, What};
use crate::rounds;
use crate::seed::sample;
use crate::truth::{self, Before};

const TEST: &str = "signal";

const SIGNALS: [What; 4] = [
    What::Signalled(Signal::INT, 1),
    What::Signalled(Signal::TERM, 1),
    What::Signalled(Signal::HUP, 1),
    What::Signalled(Signal::INT, 2),
];

#[test]
#[ignore = "needs the lab"]
fn a_signal_lets_what_runs_end_and_says_what_was_done() {
    let doings = [Doing::Create, Doing::Widen, Doing::Destroy];
    let cases = every(&doings, &SIGNALS, Among::Changes);
    rounds::run(TEST, &sample(TEST, cases), round);
}

fn round(lane: &Lane, case: &Case) -> Result<(), String> {
    let empty = listing::of(lane);
    case.doing.prepare(lane)?;
    let before = Before::of(lane);
    let ran = case.doing.strike(lane, Some(case.fault), &["-o", "json"]);
    let at = ran.run.struck().unwrap_or_default();
    let judged = is_said(lane, &before, &ran).and_then(|()| case.doing.ends_well(lane, &empty));
    judged.map_err(|why| format!("({at}) {why}"))
}

/// 130, or 0 where it came at the very end.
fn is_said(lane: &Lane, before: &Before, ran: &Ran) -> Result<(), String> {
    if ran.code != Some(0) {
        ran.ends(130, "the run that was signalled")?;
    }
    truth::honest(lane, before, ran)
}
