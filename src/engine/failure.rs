//! Why a step failed, as a person will read it.

use std::error::Error;
use std::fmt;

use crate::causes::causes;

/// `error:`, `Caused by:`, `note:` and `hint:` of one failed step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub message: String,
    pub causes: Vec<String>,
    /// What else went wrong because of it, as a clean-up that failed too.
    pub notes: Vec<String>,
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), notes: Vec::new(), hint: None }
    }

    /// `what` failed because of `error` and what lies behind it.
    pub fn because(what: impl Into<String>, error: &(dyn Error + 'static)) -> Self {
        Self { causes: causes(error), ..Self::new(what) }
    }

    pub fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl Error for Failure {}
