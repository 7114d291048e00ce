//! Two runs of topo on one topology at the same moment: in one home the lock decides, in two homes
//! the engine does. Each ends well or says why not, and afterwards there is one whole topology.

use std::fmt;

use crate::files::File;
use crate::lane::{Lane, Ran};
use crate::listing;
use crate::proxy::Order;
use crate::rounds;
use crate::seed::{Dice, sample};

const ROUNDS: usize = 24;

#[derive(Debug, Clone, Copy)]
enum Homes {
    One,
    Two,
}

struct Case {
    homes: Homes,
    commands: [&'static str; 2],
    /// The second begins so much later.
    later: u64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.commands;
        write!(f, "{first} and, {} ms later, {second} in {:?}", self.later, self.homes)
    }
}

#[test]
#[ignore = "needs the lab"]
fn of_two_at_once_each_ends_well_or_says_why_not() {
    const TEST: &str = "at-once";
    let mut dice = Dice::of(TEST);
    let cases = (0..ROUNDS).flat_map(|_| [Homes::One, Homes::Two]).map(|homes| Case {
        homes,
        commands: [["apply", "apply"], ["apply", "destroy"], ["destroy", "apply"]][dice.below(3)],
        later: dice.below(1200) as u64,
    });
    rounds::run(TEST, &sample(TEST, cases.collect()), round);
}

fn round(lane: &Lane, case: &Case) -> Result<(), String> {
    let file = File::new().write(lane);
    let empty = listing::of(lane);
    let other = match case.homes {
        Homes::One => None,
        Homes::Two => Some(lane.neighbor("neighbor")),
    };
    if case.commands.contains(&"destroy") {
        lane.topo(&["apply", "--yes", &file]).ends(0, "the apply before it")?;
    }
    let [first, second] = case.commands;
    let first = lane.begin(Order::Pass, &[first, "--yes", &file]);
    std::thread::sleep(std::time::Duration::from_millis(case.later));
    let second = other.as_ref().unwrap_or(lane).begin(Order::Pass, &[second, "--yes", &file]);
    let (first, second) = (first.end(), second.end());
    says_why_not(&first)?;
    says_why_not(&second)?;
    for (command, code) in [("apply", 0), ("diff", 0), ("destroy", 0)] {
        let yes: &[&str] = if command == "diff" { &[] } else { &["--yes"] };
        lane.topo(&[&[command], yes, &[&file]].concat()).ends(code, command).map_err(|why| {
            format!(
                "{why}\nafter a first that said\n{}\nand a second\n{}",
                first.said(),
                second.said()
            )
        })?;
    }
    listing::same(&empty, &listing::of(lane))
}

fn says_why_not(ran: &Ran) -> Result<(), String> {
    ran.sane("one of two")?;
    let goes_on = ran.err.contains("hint:") || ran.err.contains("again to continue");
    let is_told = ran.err.contains("error:") && goes_on;
    match ran.code {
        Some(0) => Ok(()),
        Some(2 | 3) if is_told => Ok(()),
        _ => Err(format!("one of two ended with {} and no hint:\n{}", ran.ending(), ran.said())),
    }
}
