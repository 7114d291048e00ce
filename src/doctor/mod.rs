//! What is wrong, or will be: the machine and its engine, the file, and what is live, all at once.
//!
//! `look` asks the world and changes nothing. What it saw is plain data (`facts`), of which `judge`
//! makes the findings. What could not be looked at says so.

mod facts;
mod judge;
pub mod look;

use serde::Serialize;

use crate::finding::Finding;
use crate::topology::Severity;

pub use facts::{Balancing, Facts, File, Live, Look};
pub use judge::diagnose;

/// What was looked at, and what was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnosis {
    /// The version of this topo.
    pub topo: &'static str,
    pub checks: Vec<Check>,
    /// Errors first.
    pub findings: Vec<Found>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub part: Part,
    pub check: &'static str,
    pub state: State,
    /// What was seen, or why it was not examined.
    pub saw: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Machine,
    File,
    Topology,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Fine,
    Warning,
    Error,
    Unexamined,
}

/// A finding, and how bad it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    pub severity: Severity,
    #[serde(flatten)]
    pub finding: Finding,
}
