//! What is there: everything that was seen, whose it is, and what could not be seen.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Bond, FieldName, Fields, Id, IdMap, Outputs, Record, Span};

/// One look at the engine and the cluster.
#[derive(Debug, Clone, Default)]
pub struct World {
    pub things: IdMap<Id, Seen>,
    /// Resources that could not be looked into, and why. Nothing in them is taken for missing; nor is
    /// the resource itself, where it is not among `things`.
    pub blind: BTreeMap<Id, String>,
    /// What a claim says was made, for things that carry no mark of their own or cannot be seen now.
    pub remembered: BTreeMap<Id, Record>,
    /// What is gone itself and has left something behind: a gateway's volume, a cluster's entry in the
    /// kubeconfig. Nothing to be mended while it is wanted, something to be removed once it is not.
    pub leftovers: BTreeSet<Id>,
    /// What could not be made now as the file has it, and why: so nothing is removed to make it.
    pub impossible: BTreeMap<Id, String>,
}

impl World {
    pub fn add(&mut self, id: Id, seen: Seen) {
        self.things.insert(id, seen);
    }

    /// What another part of the same look has seen.
    pub fn extend(&mut self, other: Self) {
        let Self { things, blind, remembered, leftovers, impossible } = other;
        self.things.extend(things);
        self.blind.extend(blind);
        self.remembered.extend(remembered);
        self.leftovers.extend(leftovers);
        self.impossible.extend(impossible);
    }

    /// The record of a thing that bears this topology's mark.
    pub fn record(&self, id: &Id) -> Option<&Record> {
        match &self.things.get(id)?.owner {
            Owner::Mine(record) => Some(record),
            Owner::Foreign(_) | Owner::Borrowed => None,
        }
    }

    /// Of everything that bears this topology's mark.
    pub fn records(&self) -> impl Iterator<Item = (&Id, &Record)> {
        self.things.iter().filter_map(|(id, seen)| match &seen.owner {
            Owner::Mine(record) => Some((id, record)),
            Owner::Foreign(_) | Owner::Borrowed => None,
        })
    }

    /// Whether what is in a thing cannot be seen: it stands still, or did not answer.
    pub fn is_closed(&self, id: &Id) -> bool {
        self.blind.contains_key(id)
            || self.things.get(id).is_some_and(|seen| seen.state == State::Stopped)
    }

    /// What keeps a thing that was made from being seen: the closed place that it was made inside of,
    /// or itself, where it did not answer.
    pub fn hidden_in(&self, id: &Id) -> Option<&Id> {
        let mut open = vec![id];
        let mut met: Vec<&Id> = Vec::new();
        while let Some(id) = open.pop() {
            if self.things.contains_key(id) || met.contains(&id) {
                continue;
            }
            met.push(id);
            if let Some((unanswering, _)) = self.blind.get_key_value(id) {
                return Some(unanswering);
            }
            for bond in self.remembered.get(id).map_or(&[][..], |record| &record.needs) {
                match bond {
                    Bond::Inside(parent) if self.is_closed(parent) => return Some(parent),
                    Bond::Inside(parent) | Bond::Holds(parent) => open.push(parent),
                    Bond::Uses(_) | Bond::Rests(_) => {}
                }
            }
        }
        None
    }

    pub fn output(&self, id: &Id, name: &str) -> Option<&Value> {
        self.things.get(id)?.outputs.get(name)
    }
}

/// One thing that is there.
#[derive(Debug, Clone)]
pub struct Seen {
    pub owner: Owner,
    pub state: State,
    /// Live values of the fields that topo sets, as far as they can be observed.
    pub fields: Fields<Value>,
    pub outputs: Outputs,
    /// What it holds of things that only one may have.
    pub holds: Vec<Span>,
    /// The parts of that which others are using now: they lose them if it gives them up.
    pub in_use: Vec<(Span, Id)>,
    /// Differences from what was applied that the observer found by itself.
    pub drift: Vec<Drifted>,
    /// By what something foreign is known again when it is taken over; empty where it cannot be.
    pub uids: Vec<String>,
}

impl Seen {
    pub fn new(owner: Owner, state: State) -> Self {
        Self {
            owner,
            state,
            fields: Fields::new(),
            outputs: Outputs::new(),
            holds: Vec::new(),
            in_use: Vec::new(),
            drift: Vec::new(),
            uids: Vec::new(),
        }
    }

    pub fn mine(record: Record) -> Self {
        Self::new(Owner::Mine(record), State::Ready)
    }

    pub fn foreign(whose: impl Into<String>) -> Self {
        Self::new(Owner::Foreign(whose.into()), State::Ready)
    }

    pub fn borrowed() -> Self {
        Self::new(Owner::Borrowed, State::Ready)
    }

    pub fn state(mut self, state: State) -> Self {
        self.state = state;
        self
    }

    pub fn field(mut self, name: impl Into<FieldName>, live: impl Into<Value>) -> Self {
        self.fields.set(name, live.into());
        self
    }

    pub fn output(mut self, name: impl Into<FieldName>, value: impl Into<Value>) -> Self {
        self.outputs.set(name, value.into());
        self
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Owner {
    /// It bears this topology's mark, and this is what was applied.
    Mine(Record),
    /// It stands where a resource of this topology belongs and is not topo's: whose, and what to do.
    Foreign(String),
    /// It is not topo's and is used as it is.
    Borrowed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Ready,
    /// There and in order, but not working yet: what it last said. Nothing to change, something to wait for.
    Unready(String),
    /// There, and made to stand still: to be started, not made.
    Stopped,
    /// Half-made by a run that was cut off: holds nothing of the user's, removed and made again unasked.
    Partial,
}

/// A field that somebody else changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Drifted {
    pub path: String,
    pub live: Value,
    pub applied: Value,
    /// Who changed it, where that can be known.
    pub by: Option<String>,
}
