//! What is wrong with a file, and where: plain data, for people and for programs.

use std::ops::Range;

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// A stretch of a file. Lines and columns count from one, columns in characters; the span is in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    pub file: String,
    pub line: u32,
    pub column: u32,
    pub span: Range<usize>,
}

/// Another place that has to do with a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Related {
    pub place: Place,
    pub message: String,
}

/// One fault of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub severity: Severity,
    /// The fault's name, the same in every release.
    pub code: &'static str,
    pub place: Place,
    pub message: String,
    /// What stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
}

/// Set-ups that read well and are known to bite.
const KNOWN: [&str; 11] = [
    "direct-access-blocked",
    "export-excludes-client",
    "export-excludes-tunnel",
    "mount-port-moves",
    "nobody-may-log-in",
    "range-is-slow",
    "statd-missing",
    "static-address-refused",
    "udp-only-port-forwarded",
    "unprivileged-port-refused",
    "v4-not-served",
];

impl Diagnostic {
    /// The name under which the troubleshooting page has more to say of it.
    pub fn known_as(&self) -> Option<&'static str> {
        KNOWN.contains(&self.code).then_some(self.code)
    }

    pub fn new(
        severity: Severity,
        code: &'static str,
        place: Place,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            code,
            place,
            message: message.into(),
            seen: None,
            help: None,
            related: Vec::new(),
        }
    }

    pub fn seen(mut self, seen: impl Into<String>) -> Self {
        self.seen = Some(seen.into());
        self
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what to write in its place.
    pub fn write(self, instead: impl std::fmt::Display) -> Self {
        self.help(format!("write {instead}"))
    }

    pub fn related(mut self, place: Place, message: impl Into<String>) -> Self {
        self.related.push(Related { place, message: message.into() });
        self
    }
}

/// Every error and warning of one file, in the order of its lines; at least one is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{} in the topology file", counted(.0))]
#[serde(transparent)]
pub struct Problems(pub Vec<Diagnostic>);

impl Problems {
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter().filter(|problem| problem.severity == Severity::Error)
    }

    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter().filter(|problem| problem.severity == Severity::Warning)
    }
}

fn counted(problems: &[Diagnostic]) -> String {
    match problems.iter().filter(|problem| problem.severity == Severity::Error).count() {
        1 => "one error".to_owned(),
        count => format!("{count} errors"),
    }
}

/// Puts problems in the order a reader meets their places.
pub(super) fn sort(problems: &mut [Diagnostic]) {
    problems.sort_by(|a, b| {
        (a.place.span.start, a.severity, a.code).cmp(&(b.place.span.start, b.severity, b.code))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_one_has_its_entry_on_the_troubleshooting_page() {
        let page = include_str!("../../docs/troubleshooting.md");
        for name in KNOWN {
            assert!(page.contains(&format!("**{name}**")), "{name} has no entry");
        }
    }
}
