//! The second decision: about what could not be looked at, or compared, when the plan was made.

use serde_json::Value;

use super::diff::{Comparison, Difference};
use super::planner::moved;
use super::{Action, Bond, Effect, FORMAT, Id, Item, Owner, Resource, SecretKey, State, World};

/// What is known at a resource's turn, when everything that it needs has ended.
pub struct LateRequest<'a> {
    pub item: &'a Item,
    /// None for what left the file.
    pub resource: Option<&'a Resource>,
    pub world: &'a World,
    pub key: &'a SecretKey,
    pub given: &'a dyn Fn(&Id, &str) -> Option<Value>,
}

/// Why nothing may be done: only what loses nothing is done without having been shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("`{0}` left the file and is still there")]
    NotShown(Id),
    #[error("`{id}` would have to be replaced, which the plan could not show: {why}")]
    WouldReplace { id: Id, why: String },
    #[error("`{0}` cannot be inspected: {1}")]
    Closed(Id, String),
    #[error("`{0}` cannot be inspected: {1}")]
    Unseen(Id, String),
    #[error("{0}")]
    Foreign(String),
    #[error("`{0}` was written by a newer topo (record format {1}; this one reads up to {FORMAT})")]
    Newer(Id, u32),
}

/// Never a replace and never a delete.
pub fn decide_late(late: &LateRequest) -> Result<Action, Refusal> {
    let id = &late.item.id;
    let Some(seen) = late.world.things.get(id) else {
        return absent(late);
    };
    let Some(resource) = late.resource else {
        return Err(Refusal::NotShown(id.clone()));
    };
    let record = match &seen.owner {
        Owner::Mine(record) => record,
        Owner::Foreign(_) if resource.table.lookup => return Ok(Action::None),
        Owner::Foreign(whose) => return Err(Refusal::Foreign(whose.clone())),
        Owner::Borrowed => return Ok(Action::None),
    };
    if record.is_from_the_future() {
        return Err(Refusal::Newer(id.clone(), record.format));
    }
    let would_replace = |why: String| Err(Refusal::WouldReplace { id: id.clone(), why });
    if seen.state == State::Partial {
        return would_replace("it was left half-made by a run that was cut off".to_owned());
    }

    if let Some(why) = moved(resource, record) {
        return would_replace(why);
    }
    let Difference { changes, effect, undecided, .. } = Comparison {
        resource,
        record,
        seen,
        key: late.key,
        given: late.given,
        stirred: &|_| None,
        places: &|_| None,
    }
    .difference();
    if let Some((field, giver)) = undecided {
        return would_replace(format!("`{giver}` did not give its `{field}`"));
    }
    match effect {
        Some(Effect::Replace) => {
            let forcing: Vec<String> = changes
                .into_iter()
                .filter(|change| change.forces_replace)
                .map(|change| format!("its `{}` is another now", change.path))
                .collect();
            would_replace(forcing.join(", "))
        }
        Some(Effect::InPlace | Effect::Unsettles) => Ok(Action::Update),
        None if seen.state == State::Stopped => Ok(Action::Start),
        None => Ok(Action::None),
    }
}

/// Absent from a place that was looked into is absent; from another it is not known.
fn absent(late: &LateRequest) -> Result<Action, Refusal> {
    let world = late.world;
    if let Some(place) = closed_place(world, late.item) {
        let why = world.blind.get(place).map_or("it is stopped", String::as_str).to_owned();
        return Err(if *place == late.item.id {
            Refusal::Unseen(place.clone(), why)
        } else {
            Refusal::Closed(place.clone(), why)
        });
    }
    Ok(match late.resource {
        Some(resource) if !resource.table.lookup => Action::Create,
        _ => Action::None,
    })
}

/// What an item may be inside of, unseen: by its bonds, or where it was made.
pub fn closed_place<'a>(world: &'a World, item: &'a Item) -> Option<&'a Id> {
    let within = |bond: &'a Bond| match bond {
        Bond::Inside(parent) if world.is_closed(parent) => Some(parent),
        _ => None,
    };
    item.bonds.iter().find_map(within).or_else(|| world.hidden_in(&item.id))
}
