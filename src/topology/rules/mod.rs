//! Rules between values, on whatever of the file could be decoded.

mod cluster;
mod connector;
mod gateway;
mod images;
mod manifests;
mod metallb;
mod network;
mod paths;
mod shares;

use std::collections::HashMap;
use std::hash::Hash;

use super::diagnostic::{Diagnostic, Severity};
use super::load::Input;
use super::places::Places;
use super::{Topology, VariableName};

pub use metallb::{NoRoom, carve, reserved};

/// Finds every broken rule, and makes the topology's paths absolute and its listening addresses explicit on the way.
pub(super) fn check(
    topology: &mut Topology,
    places: &Places,
    input: &Input,
    problems: &mut Vec<Diagnostic>,
) {
    let mut rules = Rules { places, problems };
    paths::resolve(topology, input, &mut rules);
    gateway::place_listens(topology);

    whole(topology, &mut rules);
    network::check(topology, &mut rules);
    cluster::check(topology, &mut rules);
    images::check(topology, &mut rules);
    metallb::check(topology, &mut rules);
    manifests::check(topology, &mut rules);
    gateway::check(topology, &mut rules);
    shares::check(topology, &mut rules);
    connector::check(topology, &mut rules);
    paths::check(topology, input.files, &mut rules);
}

/// Where rules look values up and leave what they find.
struct Rules<'a> {
    places: &'a Places,
    problems: &'a mut Vec<Diagnostic>,
}

impl Rules<'_> {
    fn error(&self, code: &'static str, path: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, code, self.places.find(path), message)
    }

    fn warning(&self, code: &'static str, path: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, code, self.places.find(path), message)
    }

    /// An error at a key rather than at its value.
    fn misplaced(&self, code: &'static str, path: &str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, code, self.places.key(path), message)
    }

    fn report(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    /// Reports every value that was there before, with both places.
    fn unique<T: Eq + Hash + std::fmt::Display>(
        &mut self,
        code: &'static str,
        what: &str,
        values: impl IntoIterator<Item = (String, T)>,
    ) {
        let mut first: HashMap<T, String> = HashMap::new();
        for (path, value) in values {
            match first.get(&value) {
                Some(before) => {
                    let problem = self
                        .error(code, &path, format!("{what} `{value}` is defined twice"))
                        .related(self.places.find(before), "first defined here");
                    self.report(problem);
                }
                None => {
                    first.insert(value, path);
                }
            }
        }
    }
}

/// A name for a variable out of any text.
fn spelled(name: &str) -> String {
    let words = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    if words.starts_with(|c: char| c.is_ascii_digit()) { format!("_{words}") } else { words }
}

/// Rules of the file as a whole.
fn whole(topology: &Topology, rules: &mut Rules) {
    const GIVEN: [&str; 4] = ["topology", "network", "pools", "vars"];
    let nothing =
        ["network", "cluster", "images", "metallb", "manifests", "gateway", "shares", "connector"]
            .iter()
            .all(|block| !rules.places.has(block));
    if nothing && rules.places.is_whole("") {
        let problem = rules
            .warning("nothing-to-make", "name", "this topology creates nothing")
            .write("a block such as `cluster: {}`");
        rules.report(problem);
    }
    for name in topology.vars.keys() {
        let path = format!("vars.{name}");
        if let Err(malformed) = name.parse::<VariableName>() {
            let problem = rules.misplaced("variable-name", &path, malformed.what).seen(name);
            let instead = malformed.instead.unwrap_or_else(|| format!("`{}`", spelled(name)));
            rules.report(problem.write(instead));
        } else if GIVEN.contains(&name.as_str()) {
            let problem = rules
                .misplaced(
                    "reserved-name",
                    &path,
                    format!("`{name}` is reserved: topo gives templates a value of that name"),
                )
                .write("another name");
            rules.report(problem);
        }
    }
    rules.unique(
        "duplicate",
        "the variable",
        topology.sensitive.iter().enumerate().map(|(at, name)| (format!("sensitive.{at}"), name)),
    );
}
