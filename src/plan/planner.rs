//! From what is wanted, recorded and seen to what would be done. Pure: it asks nobody.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::diff::{Comparison, Difference};
use super::{
    Action, Bond, Cause, Effect, Graph, GraphError, Id, Item, Owner, Plan, Record, Resource,
    SecretKey, Seen, State, Table, World,
};

/// Everything that a plan is made of.
pub struct Request<'a> {
    pub topology: &'a str,
    /// In any order; nothing at all to take everything down.
    pub desired: &'a [Resource],
    pub world: &'a World,
    /// What each kind tells of itself, for things that are no longer desired.
    pub tables: &'a dyn Fn(&str) -> Option<&'static Table>,
    /// Where a key of the topology file stands: `topo.yaml:31:5`.
    pub places: &'a dyn Fn(&str) -> Option<String>,
    pub key: &'a SecretKey,
    /// Replaced even if nothing about them changed.
    pub replace: &'a [Id],
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(
        "`{id}` was written by a newer topo (record format {format}; this one reads up to {})",
        super::record::FORMAT
    )]
    Newer { id: Id, format: u32 },
}

pub fn plan(request: &Request) -> Result<Plan, PlanError> {
    refuse_newer_records(request.world)?;
    let by_id: HashMap<&Id, &Resource> =
        request.desired.iter().map(|resource| (&resource.id, resource)).collect();

    let mut planner = Planner { request, decided: HashMap::with_capacity(by_id.len()) };
    let mut items = Vec::with_capacity(by_id.len());
    for id in Graph::of(request.desired)?.order()? {
        let resource = by_id[&id];
        let item = planner.decide(resource);
        planner.decided.insert(id, Decision::of(&item, resource));
        items.push(item);
    }
    items.extend(planner.removals(&by_id));
    Ok(Plan { topology: request.topology.to_owned(), items })
}

fn refuse_newer_records(world: &World) -> Result<(), PlanError> {
    let seen = world.things.iter().filter_map(|(id, seen)| match &seen.owner {
        Owner::Mine(record) => Some((id, record)),
        Owner::Foreign(_) | Owner::Borrowed => None,
    });
    seen.chain(&world.remembered)
        .filter(|(_, record)| record.is_from_the_future())
        .min_by_key(|(id, _)| *id)
        .map_or(Ok(()), |(id, record)| {
            Err(PlanError::Newer { id: id.clone(), format: record.format })
        })
}

struct Planner<'a> {
    request: &'a Request<'a>,
    decided: HashMap<Id, Decision>,
}

/// What later resources must know of one that was decided.
struct Decision {
    action: Action,
    cause: Option<Cause>,
    /// Its outputs may come out otherwise than they are now.
    unsettled: bool,
}

impl Decision {
    fn of(item: &Item, resource: &Resource) -> Self {
        let unsettled = match item.action {
            Action::None | Action::Blocked => false,
            Action::Update => item.changes.iter().any(|change| {
                let field = change.path.split('.').next().unwrap_or(&change.path);
                resource.table.effect(field) == Effect::Unsettles
            }),
            _ => true,
        };
        Self { action: item.action, cause: item.cause, unsettled }
    }
}

