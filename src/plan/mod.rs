//! The part of topo that decides, and that does nothing else.
//!
//! `plan()` is a pure function of what the file wants ([`Resource`]s), what was recorded on the
//! things themselves ([`Record`]s) and what was seen of the world ([`World`]). It knows no engine,
//! no cluster, no clock and no kind of resource in particular: each kind hands in a [`Table`].

mod action;
mod diff;
mod fields;
mod graph;
mod halt;
mod id;
mod late;
mod parts;
mod planner;
mod record;
mod removals;
mod repairs;
mod resource;
mod seal;
mod shelter;
mod shorthand;
mod steps;
mod world;

#[cfg(test)]
mod tests;

pub use action::{Action, Cause, Change, Item, Plan, Shown, Summary};
pub use diff::{Comparison, Difference, Known, known, shown};
pub use fields::{FieldName, Fields, Outputs};
pub use graph::{Graph, GraphError};
pub use halt::halt;
pub use id::{Id, IdMap, InvalidId};
pub use late::{LateRequest, Refusal, closed_place, decide_late};
pub use planner::{PlanError, Request, plan};
pub use record::{FORMAT, Record};
pub use repairs::Repairs;
pub use resource::{Bond, Effect, Origin, Resource, Span, Stage, Table, Want};
pub use seal::{SecretKey, masked};
pub use shorthand::NotOne;
pub use steps::{Phase, Step, StepGraph, steps};
pub use world::{Drifted, Owner, Seen, State, World};
