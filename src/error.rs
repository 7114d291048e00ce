//! What a command can end with: exit codes, and errors as a person will read them.

use std::fmt;
use std::process::ExitCode;

use crate::engine::Failure;
use crate::plan::{InvalidId, NotOne, PlanError};

/// The exit codes, which scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or in sync.
    Done = 0,
    /// `diff` or `lock` found changes, `status`, `trace` or `doctor` a fault.
    Differs = 1,
    /// Wrong usage, an invalid topology or an unusable environment: nothing was changed.
    Refused = 2,
    /// Failed part-way: some of it was done.
    PartWay = 3,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub struct Error {
    pub exit: Exit,
    /// Nothing where a view has said it all already.
    pub failure: Option<Box<Failure>>,
}

impl Error {
    /// Nothing was changed: the usage, the file or the environment is at fault.
    pub fn refused(failure: Failure) -> Self {
        Self { exit: Exit::Refused, failure: Some(Box::new(failure)) }
    }

    /// As `refused`, from an error and what lies behind it.
    pub fn because(what: impl Into<String>, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::refused(Failure::because(what, error))
    }

    /// The view has shown why.
    pub fn shown(exit: Exit) -> Self {
        Self { exit, failure: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            Some(failure) => failure.fmt(f),
            None => f.write_str("said already"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::refused(failure)
    }
}

impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        let failure = Failure::new(error.to_string());
        Self::refused(match error {
            PlanError::Graph(_) => failure.hint("`topo graph` shows the dependencies"),
            PlanError::Newer { .. } => failure.hint("use the newer topo for this topology"),
        })
    }
}

impl From<NotOne> for Error {
    fn from(error: NotOne) -> Self {
        Self::refused(Failure::new(error.to_string()).hint("`topo graph` lists every id"))
    }
}

impl From<InvalidId> for Error {
    fn from(error: InvalidId) -> Self {
        Self::refused(Failure::new(error.to_string()))
    }
}
