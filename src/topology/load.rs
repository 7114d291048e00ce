//! From the bytes of a file to a topology that is right, or to everything that is wrong with it.

use std::path::Path;

use serde_json::Value;

use super::diagnostic::{self, Diagnostic, Problems, Severity};
use super::files::Files;
use super::interpolate::{self, Variables};
use super::places::{Places, Style};
use super::{Topology, nearest, rules, schema, shape, yaml};

/// The file, and all that reading it depends on.
pub struct Input<'a> {
    /// As a person names it, and as problems do.
    pub path: &'a Path,
    /// Where relative paths in it start: its folder, absolute.
    pub folder: &'a Path,
    pub bytes: &'a [u8],
    /// The environment's variables.
    pub vars: &'a dyn Fn(&str) -> Option<String>,
    pub home: Option<&'a Path>,
    pub files: &'a dyn Files,
}

/// A topology without errors.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub topology: Topology,
    pub places: Places,
    pub warnings: Vec<Diagnostic>,
    /// Values of the variables that the file calls sensitive, for what other programs say of them.
    pub secrets: Vec<String>,
}

const API_VERSION: &str = "topo/v1alpha1";

/// Reads a topology file.
///
/// # Errors
///
/// Everything that is wrong with it, warnings included, in one go.
pub fn load(input: &Input) -> Result<Loaded, Problems> {
    let file = input.path.display().to_string();
    let text = yaml::text(&file, input.bytes).map_err(|fault| Problems(vec![*fault]))?;
    let yaml::Document { mut value, mut places, faults: mut problems } =
        yaml::parse(&file, text).map_err(|fault| Problems(vec![*fault]))?;
    whole_file(&value, &places).map_err(|fault| Problems(vec![*fault]))?;

    let variables = Variables { lookup: input.vars, sensitive: sensitive(&value) };
    interpolate::interpolate(&mut value, &mut places, &variables, &mut problems);
    shape::prune(schema::schema(), text, &mut value, &mut places, &mut problems);
    let topology = decode(value, &places, &mut problems).map(|mut topology| {
        rules::check(&mut topology, &places, input, &mut problems);
        topology
    });

    diagnostic::sort(&mut problems);
    match topology {
        Some(topology) if problems.iter().all(|problem| problem.severity == Severity::Warning) => {
            let secrets = secrets(&variables);
            Ok(Loaded { topology, places, warnings: problems, secrets })
        }
        _ => Err(Problems(problems)),
    }
}

/// What makes looking further pointless: no map at all, or a version of the format that is not known here.
fn whole_file(value: &Value, places: &Places) -> Result<(), Box<Diagnostic>> {
    let fault = |code, path: &str, message: &str| {
        Diagnostic::new(Severity::Error, code, places.find(path), message)
    };
    let Value::Object(map) = value else {
        let nothing = value.is_null();
        let message = if nothing { "the file is empty" } else { "a topology is a map of keys" };
        let code = if nothing { "empty-file" } else { "wrong-type" };
        return Err(Box::new(
            fault(code, "", message)
                .write("`name: dev` and what else is wanted; `topo init` writes a whole one"),
        ));
    };
    match map.get("apiVersion").and_then(Value::as_str) {
        Some(version) if version != API_VERSION => {
            let message = format!(
                "`{version}` is not read by topo {}, which reads `{API_VERSION}`",
                env!("CARGO_PKG_VERSION")
            );
            let near =
                nearest::to(version, [API_VERSION]).filter(|_| !version.starts_with("topo/v"));
            let help = near.map_or_else(
                || "use the topo that wrote the file, or a newer one".to_owned(),
                |right| format!("write `{right}`"),
            );
            Err(Box::new(fault("api-version", "apiVersion", &message).seen(version).help(help)))
        }
        _ => Ok(()),
    }
}

/// The variables that the file names under `sensitive`, before anything is known to be right.
fn sensitive(value: &Value) -> Vec<String> {
    let names = value.get("sensitive").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn secrets(variables: &Variables) -> Vec<String> {
    let values = variables.sensitive.iter().filter_map(|name| (variables.lookup)(name));
    values.filter(|secret| !secret.is_empty()).collect()
}

/// After the schema's walk nothing should be left to fail; if the two ever part, that is said, and nothing is guessed.
fn decode(mut value: Value, places: &Places, problems: &mut Vec<Diagnostic>) -> Option<Topology> {
    // Without a right name there is no topology, but its rules can still be looked at.
    if let (Value::Object(map), false) = (&mut value, problems.is_empty()) {
        map.entry("name").or_insert_with(|| "unnamed".into());
    }
    match serde_json::from_value(value) {
        Ok(topology) => Some(topology),
        Err(error) => {
            let place = places.find("");
            problems.push(Diagnostic::new(
                Severity::Error,
                "undecodable",
                place,
                error.to_string(),
            ));
            None
        }
    }
}

impl Loaded {
    /// Whether the value at `path` came from a variable.
    pub fn from_variable(&self, path: &str) -> bool {
        self.places
            .node(path)
            .is_some_and(|node| matches!(node.style, Style::Interpolated | Style::Secret))
    }
}
