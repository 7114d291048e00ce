//! What a trial found, for a person to read.

use std::fmt;

/// Why a share cannot be used as it is meant to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// As the troubleshooting page lists it.
    pub name: &'static str,
    /// What was being done: "looking the path up".
    pub step: &'static str,
    pub saw: String,
    pub cause: &'static str,
    /// What to do, as a hint says it.
    pub fix: String,
}

/// The remedy stands by itself, in `fix`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: while {}, {}. {}", self.name, self.step, self.saw, self.cause)
    }
}

impl std::error::Error for Finding {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::name;

    #[test]
    fn a_finding_reads_as_sentences() {
        let finding = Finding {
            name: name::SILENT,
            step: "looking the path up",
            saw: "no answer came within 5 s".to_owned(),
            cause: "The server hangs.",
            fix: "restart it".to_owned(),
        };
        assert_eq!(
            finding.to_string(),
            "silent: while looking the path up, no answer came within 5 s. The server hangs."
        );
    }
}
