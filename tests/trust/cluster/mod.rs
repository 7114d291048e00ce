//! The same with a cluster: calls of kind and of topo, failed, cut off and killed, and kind killed
//! while topo lives. A sample, for a cluster takes its time: `TOPO_TRUST_CLUSTER_ROUNDS` says how many.

mod living;

use std::fmt;

use living::Living;

use crate::proxy::{Among, Fault, What};
use crate::rounds;
use crate::seed::Dice;

const TEST: &str = "cluster";
const ROUNDS: usize = 100;

const WHATS: [What; 5] = [
    What::Refused(500),
    What::ResetBefore,
    What::ResetAfter,
    What::KilledBefore,
    What::KilledAfter,
];

/// The run that is struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Join,
    Leave,
    Create,
    Destroy,
}

/// Of a hundred rounds: those with a new cluster take longest.
const SHARES: [(Doing, usize); 4] =
    [(Doing::Join, 40), (Doing::Leave, 20), (Doing::Create, 25), (Doing::Destroy, 15)];

#[derive(Debug, Clone, Copy)]
enum How {
    Strike(Fault),
    /// kind is killed at this change, and topo is not.
    KindKilled(usize),
}

struct Case {
    doing: Doing,
    how: How,
    /// Destroyed at once, where it is not applied again.
    at_once: bool,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let then = if self.at_once { "destroy" } else { "apply" };
        match self.how {
            How::Strike(fault) => write!(f, "{:?} {fault}, then {then}", self.doing),
            How::KindKilled(at) => {
                write!(f, "{:?} with kind killed at change {at}, then {then}", self.doing)
            }
        }
    }
}

#[test]
#[ignore = "needs the lab, and hours"]
fn a_cluster_is_finished_and_removed_whatever_happened() {
    let rounds = std::env::var("TOPO_TRUST_CLUSTER_ROUNDS").ok().and_then(|it| it.parse().ok());
    let lane = rounds::lane(TEST, 20);
    let changes = Living::new(&lane).changes();
    let cases = cases(rounds.unwrap_or(ROUNDS), &changes);
    rounds::in_lanes(TEST, &[lane], &cases, |lane, case| Living::new(lane).round(case));
}

/// kind outlives the topo that started it: the next one waits for it, and keeps what it made.
#[test]
#[ignore = "needs the lab, and minutes"]
fn what_kind_finished_alone_is_kept() {
    let lane = rounds::lane("outlived", 21);
    rounds::in_lanes("outlived", &[lane], &["the one case"], |lane, _| {
        Living::new(lane).outlives()
    });
}

/// Rounds on a cluster that lives follow one another.
fn cases(rounds: usize, changes: &dyn Fn(Doing) -> usize) -> Vec<Case> {
    let mut dice = Dice::of(TEST);
    let of =
        |(doing, share): (Doing, usize)| (0..(rounds * share).div_ceil(100)).map(move |_| doing);
    let doings = SHARES.into_iter().flat_map(of);
    doings
        .map(|doing| {
            let at = 1 + dice.below(changes(doing));
            let fault = Fault { what: WHATS[dice.below(WHATS.len())], at, among: Among::Changes };
            let is_kinds = matches!(doing, Doing::Create | Doing::Destroy) && dice.below(4) == 0;
            let how = if is_kinds { How::KindKilled(at) } else { How::Strike(fault) };
            Case { doing, how, at_once: dice.below(2) == 0 }
        })
        .collect()
}
