//! From what was seen to what is wrong: pure.

mod engine;
mod file;
mod kernel;
mod live;
mod network;
#[cfg(test)]
mod tests;

use super::facts::Facts;
use super::{Check, Diagnosis, Found, Part, State};
use crate::finding::Finding;
use crate::topology::Severity;

pub fn diagnose(facts: &Facts) -> Diagnosis {
    let judged = [
        engine::judged(facts),
        kernel::judged(facts),
        network::judged(facts),
        file::judged(facts),
        live::judged(facts),
    ];
    let mut checks = Vec::new();
    let mut findings: Vec<Found> = Vec::new();
    for Judged { check, found } in judged.into_iter().flatten() {
        checks.push(check);
        for found in found {
            // A server that is silent is found on each way that leads to it.
            if !findings.contains(&found) {
                findings.push(found);
            }
        }
    }
    findings.sort_by_key(|found| found.severity);
    let mut diagnosis = Diagnosis { topo: env!("CARGO_PKG_VERSION"), checks, findings };
    diagnosis.texts().for_each(hide_credentials);
    diagnosis
}

/// One look, and what is wrong there.
struct Judged {
    check: Check,
    found: Vec<Found>,
}

impl Judged {
    fn new(
        part: Part,
        check: &'static str,
        saw: impl Into<String>,
        found: impl IntoIterator<Item = Found>,
    ) -> Self {
        let found: Vec<Found> = found.into_iter().collect();
        let state = match found.iter().map(|found| found.severity).min() {
            Some(Severity::Error) => State::Error,
            Some(Severity::Warning) => State::Warning,
            None => State::Fine,
        };
        Self { check: Check { part, check, state, saw: saw.into() }, found }
    }

    fn unexamined(part: Part, check: &'static str, why: impl Into<String>) -> Self {
        let check = Check { part, check, state: State::Unexamined, saw: why.into() };
        Self { check, found: Vec::new() }
    }
}

fn error(
    name: &'static str,
    saw: impl Into<String>,
    why: impl Into<String>,
    fix: impl Into<String>,
) -> Found {
    Found { severity: Severity::Error, finding: Finding::new(name, saw, why, fix) }
}

fn warning(
    name: &'static str,
    saw: impl Into<String>,
    why: impl Into<String>,
    fix: impl Into<String>,
) -> Found {
    Found { severity: Severity::Warning, finding: Finding::new(name, saw, why, fix) }
}

impl Diagnosis {
    fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let found = self.findings.iter_mut().flat_map(|Found { finding, .. }| {
            let Finding { name: _, saw, why, fix } = finding;
            [saw, why, fix]
        });
        self.checks.iter_mut().map(|check| &mut check.saw).chain(found)
    }
}

/// Takes names and passwords out of every address in a text: `http://me:secret@proxy` is
/// `http://proxy`.
fn hide_credentials(text: &mut String) {
    let mut from = 0;
    while let Some(found) = text[from..].find("://") {
        let start = from + found + "://".len();
        let length = text[start..].find(|c: char| c.is_whitespace() || "`\"'".contains(c));
        let end = length.map_or(text.len(), |length| start + length);
        if let Some(at) = text[start..end].rfind('@') {
            text.replace_range(start..=start + at, "");
        }
        from = start;
    }
}
