//! Carries a plan out: a ready queue over the graph of steps.
//!
//! The engine knows no kind of resource. It hands each step to a [`Driver`] when everything the
//! step needs is done, skips what needed a step that failed, and tells what happens as [`Event`]s.

mod cancel;
mod deadline;
mod driver;
mod event;
mod failure;
mod run;
mod stages;
mod step;

pub use cancel::Cancel;
pub use deadline::Deadline;
pub use driver::{Driver, Turn, Work};
pub use event::{Amount, Event, Events, StepPhase, Tally};
pub use failure::Failure;
pub use run::{Outcome, Report, Run};
