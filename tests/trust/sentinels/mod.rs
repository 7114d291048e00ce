//! Things that topo did not make, named or labelled nearly or exactly like what it makes: none is
//! touched, and one in the way blocks with what to do.

mod foreign;

use std::fmt;

use foreign::{Foreign, remove};

use crate::engine;
use crate::files::{self, File};
use crate::lane::{Lane, Ran};
use crate::listing;
use crate::rounds;
use crate::seed::sample;

#[derive(Debug, Clone, Copy)]
pub enum Sort {
    Container,
    Network,
    Volume,
}

/// What is expected of topo where the thing is there.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    /// It is in the way of what the file names.
    Blocked,
    /// It is in the way of a name that topo chooses: blocked, or another name is chosen.
    BlockedOrAvoided,
    Nothing,
}

#[derive(Clone)]
pub struct Case {
    sort: Sort,
    /// `X` is the topology's name.
    name: &'static str,
    labels: Labels,
    then: Then,
    since: Since,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Since {
    /// Before topo made anything.
    Ever,
    /// Beside what topo made.
    Apply,
    /// In the place of what topo made, which was removed by hand.
    Removal,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Labels {
    None,
    /// Of the topology's name alone.
    Topology,
    /// Of a node of a kind cluster that has the topology's name.
    Kind,
    /// All that the thing of this name bears which topo made, as a copy of it does.
    CopiedFrom(&'static str),
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sort, name, labels, since, .. } = self;
        write!(f, "a {sort:?} `{name}` with labels {labels:?}, since {since:?}")
    }
}

fn cases() -> Vec<Case> {
    use Labels::{CopiedFrom, Kind, None, Topology};
    use Since::{Apply, Ever, Removal};
    use Sort::{Container, Network, Volume};
    use Then::{Blocked, BlockedOrAvoided, Nothing};
    let of = |since, then, labels, things: &[(Sort, &'static str)]| {
        let case =
            |(sort, name): &(Sort, &'static str)| Case { sort: *sort, name, labels, then, since };
        things.iter().map(case).collect::<Vec<_>>()
    };
    let made = [
        (Container, "X-gw"),
        (Container, "X-connector"),
        (Network, "topo-X"),
        (Volume, "topo-X-gateway"),
    ];
    let claims = [(Volume, "topo-X.1"), (Volume, "topo-X.2"), (Volume, "topo-X.3")];
    let near = [
        (Container, "X"),
        (Container, "X-gw2"),
        (Container, "X-gw-next"),
        (Container, "X-worker"),
        (Container, "X-control-plane"),
        (Container, "topo-X"),
        (Network, "topo-X-2"),
        (Network, "X"),
        (Volume, "topo-X"),
        (Volume, "topo-X.one"),
        (Volume, "topo-X-gateway2"),
    ];
    let by_hand = [(Container, "X-by-hand"), (Network, "X-by-hand"), (Volume, "X-by-hand")];
    let nodes = [(Container, "X-control-plane"), (Container, "X-worker2")];
    [
        of(Ever, Blocked, None, &made),
        of(Removal, Blocked, None, &made),
        of(Ever, BlockedOrAvoided, None, &claims),
        of(Ever, Nothing, None, &near),
        of(Ever, Nothing, Topology, &by_hand),
        of(Ever, Nothing, Kind, &nodes),
        of(Apply, Nothing, Kind, &nodes),
        of(Apply, Nothing, CopiedFrom("X-gw"), &[(Container, "X-copy")]),
        of(Apply, Nothing, CopiedFrom("X-connector"), &[(Container, "X-copy")]),
        of(Apply, Nothing, CopiedFrom("topo-X"), &[(Network, "X-copy")]),
        of(Apply, Nothing, CopiedFrom("topo-X-gateway"), &[(Volume, "X-copy")]),
    ]
    .concat()
}

#[test]
#[ignore = "needs the lab"]
fn what_topo_did_not_make_stays_as_it_is() {
    const TEST: &str = "foreign";
    rounds::run(TEST, &sample(TEST, cases()), round);
}

fn round(lane: &Lane, case: &Case) -> Result<(), String> {
    let file = File::new().write(lane);
    let empty = listing::of(lane);
    if case.since != Since::Ever {
        lane.topo(&["apply", "--yes", &file]).ends(0, "the apply before it")?;
    }
    if case.since == Since::Removal {
        make_room(lane, case);
    }
    let foreign = Foreign::made(lane, case);
    let judged = blocks_or_leaves(lane, case, &foreign, &file)
        .and_then(|()| foreign.is_untouched("destroy by name", || by_name(lane)));
    foreign.remove();
    judged?;
    lane.topo(&["destroy", "--yes", &file]).sane("the destroy after all")?;
    listing::same(&empty, &listing::of(lane))
}

/// What rests on it goes first.
fn make_room(lane: &Lane, case: &Case) {
    for container in ["gw", "connector"].map(|part| format!("{}-{part}", lane.name)) {
        remove(Sort::Container, &container);
    }
    remove(case.sort, &case.name.replace('X', &lane.name));
}

fn by_name(lane: &Lane) -> Result<(), String> {
    lane.topo(&["destroy", "--yes", "--name", &lane.name]).sane("destroy")
}

fn blocks_or_leaves(lane: &Lane, case: &Case, foreign: &Foreign, file: &str) -> Result<(), String> {
    let apply = |file: &str| lane.topo(&["apply", "--yes", file]);
    let mut applied = None;
    foreign.is_untouched("apply", || {
        applied = Some(apply(file));
        Ok(())
    })?;
    let ran = applied.ok_or("it ran")?;
    let is_avoided = case.then == Then::BlockedOrAvoided && ran.code == Some(0);
    if case.then == Then::Nothing || is_avoided {
        ran.ends(0, "apply")?;
        lane.topo(&["diff", file]).ends(0, "diff")?;
        let moved = File::moved().write(lane);
        foreign.is_untouched("another apply", || apply(&moved).ends(0, "another apply"))?;
    } else {
        says_what_to_do(&ran, &foreign.name)?;
    }
    let destroy = || lane.topo(&["destroy", "--yes", &lane.file()]).ends(0, "destroy");
    foreign.is_untouched("destroy", destroy)
}

/// Nothing was changed, the thing is named, and so is a way out.
fn says_what_to_do(ran: &Ran, name: &str) -> Result<(), String> {
    ran.ends(2, "apply of what is in the way")?;
    let hint = ["docker rm", "docker volume rm", "docker network rm", "choose another", "rename"];
    let is_told = ran.err.contains(name) && hint.iter().any(|words| ran.err.contains(words));
    if is_told { Ok(()) } else { Err(format!("it does not say what to do:\n{}", ran.said())) }
}

/// The tag that a build of this file would give, on an image of somebody's.
#[test]
#[ignore = "needs the lab"]
fn an_image_of_somebodys_keeps_its_tag() {
    rounds::one("foreign-image", |lane| {
        const BASE: &str = "topo-trust-base:foreign";
        engine::docker(&["tag", &files::base(), BASE]);
        let file = File::built_on(BASE).write(lane);
        lane.topo(&["apply", "--yes", &file]).ends(0, "the apply before it")?;
        let gateway = format!("{}-gw", lane.name);
        let tag = engine::docker(&["inspect", "-f", "{{.Config.Image}}", &gateway]);
        lane.topo(&["destroy", "--yes", &file]).ends(0, "the destroy before it")?;
        engine::docker(&["tag", &files::base(), &tag]);
        let id = || engine::docker(&["images", "-q", "--no-trunc", &tag]);
        let was = id();
        let ran = lane.topo(&["apply", "--yes", &file]);
        let (applied, now) = (ran.ends(2, "the apply"), id());
        lane.topo(&["destroy", "--yes", &file]).sane("the destroy")?;
        let last = id();
        engine::docker(&["rmi", "-f", &tag]);
        if now != was || last != was {
            return Err(format!(
                "`{tag}` was {was}, {now} after the apply, {last} after the destroy"
            ));
        }
        applied
    });
}