impl Planner<'_> {
    fn decide(&self, resource: &Resource) -> Item {
        let world = self.request.world;
        let mut item = Item::new(resource.id.clone(), Action::None);
        item.bonds.clone_from(&resource.bonds);

        let seen = world.things.get(&resource.id);
        if let Some(Owner::Foreign(whose)) = seen.map(|seen| &seen.owner) {
            item.action = Action::Blocked;
            item.why = Some(whose.clone());
            return item;
        }
        if let Some((parent, decision)) = self.vanishing_parent(resource) {
            item.action = Action::Create;
            item.cause = decision.cause;
            if seen.is_some() {
                item.why = Some(format!("`{parent}` is made anew"));
            }
            return item;
        }
        if let Some(why) = self.out_of_sight(resource, seen) {
            item.action = Action::Deferred;
            item.why = Some(why);
            return item;
        }
        match seen {
            None => self.absent(resource, &mut item),
            Some(seen) => match &seen.owner {
                Owner::Mine(record) => self.compare(resource, record, seen, &mut item),
                Owner::Foreign(_) | Owner::Borrowed => {
                    if let State::Unready(last) = &seen.state {
                        item.waits = Some(last.clone());
                    }
                }
            },
        }
        self.guard(resource, &mut item);
        item
    }

    /// A parent that this resource lives in and that is about to be made, first or again.
    fn vanishing_parent(&self, resource: &Resource) -> Option<(Id, &Decision)> {
        resource.bonds.iter().filter(|bond| bond.is_held()).find_map(|bond| {
            let decision = self.decided.get(bond.id())?;
            matches!(decision.action, Action::Create | Action::Replace)
                .then(|| (bond.id().clone(), decision))
        })
    }

    /// Why the resource cannot be looked at now: what it is inside of is stopped or does not answer.
    fn out_of_sight(&self, resource: &Resource, seen: Option<&Seen>) -> Option<String> {
        if seen.is_some() {
            return None;
        }
        resource.bonds.iter().find_map(|bond| {
            let Bond::Inside(parent) = bond else { return None };
            if let Some(why) = self.request.world.blind.get(parent) {
                return Some(format!("`{parent}` cannot be looked into: {why}"));
            }
            match self.decided.get(parent)?.action {
                Action::Start => Some(format!("`{parent}` is stopped")),
                Action::Deferred => Some(format!("`{parent}` cannot be seen yet")),
                _ => None,
            }
        })
    }

    fn absent(&self, resource: &Resource, item: &mut Item) {
        if resource.table.lookup {
            item.action = Action::Deferred;
            item.why = Some("it does not exist, and nothing in this file makes it".to_owned());
            return;
        }
        item.action = Action::Create;
        let was_made = self.request.world.remembered.contains_key(&resource.id);
        item.cause = Some(if was_made { Cause::Drift } else { Cause::File });
    }

    fn compare(&self, resource: &Resource, record: &Record, seen: &Seen, item: &mut Item) {
        if seen.state == State::Partial {
            item.action = Action::Replace;
            item.cause = Some(Cause::Drift);
            item.why = Some("it was left half-made by a run that was cut off".to_owned());
            return;
        }
        let Difference { changes, mut cause, effect } = Comparison {
            resource,
            record,
            seen,
            key: self.request.key,
            given: &|giver, output| self.given(giver, output),
            places: self.request.places,
        }
        .difference();

        let forced = self.reason_to_replace(resource);
        item.action = match (&seen.state, effect) {
            _ if forced.is_some() => Action::Replace,
            (_, Some(Effect::Replace)) => Action::Replace,
            (_, Some(_)) => Action::Update,
            (State::Stopped, None) => Action::Start,
            (_, None) => Action::None,
        };
        if seen.state == State::Stopped {
            cause = Some(cause.map_or(Cause::Drift, |cause| cause.and(Cause::Drift)));
            item.why = Some("stopped outside topo".to_owned());
        }
        if let Some((why, because)) = forced {
            item.why = Some(why);
            cause = Some(cause.map_or(because, |cause| cause.and(because)));
        }
        if let (State::Unready(last), Action::None) = (&seen.state, item.action) {
            item.waits = Some(last.clone());
        }
        item.changes = changes;
        item.cause = cause;
    }

    /// Replaced because a person says so, or because what it rests on has to go.
    fn reason_to_replace(&self, resource: &Resource) -> Option<(String, Cause)> {
        if self.request.replace.contains(&resource.id) {
            return Some(("asked for by --replace".to_owned(), Cause::File));
        }
        resource.bonds.iter().find_map(|bond| {
            let Bond::Rests(parent) = bond else { return None };
            let decision = self.decided.get(parent)?;
            matches!(decision.action, Action::Create | Action::Replace).then(|| {
                let why = format!("it rests on `{parent}`, which is made anew");
                (why, decision.cause.unwrap_or(Cause::File))
            })
        })
    }

    /// Outputs of a resource that will not change them; those of others are not known yet.
    fn given(&self, giver: &Id, output: &str) -> Option<Value> {
        if self.decided.get(giver).is_some_and(|decision| decision.unsettled) {
            return None;
        }
        self.request.world.output(giver, output).cloned()
    }

    /// What loses something asks first; what is protected is refused.
    fn guard(&self, resource: &Resource, item: &mut Item) {
        if item.action != Action::Replace {
            return;
        }
        let half_made = self
            .request
            .world
            .things
            .get(&resource.id)
            .is_some_and(|seen| seen.state == State::Partial);
        if resource.protect && !half_made {
            item.action = Action::Blocked;
            item.why = Some(format!(
                "it would have to be replaced ({}), and it is protected: remove `protect: true` first",
                reasons(item)
            ));
        } else if (resource.table.precious)(&resource.id) && !half_made {
            item.asks = Some(format!("replaces `{}`: what is in it is lost", resource.id));
        }
    }

    /// What is there, is topo's, and is no longer asked for. Dependents come before what they need.
    fn removals(&self, desired: &HashMap<&Id, &Resource>) -> Vec<Item> {
        let world = self.request.world;
        let mut leaving: Vec<(&Id, &Record)> = world
            .things
            .iter()
            .filter(|(id, _)| !desired.contains_key(id))
            .filter_map(|(id, seen)| match &seen.owner {
                Owner::Mine(record) => Some((id, record)),
                Owner::Foreign(_) | Owner::Borrowed => None,
            })
            .collect();
        leaving.sort_unstable_by_key(|(id, _)| *id);
        let gone: HashSet<&Id> = leaving.iter().map(|(id, _)| *id).collect();

        let mut items: Vec<Item> = leaving
            .into_iter()
            .filter(|(_, record)| !self.goes_with_another(record, &gone))
            .map(|(id, record)| self.removal(id, record))
            .collect();
        items.extend(self.unseen_leavers(desired));
        dependents_first(items)
    }

    fn goes_with_another(&self, record: &Record, gone: &HashSet<&Id>) -> bool {
        record.bonds().iter().filter(|bond| bond.is_held()).any(|bond| {
            gone.contains(bond.id())
                || self.decided.get(bond.id()).is_some_and(|decision| {
                    matches!(decision.action, Action::Create | Action::Replace)
                })
        })
    }

    fn removal(&self, id: &Id, record: &Record) -> Item {
        let mut item = Item::new(id.clone(), Action::Delete);
        item.cause = Some(Cause::File);
        item.bonds = record.bonds();
        if record.protect {
            item.action = Action::Blocked;
            item.why = Some(
                "it is protected: apply a file that has it without `protect: true` first"
                    .to_owned(),
            );
        } else if (self.request.tables)(id.kind()).is_some_and(|table| (table.precious)(id)) {
            item.asks = Some(format!("deletes `{id}`: what is in it is lost"));
        }
        item
    }

    /// What left the file while it could not be seen: said, and looked for again once it can be.
    fn unseen_leavers(&self, desired: &HashMap<&Id, &Resource>) -> Vec<Item> {
        let world = self.request.world;
        world
            .remembered
            .iter()
            .filter(|(id, _)| !desired.contains_key(id) && !world.things.contains_key(*id))
            .filter_map(|(id, record)| {
                let hidden = record.bonds().into_iter().find_map(|bond| match bond {
                    Bond::Inside(parent) if world.blind.contains_key(&parent) => Some(parent),
                    _ => None,
                })?;
                // Taken down with its parent, it needs no looking for.
                desired.contains_key(&hidden).then(|| {
                    let mut item = Item::new(id.clone(), Action::Deferred);
                    item.bonds = record.bonds();
                    item.cause = Some(Cause::File);
                    item.why = Some(format!(
                        "it left the file, and `{hidden}` cannot be looked into: {}",
                        world.blind[&hidden]
                    ));
                    item
                })
            })
            .collect()
    }
}

