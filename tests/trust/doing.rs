//! A run of topo to which something happens: what comes before it, and what is run after it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use crate::engine;
use crate::files::{File, base};
use crate::lane::{Lane, Ran};
use crate::listing::{self, Listing};
use crate::proxy::{Among, Call, Fault, What};
use crate::rounds;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    Create,
    /// With an image that is built for it.
    Build,
    /// A forward leads elsewhere.
    Move,
    /// More ports are published, by another gateway.
    Widen,
    /// Less in the file than there is.
    Lessen,
    /// Of a gateway that was removed by hand.
    Mend,
    Destroy,
}

/// What happens to which run.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub doing: Doing,
    pub fault: Fault,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.doing, self.fault)
    }
}

/// Each of these at each call, or at each change, of each run.
pub fn every(doings: &[Doing], whats: &[What], among: Among) -> Vec<Case> {
    let of = |doing: &Doing| {
        let doing = *doing;
        let calls = doing.calls();
        let counted = calls.into_iter().filter(|call| among == Among::All || call.changes);
        let tried: Vec<usize> = (1..)
            .zip(counted)
            .filter(|(_, call)| doing.is_tried_at(call))
            .map(|(at, _)| at)
            .collect();
        tried.into_iter().flat_map(move |at| {
            whats.iter().map(move |what| Case { doing, fault: Fault { what: *what, at, among } })
        })
    };
    doings.iter().flat_map(of).collect()
}

impl Doing {
    /// A build takes long, and all but its own calls are tried without it.
    fn is_tried_at(self, call: &Call) -> bool {
        let is_of_build = ["/build", "/images"].iter().any(|part| call.what.contains(part));
        self != Self::Build || is_of_build
    }

    /// What is called when nothing happens; found out once for all tests.
    fn calls(self) -> Vec<Call> {
        static KNOWN: Mutex<BTreeMap<Doing, Vec<Call>>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().expect("no run failed");
        known.entry(self).or_insert_with(|| self.undisturbed()).clone()
    }

    fn undisturbed(self) -> Vec<Call> {
        let lane = rounds::lane("undisturbed", 3);
        self.prepare(&lane).expect("nothing is in the way");
        let ran = self.strike(&lane, None, &[]);
        ran.ends(0, "a run to which nothing happens").expect("it succeeds");
        lane.topo(&["destroy", "--yes", &lane.file()]).ends(0, "its destroy").expect("it goes");
        ran.run.calls()
    }

    pub fn prepare(self, lane: &Lane) -> Result<(), String> {
        match self {
            Self::Create => File::new().write(lane),
            Self::Build => File::built_on(&own_base(lane)).write(lane),
            _ => {
                let file = File::new().write(lane);
                lane.topo(&["apply", "--yes", &file]).ends(0, "the apply before it")?;
                file
            }
        };
        if self == Self::Mend {
            engine::docker(&["rm", "-f", &format!("{}-gw", lane.name)]);
        }
        Ok(())
    }

    pub fn strike(self, lane: &Lane, fault: Option<Fault>, how: &[&str]) -> Ran {
        let file = match self {
            Self::Move => File::moved().write(lane),
            Self::Widen => File::wider().write(lane),
            Self::Lessen => File::lesser().write(lane),
            Self::Create | Self::Build | Self::Mend | Self::Destroy => lane.file(),
        };
        let command = if self == Self::Destroy { "destroy" } else { "apply" };
        lane.struck(fault, &[&[command, "--yes", &file], how].concat())
    }

    /// The next apply finishes it, or the next destroy does, and nothing is left.
    pub fn ends_well(self, lane: &Lane, empty: &Listing) -> Result<(), String> {
        let file = lane.file();
        if self != Self::Destroy {
            lane.topo(&["apply", "--yes", &file]).ends(0, "the next apply")?;
            lane.topo(&["diff", &file]).ends(0, "the diff after it")?;
        }
        lane.topo(&["destroy", "--yes", &file]).ends(0, "the next destroy")?;
        listing::same(empty, &listing::of(lane))
    }
}

/// A base of the lane's own, so that what is built on it is no other's.
fn own_base(lane: &Lane) -> String {
    let own = format!("topo-trust-base:{}", lane.number);
    engine::docker(&["tag", &base(), &own]);
    own
}
