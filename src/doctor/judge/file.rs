//! The topology file.

use super::{Judged, error, warning};
use crate::doctor::facts::{Balancing, Facts, File};
use crate::doctor::judge::live::other_balancer;
use crate::doctor::{Found, Part};
use crate::finding::name::{INVALID_FILE, NO_LOAD_BALANCER};
use crate::topology::{Diagnostic, Place, Severity};

const PART: Part = Part::File;

pub fn judged(facts: &Facts) -> Vec<Judged> {
    let Some(file) = &facts.file else {
        return vec![Judged::unexamined(
            PART,
            "file",
            "there is none here: name one, or `topo init`",
        )];
    };
    vec![validity(file), load_balancer(facts, file)]
}

fn validity(file: &File) -> Judged {
    let errors: Vec<&Diagnostic> =
        file.problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
    let warnings = file.problems.iter().filter(|problem| problem.severity == Severity::Warning);
    let invalid = errors.first().map(|first| {
        let saw = match errors.len() {
            1 => in_words(first),
            count => format!("{count} errors, the first: {}", in_words(first)),
        };
        let why = "topo does nothing with a file that is not valid";
        error(INVALID_FILE, saw, why, format!("`topo validate {}` shows each", file.path))
    });
    let found: Vec<Found> =
        invalid.into_iter().chain(warnings.map(|problem| warned(file, problem))).collect();
    let unread = match file.unread.len() {
        0 => String::new(),
        count => format!("; {count} manifests could not be read here, and are not examined"),
    };
    let state = if errors.is_empty() { "valid" } else { "not valid" };
    Judged::new(PART, "file", format!("{}: {state}{unread}", file.path), found)
}

fn warned(file: &File, problem: &Diagnostic) -> Found {
    let fix = match &problem.help {
        Some(help) => help.clone(),
        None => format!("`topo validate {}` shows the place", file.path),
    };
    let why = "the file is valid, but this is known to cause trouble";
    warning(problem.code, in_words(problem), why, fix)
}

fn in_words(problem: &Diagnostic) -> String {
    let Place { file, line, column, .. } = &problem.place;
    format!("{file}:{line}:{column}: {}", problem.message)
}

fn load_balancer(facts: &Facts, file: &File) -> Judged {
    const CHECK: &str = "load-balancer";
    let Some(topology) = &file.topology else {
        return Judged::unexamined(PART, CHECK, "the file is not valid");
    };
    let Some(Balancing { asking, is_lacking }) = &file.balancing else {
        return Judged::unexamined(PART, CHECK, "not all manifests could be read here");
    };
    let saw = match (asking.len(), topology.metallb.is_some()) {
        (0, _) => "no Service of the manifests asks for an address".to_owned(),
        (count, true) => format!("MetalLB; Services that ask for an address: {count}"),
        (count, false) => format!("none; Services that ask for an address: {count}"),
    };
    let lacks = *is_lacking && other_balancer(facts).is_none();
    let found = asking.first().filter(|_| lacks).map(|first| {
        warning(
            NO_LOAD_BALANCER,
            format!("the Service `{first}` is of type LoadBalancer, and the file has no `metallb`"),
            "nothing gives it an address, so that it stays <pending>",
            "write `metallb: { pools: [{ name: default, size: 20 }] }`, or give it `type: NodePort`",
        )
    });
    Judged::new(PART, CHECK, saw, found)
}
