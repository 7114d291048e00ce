//! Why a file that reads well cannot be carried out, each reason with the key that asks for it.

use crate::engine::Failure;
use crate::plan::{GraphError, Id, NotOne, Origin, Resource};
use crate::topology::{Diagnostic, NeedId, Places, Severity, Topology, nearest};

/// The code of a need that nothing of the file meets.
pub const MISSING: &str = "missing-need";
const CYCLE: &str = "cycle";
const OTHER: &str = "cannot-be-made";

/// One reason.
#[derive(Debug)]
pub struct Objection {
    code: &'static str,
    /// Of the topology file: `gateway.ports.0.to`.
    key: Option<String>,
    failure: Failure,
}

/// Every reason there is; at least one.
#[derive(Debug)]
pub struct Objections(pub Vec<Objection>);

impl Objection {
    pub fn at(key: impl Into<String>, failure: Failure) -> Self {
        Self { code: OTHER, key: Some(key.into()), failure }
    }
}

impl From<Failure> for Objections {
    fn from(failure: Failure) -> Self {
        Self(vec![Objection { code: OTHER, key: None, failure }])
    }
}

impl Objections {
    /// What was made, unless there is a reason against it.
    pub fn or<T>(made: T, objections: Vec<Objection>) -> Result<T, Self> {
        if objections.is_empty() { Ok(made) } else { Err(Self(objections)) }
    }

    /// As one failure; `place` tells where the file has a key.
    pub fn failure(self, place: &dyn Fn(&str) -> Option<String>) -> Failure {
        let placed = |Objection { key, mut failure, .. }: Objection| {
            if let Some(place) = key.and_then(|key| place(&key)) {
                failure.message = format!("{} ({place})", failure.message);
            }
            failure
        };
        let mut failures = self.0.into_iter().map(placed);
        let mut first =
            failures.next().unwrap_or_else(|| Failure::new("nothing can be made of it"));
        let mut rest = failures.peekable();
        if rest.peek().is_some()
            && let Some(hint) = first.hint.take()
        {
            first.message = format!("{}; {hint}", first.message);
        }
        rest.fold(first, |first, other| {
            first.caused_by(match &other.hint {
                Some(hint) => format!("{other}; {hint}"),
                None => other.to_string(),
            })
        })
    }

    /// Each at its place in the file.
    pub fn diagnostics(self, places: &Places) -> Vec<Diagnostic> {
        let diagnostic = |Objection { code, key, failure }: Objection| {
            let place = places.key(key.as_deref().unwrap_or_default());
            let message = failure.to_string();
            let problem = Diagnostic::new(Severity::Error, code, place, message);
            match failure.hint {
                Some(hint) => problem.help(hint),
                None => problem,
            }
        };
        self.0.into_iter().map(diagnostic).collect()
    }
}

/// What keeps resources from being put in an order, at the `needs` that asked for it.
pub fn of_graph(error: GraphError, desired: &[Resource], topology: &Topology) -> Objections {
    let failure = Failure::new(error.to_string());
    let objection = match error {
        GraphError::Missing { by, needed } => {
            let ids = || desired.iter().map(|resource| &resource.id);
            let failure = match Id::find(needed.as_str(), ids()) {
                Err(several @ NotOne::Several { .. }) => Failure::new(several.to_string()),
                _ => failure.hint(match nearest::to(needed.as_str(), ids().map(Id::as_str)) {
                    Some(near) => format!("write `{near}`"),
                    None => "`topo graph` lists the ids once this need is removed".to_owned(),
                }),
            };
            let key = asking(topology, |need| need == needed.as_str());
            Objection { code: MISSING, key: key.or_else(|| origin(&by, desired)), failure }
        }
        GraphError::Cycle(members) => {
            let member = |need: &str| members.iter().any(|id| id.as_str() == need);
            let first = members.first().and_then(|id| origin(id, desired));
            Objection {
                code: CYCLE,
                key: asking(topology, member).or(first),
                failure: failure.hint("remove one of these `needs`"),
            }
        }
        GraphError::Twice(id) => Objection { code: OTHER, key: origin(&id, desired), failure },
    };
    Objections(vec![objection])
}

/// The key of the first of the file's `needs` that is such a one.
fn asking(topology: &Topology, is_it: impl Fn(&str) -> bool) -> Option<String> {
    fn listed<'a>(
        list: &'static str,
        needs: impl Iterator<Item = &'a Vec<NeedId>>,
    ) -> impl Iterator<Item = (String, &'a NeedId)> {
        needs.enumerate().flat_map(move |(at, needs)| {
            let key = move |nth| format!("{list}.{at}.needs.{nth}");
            needs.iter().enumerate().map(move |(nth, need)| (key(nth), need))
        })
    }
    let manifests = listed("manifests", topology.manifests.iter().map(|entry| &entry.needs));
    let ports = listed("gateway.ports", topology.ports().iter().map(|port| &port.needs));
    let shares = listed("shares", topology.shares.iter().map(|share| &share.needs));
    let mut all = manifests.chain(ports).chain(shares);
    all.find(|(_, need)| is_it(need.as_str())).map(|(key, _)| key)
}

fn origin(id: &Id, desired: &[Resource]) -> Option<String> {
    let resource = desired.iter().rev().find(|resource| resource.id == *id)?;
    match &resource.origin {
        Origin::Key(key) => Some(key.to_string()),
        _ => None,
    }
}
