//! What the file wants: a resource is a table of fields and the bonds it has to others.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Fields, Id};

/// One thing that the topology asks for.
#[derive(Debug, Clone)]
pub struct Resource {
    pub id: Id,
    pub table: &'static Table,
    pub fields: Fields<Want>,
    pub bonds: Vec<Bond>,
    /// Needs that are met before the other is done, as soon as its making has come to a stage.
    pub early: Vec<(Id, Stage)>,
    /// What it will hold of things that only one may have: addresses, ports.
    pub takes: Vec<Span>,
    /// Refuse to replace or delete it, whatever the file says elsewhere.
    pub protect: bool,
    pub origin: Origin,
    /// What it leads to, in a person's words.
    pub leads_to: Option<Box<str>>,
}

impl Resource {
    pub fn new(id: Id, table: &'static Table) -> Self {
        debug_assert_eq!(id.kind(), table.kind);
        Self {
            id,
            table,
            fields: Fields::new(),
            bonds: Vec::new(),
            early: Vec::new(),
            takes: Vec::new(),
            protect: false,
            origin: Origin::Nowhere,
            leads_to: None,
        }
    }

    pub fn field(mut self, name: &'static str, want: Want) -> Self {
        self.fields.set(name, want);
        self
    }

    pub fn bond(mut self, bond: Bond) -> Self {
        self.bonds.push(bond);
        self
    }

    /// While the other is being made, the need of it is met at that stage already.
    pub fn from_stage(mut self, id: Id, stage: Stage) -> Self {
        self.early.reserve_exact(1);
        self.early.push((id, stage));
        self
    }

    pub fn takes(mut self, span: Span) -> Self {
        self.takes.push(span);
        self
    }

    pub fn protect(mut self, protect: bool) -> Self {
        self.protect = protect;
        self
    }

    pub fn leads_to(mut self, target: impl Into<Box<str>>) -> Self {
        self.leads_to = Some(target.into());
        self
    }

    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// The values that the file itself states, without those that are chosen or given later.
    pub fn stated(&self) -> Fields<Value> {
        let stated = self.fields.iter().filter_map(|(name, want)| match want {
            Want::Is(value) => Some((name.clone(), value.clone())),
            Want::Auto | Want::After(..) => None,
        });
        stated.collect()
    }

    /// What it needs: its bonds, and whoever gives one of its fields.
    pub fn needs(&self) -> impl Iterator<Item = &Id> {
        let givers = self.fields.iter().filter_map(|(_, want)| match want {
            Want::After(giver, _) => Some(giver),
            Want::Is(_) | Want::Auto => None,
        });
        self.bonds.iter().map(Bond::id).chain(givers)
    }
}

/// How far the making of a resource has come, by a name that its kind gives and announces.
pub type Stage = &'static str;

/// What a field shall be, as far as it is known before anything is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Want {
    /// Secrets in it are sealed.
    Is(Value),
    /// Topo chooses once and then keeps what was recorded.
    Auto,
    /// Another resource gives it: that resource and the name of its output.
    After(Id, &'static str),
}

impl Want {
    pub fn is(value: impl Into<Value>) -> Self {
        Self::Is(value.into())
    }
}

/// An edge of the graph, from a resource to one that it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bond {
    /// Order only.
    Uses(Id),
    /// It must be gone before the other can go, so replacing the other replaces it: a container on a network.
    Rests(Id),
    /// It lives in the other and vanishes with it: a port in its gateway.
    Holds(Id),
    /// As `Holds`, and it can be seen only while the other is up: an object in a cluster.
    Inside(Id),
}

impl Bond {
    pub fn id(&self) -> &Id {
        let (Self::Uses(id) | Self::Rests(id) | Self::Holds(id) | Self::Inside(id)) = self;
        id
    }

    /// Whether the resource vanishes with the other end.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Holds(_) | Self::Inside(_))
    }

    /// Whether the other end cannot be removed and leave the resource as it is.
    pub fn goes_along(&self) -> bool {
        self.is_held() || matches!(self, Self::Rests(_))
    }
}

/// What changing a field costs, the cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    InPlace,
    /// In place, but what consumed its outputs must look again.
    Unsettles,
    /// Only by removing the resource and making it anew.
    Replace,
}

/// What a kind of resource tells the planner about itself.
#[derive(Debug)]
pub struct Table {
    pub kind: &'static str,
    /// Fields that are not named here change in place.
    pub effects: &'static [(&'static str, Effect)],
    /// Never made by topo: only looked up for others.
    pub lookup: bool,
    /// It runs, and can stand still without being lost.
    pub stops: bool,
    /// Whether removing this one loses something, so that a person is asked first.
    pub precious: fn(&Id) -> bool,
    /// Fields that may have secrets in them.
    pub guarded: &'static [&'static str],
    /// Beginnings of paths, and what the file has in their place.
    pub names: &'static [(&'static str, &'static str)],
    /// Paths of what a person wants to know of one that is to be created.
    pub tells: &'static [&'static str],
}

impl Table {
    /// A kind whose fields all change in place, that is topo's own, and that is removed unasked.
    pub const fn plain(kind: &'static str) -> Self {
        Self {
            kind,
            effects: &[],
            lookup: false,
            stops: false,
            precious: |_| false,
            guarded: &[],
            names: &[],
            tells: &[],
        }
    }

    /// Of a field, or of the field that a path of keys begins with.
    pub fn effect(&self, path: &str) -> Effect {
        let field = field_of(path);
        self.effects
            .iter()
            .find(|(name, _)| *name == field)
            .map_or(Effect::InPlace, |(_, effect)| *effect)
    }

    /// The path as a person finds it in the topology file.
    pub fn path_in_file<'p>(&self, path: &'p str) -> Cow<'p, str> {
        let named = self.names.iter().find_map(|(here, there)| {
            let rest = path.strip_prefix(here)?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then(|| format!("{there}{rest}"))
        });
        named.map_or(Cow::Borrowed(path), Cow::Owned)
    }
}

/// The field in which a path of keys begins.
pub fn field_of(path: &str) -> &str {
    path.split(['.', '[']).next().unwrap_or(path)
}

/// A stretch of something only one may hold: IPv4 addresses, the tcp ports of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub space: Arc<str>,
    pub first: u128,
    pub last: u128,
}

impl Span {
    pub fn new(space: impl Into<Arc<str>>, first: u128, last: u128) -> Self {
        Self { space: space.into(), first, last }
    }

    /// Whether all of it is in one of the others.
    pub fn lies_in(&self, others: &[Self]) -> bool {
        others.iter().any(|other| {
            self.space == other.space && other.first <= self.first && self.last <= other.last
        })
    }

    pub fn meets(&self, other: &Self) -> bool {
        self.space == other.space && self.first <= other.last && other.first <= self.last
    }
}

/// Where the resource stands in the user's files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// A path of keys in the topology file: `gateway.ports.2`.
    Key(Box<str>),
    /// A line of a manifest.
    Line { file: Arc<str>, line: u32 },
    #[default]
    Nowhere,
}
