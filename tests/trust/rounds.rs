//! Many rounds of one test, in two lanes, and the row of the table that they come to.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use crate::lane::Lane;
use crate::seed::seed;

/// As many faults as a person reads.
const SHOWN: usize = 12;

/// Runs all of them and fails with what went wrong in any.
pub fn run<C: Display + Sync>(
    test: &str,
    cases: &[C],
    round: impl Fn(&Lane, &C) -> Result<(), String> + Sync,
) {
    let lanes = [lane(test, 1), lane(test, 2)];
    in_lanes(test, &lanes, cases, round);
}

pub fn lane(test: &str, number: u16) -> Lane {
    Lane::open(&format!("{test}-{number}"), number)
}

/// A test of one case.
pub fn one(test: &str, round: impl Fn(&Lane) -> Result<(), String> + Sync) {
    run(test, &["the one case"], |lane, _| round(lane));
}

pub fn in_lanes<C: Display + Sync>(
    test: &str,
    lanes: &[Lane],
    cases: &[C],
    round: impl Fn(&Lane, &C) -> Result<(), String> + Sync,
) {
    let started = Instant::now();
    let cases = piece(cases);
    if cases.is_empty() {
        return;
    }
    let left = Mutex::new(cases.iter().copied());
    let faults = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for lane in lanes {
            let (left, faults, round) = (&left, &faults, &round);
            scope.spawn(move || {
                while let Some(case) = next(left) {
                    if let Err(why) = round(lane, case) {
                        lane.sweep();
                        keep(test, &format!("{case}: {why}"));
                        faults.lock().expect("no lane panicked").push(format!("{case}: {why}"));
                    }
                }
            });
        }
    });
    for lane in lanes {
        lane.sweep();
    }
    let faults = faults.into_inner().expect("no lane panicked");
    close(&Row { test, cases: cases.len(), seconds: started.elapsed().as_secs() }, &faults);
}

fn next<C>(left: &Mutex<impl Iterator<Item = C>>) -> Option<C> {
    left.lock().expect("no lane panicked").next()
}

/// Of all cases those that `TOPO_TRUST_PIECE=I/N` asks for: every Nth from the Ith on.
pub fn piece<C>(cases: impl IntoIterator<Item = C>) -> Vec<C> {
    let Ok(asked) = std::env::var("TOPO_TRUST_PIECE") else { return cases.into_iter().collect() };
    let (piece, of) = asked
        .split_once('/')
        .and_then(|(piece, of)| Some((piece.parse::<usize>().ok()?, of.parse().ok()?)))
        .unwrap_or_else(|| panic!("TOPO_TRUST_PIECE is I/N, not {asked}"));
    cases.into_iter().skip(piece - 1).step_by(of).collect()
}

pub struct Row<'a> {
    pub test: &'a str,
    pub cases: usize,
    pub seconds: u64,
}

/// Writes the row down, and fails if anything has.
pub fn close(row: &Row, faults: &[String]) {
    let Row { test, cases, seconds } = row;
    let line = format!(
        "trust {test}: {cases} cases, {} passed, seed {}, {seconds} s",
        cases - faults.len(),
        seed()
    );
    eprintln!("{line}");
    if let Ok(table) = std::env::var("TOPO_TRUST_TABLE") {
        append(Path::new(&table), &line);
    }
    if faults.is_empty() {
        return;
    }
    let mut shown = String::new();
    for fault in faults.iter().take(SHOWN) {
        let _ = writeln!(shown, "- {fault}");
    }
    panic!("{} of {cases} rounds failed; seed {}:\n{shown}", faults.len(), seed());
}

/// At once, for whoever waits.
fn keep(test: &str, fault: &str) {
    eprintln!("{test}: FAILED {}", fault.lines().next().unwrap_or_default());
    if let Ok(logs) = std::env::var("TOPO_TEST_LOGS") {
        append(&Path::new(&logs).join(format!("trust-{test}")), &format!("{fault}\n"));
    }
}

fn append(path: &Path, text: &str) {
    if let Some(folder) = path.parent() {
        let _ = std::fs::create_dir_all(folder);
    }
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let written = file.and_then(|mut file| writeln!(file, "{text}"));
    written.unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}
