//! The plan as data: what would be done to each resource, and why.

use std::collections::HashSet;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::seal::MASK;
use super::{Bond, Id};

#[derive(Debug, Clone, Default)]
pub struct Plan {
    pub topology: String,
    /// In an order in which they could be carried out.
    pub items: Vec<Item>,
}

/// What would be done to one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub id: Id,
    pub action: Action,
    pub cause: Option<Cause>,
    pub changes: Vec<Change>,
    /// Where the file says so, of what it adds: `topo.yaml:31:5`.
    pub at: Option<String>,
    pub bonds: Vec<Bond>,
    /// Why it is blocked, deferred, replaced or deleted.
    pub why: Option<String>,
    /// What a person must agree to first.
    pub asks: Option<String>,
    /// Nothing to change, but it is not working yet: what it last said.
    pub waits: Option<String>,
    /// It is there, and is removed with this before it is made again.
    pub goes_with: Option<Id>,
    /// What it will be, of one that is created.
    pub values: Vec<(String, Shown)>,
    /// By what that is known which is taken over, with this and as it is.
    pub takes_over: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Create,
    Update,
    Start,
    /// It stands still until it is started, and loses nothing by it.
    Stop,
    Replace,
    Delete,
    None,
    /// It cannot be looked at yet; decided when its turn comes.
    Deferred,
    /// It cannot be done; `why` says what to do instead.
    Blocked,
}

impl Action {
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Create => "+",
            Self::Update => "~",
            Self::Start => "!",
            Self::Stop => "■",
            Self::Replace => "±",
            Self::Delete => "-",
            Self::None => " ",
            Self::Deferred => "?",
            Self::Blocked => "x",
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::None => "none",
            Self::Deferred => "deferred",
            Self::Blocked => "blocked",
        }
    }

    pub fn past(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Update => "updated",
            Self::Start => "started",
            Self::Stop => "stopped",
            Self::Replace => "replaced",
            Self::Delete => "deleted",
            Self::None => "unchanged",
            Self::Deferred => "left for later",
            Self::Blocked => "blocked",
        }
    }

    pub fn changes_something(self) -> bool {
        self != Self::None
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Whether the file asks for something else than was applied, or the world is no longer as it was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    File,
    Drift,
    Both,
}

impl Cause {
    pub fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Both }
    }

    /// Together with another cause, if there is one.
    pub fn with(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| self.and(other))
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Drift => "drift",
            Self::Both => "both",
        }
    }
}

/// One field that would change.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// As the file has it: `mounts[0].hostPath`.
    pub path: String,
    /// The field of the resource that it is in.
    #[serde(skip)]
    pub field: String,
    pub before: Shown,
    pub after: Shown,
    /// Where the file says so: `topo.yaml:31:5`.
    pub at: Option<String>,
    pub forces_replace: bool,
    #[serde(skip)]
    pub cause: Cause,
    /// Who changed it, for drift.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A value as a plan may show it.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    Absent,
    Value(Value),
    Sensitive,
    /// Known only after this resource has been applied.
    Unknown(Id),
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent => serializer.serialize_none(),
            Self::Value(value) => value.serialize(serializer),
            Self::Sensitive => serializer.serialize_str(MASK),
            Self::Unknown(id) => json!({ "unknown": id }).serialize(serializer),
        }
    }
}

impl Item {
    pub fn new(id: Id, action: Action) -> Self {
        Self {
            id,
            action,
            cause: None,
            changes: Vec::new(),
            at: None,
            bonds: Vec::new(),
            why: None,
            asks: None,
            waits: None,
            goes_with: None,
            values: Vec::new(),
            takes_over: Vec::new(),
        }
    }

    /// It cannot be carried out, and so neither can the plan.
    pub fn block(&mut self, why: impl Into<String>) {
        self.action = Action::Blocked;
        self.why = Some(why.into());
        self.asks = None;
        self.goes_with = None;
    }
}

/// As `topo diff -o json` shows it.
impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct View<'a> {
            id: &'a Id,
            action: Action,
            cause: Option<Cause>,
            changes: &'a [Change],
            #[serde(skip_serializing_if = "Option::is_none")]
            at: Option<&'a str>,
            needs: Vec<&'a Id>,
            why: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            asks: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            waits: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            goes_with: Option<&'a Id>,
        }
        View {
            id: &self.id,
            action: self.action,
            cause: self.cause,
            changes: &self.changes,
            at: self.at.as_deref(),
            needs: self.bonds.iter().map(Bond::id).collect(),
            why: self.why.as_deref(),
            asks: self.asks.as_deref(),
            waits: self.waits.as_deref(),
            goes_with: self.goes_with.as_ref(),
        }
        .serialize(serializer)
    }
}

/// How many resources each action touches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub create: usize,
    pub update: usize,
    pub start: usize,
    pub stop: usize,
    pub replace: usize,
    pub delete: usize,
    pub none: usize,
    pub deferred: usize,
    pub blocked: usize,
    pub drifted: usize,
}

impl Plan {
    /// Nothing to change and nothing that could not be seen.
    pub fn in_sync(&self) -> bool {
        self.items.iter().all(|item| !item.action.changes_something() && item.waits.is_none())
    }

    /// What this plan changes or waits for, and everything that is on it.
    pub fn touched(&self) -> HashSet<Id> {
        let mut touched = HashSet::new();
        for item in &self.items {
            let is_at_rest = item.action == Action::None && item.waits.is_none();
            if !is_at_rest || item.bonds.iter().any(|bond| touched.contains(bond.id())) {
                touched.insert(item.id.clone());
            }
        }
        touched
    }

    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for item in &self.items {
            let count = match item.action {
                Action::Create => &mut summary.create,
                Action::Update => &mut summary.update,
                Action::Start => &mut summary.start,
                Action::Stop => &mut summary.stop,
                Action::Replace => &mut summary.replace,
                Action::Delete => &mut summary.delete,
                Action::None => &mut summary.none,
                Action::Deferred => &mut summary.deferred,
                Action::Blocked => &mut summary.blocked,
            };
            *count += 1;
            if matches!(item.cause, Some(Cause::Drift | Cause::Both)) {
                summary.drifted += 1;
            }
        }
        summary
    }

    pub fn item(&self, id: &Id) -> Option<&Item> {
        self.items.iter().find(|item| item.id == *id)
    }
}

/// The `topo.diff/v1` document.
impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Document<'a> {
            format: &'static str,
            topology: &'a str,
            in_sync: bool,
            actions: &'a [Item],
            summary: Summary,
        }
        Document {
            format: "topo.diff/v1",
            topology: &self.topology,
            in_sync: self.in_sync(),
            actions: &self.items,
            summary: self.summary(),
        }
        .serialize(serializer)
    }
}
