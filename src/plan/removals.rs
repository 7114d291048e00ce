//! What is there, is topo's, and is no longer asked for.

use std::collections::{HashMap, HashSet};

use super::planner::{Decision, Request};
use super::{Action, Bond, Cause, Id, IdMap, Item, Record, Resource};

/// Dependents come before what they need.
pub(super) fn removals(
    request: &Request,
    desired: &IdMap<&Id, &Resource>,
    decided: &IdMap<Id, Decision>,
) -> Vec<Item> {
    let world = request.world;
    let leaving: HashMap<&Id, &Record> =
        world.records().filter(|(id, _)| !desired.contains_key(id)).collect();
    let mut removals = Removals { request, decided, leaving, kept: HashMap::new() };
    removals.keep_what_is_protected();
    let mut items: Vec<Item> = world
        .remembered
        .iter()
        .filter(|(id, _)| !desired.contains_key(id) && !world.things.contains_key(*id))
        .filter_map(|(id, record)| removals.unseen(id, record))
        .collect();
    removals.keep_what_is_needed_by(&items);
    items.extend(removals.leftovers(desired));
    items.extend(
        removals
            .leaving
            .iter()
            .filter(|(id, record)| removals.kept.contains_key(*id) || !removals.goes_with(record))
            .map(|(id, record)| removals.item(id, record)),
    );
    items.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    dependents_first(items)
}

struct Removals<'a> {
    request: &'a Request<'a>,
    decided: &'a IdMap<Id, Decision>,
    leaving: HashMap<&'a Id, &'a Record>,
    /// What has to stay though it left the file.
    kept: HashMap<&'a Id, Stay>,
}

struct Stay {
    /// `Blocked` for good, or `Deferred` until what needs it can be seen.
    action: Action,
    why: String,
}

impl<'a> Removals<'a> {
    /// With all that it needs; and what is needed by a resource that could not be replaced.
    fn keep_what_is_protected(&mut self) {
        let protected: Vec<(&Id, &Record)> = self
            .leaving
            .iter()
            .filter(|(_, record)| record.protect)
            .map(|(id, record)| (*id, *record))
            .collect();
        for (id, _) in &protected {
            let why = "it is protected: apply a file that has it without `protect: true` first";
            self.kept.insert(id, Stay { action: Action::Blocked, why: why.to_owned() });
        }
        let world = self.request.world;
        let refused = self.decided.iter().filter(|(_, decision)| decision.is_blocked());
        let refused = refused.filter_map(|(id, _)| Some((id, world.record(id)?)));
        let staying = protected.into_iter().chain(refused).collect();
        self.keep_needs_of(staying, Action::Blocked, "stays");
    }

    /// What could not be seen cannot be removed yet, so nothing is taken from under it.
    fn keep_what_is_needed_by(&mut self, unseen: &[Item]) {
        let remembered = &self.request.world.remembered;
        let unseen = unseen.iter().filter_map(|item| remembered.get_key_value(&item.id)).collect();
        self.keep_needs_of(unseen, Action::Deferred, "cannot be looked at yet");
    }

    fn keep_needs_of(&mut self, mut open: Vec<(&'a Id, &'a Record)>, action: Action, so: &str) {
        open.sort_unstable_by_key(|(id, _)| *id);
        while let Some((by, record)) = open.pop() {
            for bond in &record.needs {
                if let Some((id, record)) = self.leaving.get_key_value(bond.id())
                    && !self.kept.contains_key(id)
                {
                    let why = format!("`{by}`, which needs it, {so}");
                    self.kept.insert(id, Stay { action, why });
                    open.push((id, record));
                }
            }
        }
    }

    /// Whether it needs no removal of its own, since what it lives in goes, for good or to be made again.
    fn goes_with(&self, record: &Record) -> bool {
        record.holders().any(|holder| self.goes(holder))
    }

    fn goes(&self, id: &Id) -> bool {
        self.decided.get(id).map_or_else(
            || self.leaving.contains_key(id) && !self.kept.contains_key(id),
            Decision::vanishes,
        )
    }

    fn item(&self, id: &Id, record: &Record) -> Item {
        let mut item = Item::new(id.clone(), Action::Delete);
        item.cause = Some(Cause::File);
        item.bonds.clone_from(&record.needs);
        if let Some(stay) = self.kept.get(id) {
            item.action = stay.action;
            item.why = Some(stay.why.clone());
        } else if (self.request.tables)(id.kind()).is_some_and(|table| (table.precious)(id)) {
            item.asks = Some(format!("deletes `{id}`: everything in it will be lost"));
        }
        item
    }

    /// What is gone and has left something behind. Nobody is asked: nothing of it can be lost any more.
    fn leftovers(&self, desired: &IdMap<&Id, &Resource>) -> impl Iterator<Item = Item> {
        let world = self.request.world;
        let gone = |id: &&Id| !world.things.contains_key(*id) && !desired.contains_key(*id);
        world.leftovers.iter().filter(gone).map(|id| {
            let mut item = Item::new(id.clone(), Action::Delete);
            item.cause = Some(Cause::File);
            item.why = Some("it is gone, and what it left behind is removed".to_owned());
            let record = world.remembered.get(id);
            item.bonds = record.map(|record| record.needs.clone()).unwrap_or_default();
            item
        })
    }

    /// What left the file while it could not be seen: said, and looked for again once it can be.
    fn unseen(&self, id: &Id, record: &Record) -> Option<Item> {
        let world = self.request.world;
        let why = match world.blind.get(id) {
            Some(_) if self.goes_with(record) => return None,
            Some(why) => format!("it left the file, and cannot be inspected: {why}"),
            None => {
                let hidden = self.closed_and_staying(record)?;
                let why = world.blind.get(hidden).map_or("it is stopped", String::as_str);
                format!("it left the file, and `{hidden}` cannot be inspected: {why}")
            }
        };
        let mut item = Item::new(id.clone(), Action::Deferred);
        item.bonds.clone_from(&record.needs);
        item.cause = Some(Cause::File);
        item.why = Some(why);
        Some(item)
    }

    /// The place that a thing was made inside of, where that stays and cannot be inspected.
    fn closed_and_staying<'r>(&self, record: &'r Record) -> Option<&'r Id> {
        record.needs.iter().find_map(|bond| match bond {
            Bond::Inside(parent) => {
                let closed = self.request.world.is_closed(parent)
                    || self.decided.get(parent).is_some_and(Decision::is_closed);
                (closed && !self.goes(parent)).then_some(parent)
            }
            Bond::Uses(_) | Bond::Rests(_) | Bond::Holds(_) => None,
        })
    }
}

/// Orders removals by their recorded needs; where records contradict one another, the order of ids stands.
fn dependents_first(items: Vec<Item>) -> Vec<Item> {
    let position: HashMap<Id, usize> =
        items.iter().enumerate().map(|(at, item)| (item.id.clone(), at)).collect();
    let mut visited = HashSet::with_capacity(items.len());
    let mut needed_first = Vec::with_capacity(items.len());
    for start in 0..items.len() {
        let mut stack = vec![(start, false)];
        while let Some((at, done)) = stack.pop() {
            if done {
                needed_first.push(at);
            } else if visited.insert(at) {
                stack.push((at, true));
                let needs = items[at].bonds.iter().filter_map(|bond| position.get(bond.id()));
                stack.extend(needs.map(|needed| (*needed, false)));
            }
        }
    }
    let mut slots: Vec<Option<Item>> = items.into_iter().map(Some).collect();
    needed_first.into_iter().rev().filter_map(|at| slots[at].take()).collect()
}
