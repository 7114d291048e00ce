//! An engine that begins to answer and never goes on, at every call of a look: it is given up, and
//! said to be lost. Each takes as long as topo's patience with a look, so they all run at once.

use std::time::Duration;

use crate::files::File;
use crate::lane::{Lane, Ran};
use crate::proxy::{Among, Fault, Order, What};
use crate::rounds::{self, Row};

/// topo waits a minute for a look.
const PATIENCE: Duration = Duration::from_secs(100);

#[test]
#[ignore = "needs the lab, and a minute"]
fn an_answer_that_never_ends_is_given_up() {
    let lane = rounds::lane("stall", 1);
    let file = File::new().write(&lane);
    lane.topo(&["apply", "--yes", &file]).ends(0, "the apply").expect("it succeeds");
    let calls = rounds::piece(1..=lane.topo(&["diff", &file]).run.calls().len());
    let started = std::time::Instant::now();
    let faults: Vec<String> = std::thread::scope(|scope| {
        let (lane, file) = (&lane, &file);
        let begun = calls.iter().map(|at| scope.spawn(move || stalled(lane, file, *at)));
        let begun: Vec<_> = begun.collect();
        begun.into_iter().filter_map(|one| one.join().expect("no panic").err()).collect()
    });
    lane.topo(&["destroy", "--yes", &file]).ends(0, "the destroy").expect("it goes");
    let row = Row { test: "stall", cases: calls.len(), seconds: started.elapsed().as_secs() };
    rounds::close(&row, &faults);
}

fn stalled(lane: &Lane, file: &str, at: usize) -> Result<(), String> {
    let other = lane.neighbor(&format!("stall-neighbor-{at}"));
    let fault = Fault { what: What::Stalled, at, among: Among::All };
    let ran = other.begin(Order::Strike(fault), &["diff", file]).end_within(PATIENCE);
    let call = ran.run.struck().unwrap_or_default();
    is_said(&ran).map_err(|why| format!("{fault} ({call}): {why}"))
}

/// As the reason to refuse, or to call unknown what that call would have told.
fn is_said(ran: &Ran) -> Result<(), String> {
    ran.sane("the diff")?;
    let is_told = ran.out.contains("no answer") || ran.err.contains("no answer");
    if is_told && matches!(ran.code, Some(1 | 2)) {
        return Ok(());
    }
    Err(format!("it ended with {} and without a word of it:\n{}", ran.ending(), ran.said()))
}
