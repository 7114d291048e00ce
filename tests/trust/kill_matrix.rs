//! Every change that a run makes, failed or cut off or killed, before and after it takes effect:
//! the next apply finishes, the next destroy removes everything, and so does one at once.

use std::collections::BTreeSet;
use std::fmt;

use crate::doing::{self, Doing, every};
use crate::engine;
use crate::lane::{Lane, Ran};
use crate::listing::{self, Listing};
use crate::proxy::{Among, What};
use crate::rounds;
use crate::seed::{Dice, sample};

const TEST: &str = "kill";

const DOINGS: [Doing; 7] = [
    Doing::Create,
    Doing::Build,
    Doing::Move,
    Doing::Widen,
    Doing::Lessen,
    Doing::Mend,
    Doing::Destroy,
];

const WHATS: [What; 4] =
    [What::Refused(500), What::ResetAfter, What::KilledBefore, What::KilledAfter];

/// What is run after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Apply,
    Destroy,
    /// Without the file.
    DestroyByName,
}

struct Case {
    struck: doing::Case,
    then: Then,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, then {:?}", self.struck, self.then)
    }
}

#[test]
#[ignore = "needs the lab"]
fn killed_at_any_change_it_is_finished_and_removed() {
    let mut dice = Dice::of(TEST);
    let struck = every(&DOINGS, &WHATS, Among::Changes);
    let twice = struck.into_iter().flat_map(|struck| {
        let at_once = [Then::Destroy, Then::DestroyByName][dice.below(2)];
        [Then::Apply, at_once].map(|then| Case { struck, then })
    });
    rounds::run(TEST, &sample(TEST, twice.collect()), round);
}

fn round(lane: &Lane, case: &Case) -> Result<(), String> {
    let doing::Case { doing, fault } = case.struck;
    let before = listing::of(lane);
    doing.prepare(lane)?;
    let struck = doing.strike(lane, Some(fault), &[]);
    let at = struck.run.struck().unwrap_or_else(|| "nothing, it came to its end".to_owned());
    let mut runs = vec![struck];
    follow(lane, case.then, &mut runs, &before).map_err(|why| format!("({at}) {why}"))
}

fn follow(lane: &Lane, then: Then, runs: &mut Vec<Ran>, before: &Listing) -> Result<(), String> {
    let file = lane.file();
    let struck = &runs[0];
    struck.sane("the run that was struck")?;
    if struck.run.struck().is_none() {
        struck.ends(0, "the run to which nothing happened")?;
    }
    let mut next = |arguments: &[&str]| {
        let ran = lane.topo(arguments);
        let ended = ran.ends(0, &format!("`{}` after it", arguments.join(" ")));
        runs.push(ran);
        ended
    };
    if then == Then::Apply {
        next(&["apply", "--yes", &file])?;
        next(&["diff", &file])?;
    }
    match then {
        Then::DestroyByName => next(&["destroy", "--yes", "--name", &lane.name])?,
        Then::Apply | Then::Destroy => next(&["destroy", "--yes", &file])?,
    }
    listing::same(before, &listing::of(lane))?;
    no_built_image_is_left(runs)
}

fn no_built_image_is_left(runs: &[Ran]) -> Result<(), String> {
    let calls = runs.iter().flat_map(|ran| ran.run.changes());
    let built: BTreeSet<String> = calls
        .filter_map(|call| Some(call.what.split_once("/build?t=")?.1.replace("%3A", ":")))
        .collect();
    let left: Vec<String> = engine::images()
        .iter()
        .flat_map(|image| image["RepoTags"].as_array().cloned().unwrap_or_default())
        .filter_map(|tag| tag.as_str().map(str::to_owned))
        .filter(|tag| built.contains(tag))
        .collect();
    for tag in &left {
        engine::docker(&["rmi", "-f", tag]);
    }
    if left.is_empty() { Ok(()) } else { Err(format!("images left behind: {left:?}")) }
}