fn reasons(item: &Item) -> String {
    let forcing: Vec<&str> = item
        .changes
        .iter()
        .filter(|change| change.forces_replace)
        .map(|change| change.path.as_str())
        .collect();
    match (forcing.is_empty(), &item.why) {
        (false, _) => forcing.join(", "),
        (true, Some(why)) => why.clone(),
        (true, None) => "asked for".to_owned(),
    }
}

/// Orders removals by their recorded needs; where records contradict one another, the order of ids stands.
fn dependents_first(items: Vec<Item>) -> Vec<Item> {
    let position: HashMap<Id, usize> =
        items.iter().enumerate().map(|(at, item)| (item.id.clone(), at)).collect();
    let mut visited = vec![false; items.len()];
    let mut needed_first = Vec::with_capacity(items.len());
    for start in 0..items.len() {
        let mut stack = vec![(start, false)];
        while let Some((at, done)) = stack.pop() {
            if done {
                needed_first.push(at);
            } else if !std::mem::replace(&mut visited[at], true) {
                stack.push((at, true));
                stack.extend(
                    items[at]
                        .bonds
                        .iter()
                        .filter_map(|bond| Some((*position.get(bond.id())?, false))),
                );
            }
        }
    }
    let mut slots: Vec<Option<Item>> = items.into_iter().map(Some).collect();
    needed_first.into_iter().rev().filter_map(|at| slots[at].take()).collect()
}
