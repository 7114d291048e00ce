//! From the bytes of a file to a topology that is right, or to everything that is wrong with it.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use super::diagnostic::{self, Diagnostic, Problems, Severity};
use super::files::Files;
use super::interpolate::{self, Variables};
use super::places::{Places, Style};
use super::{Topology, VariableName, foreign, nearest, rules, schema, shape, yaml};

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
    let named = interpolate::interpolate(&mut value, &mut places, &variables, &mut problems);
    problems.extend(unused_secrets(&value, &places, &named));
    shape::prune(schema::schema(), text, &mut value, &mut places, &mut problems);
    let literal = interpolate::literal(&value, &places);
    let topology = decode(value, &places, &mut problems).map(|mut topology| {
        rules::check(&mut topology, &places, input, &mut problems);
        topology
    });

    // What is wrong with a value says more than that a variable in it was not filled in.
    let told: HashSet<usize> = problems.iter().map(|problem| problem.place.span.start).collect();
    problems.extend(literal.into_iter().filter(|it| !told.contains(&it.place.span.start)));
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
        const WHOLE: &str = "`name: dev` and what else you need; `topo init` writes an example";
        let glued = value.as_str().and_then(yaml::glued);
        return Err(Box::new(match glued {
            Some((key, text)) => fault("wrong-type", "", "a space is missing after the colon")
                .write(format!("`{key}: {text}`")),
            None if value.is_null() => fault("empty-file", "", "the file is empty").write(WHOLE),
            None => fault("wrong-type", "", "a topology must be a map of keys").write(WHOLE),
        }));
    };
    if let Some((key, foreign)) = foreign::recognized(map) {
        return Err(Box::new(fault("another-format", key, &foreign.message).help(foreign.help)));
    }
    match map.get("apiVersion").and_then(Value::as_str) {
        Some(version) if version != API_VERSION => {
            let message = format!(
                "unknown version `{version}`: topo {} reads `{API_VERSION}`",
                env!("CARGO_PKG_VERSION")
            );
            let near =
                nearest::to(version, [API_VERSION]).filter(|_| !version.starts_with("topo/v"));
            let help = near.map_or_else(
                || "use the topo release that the file was written for, or a newer one".to_owned(),
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

/// A variable that is called sensitive and fills no value protects nothing, unless a kustomization
/// takes it from the environment.
fn unused_secrets(value: &Value, places: &Places, named: &HashSet<String>) -> Vec<Diagnostic> {
    let list = |key| value.get(key).and_then(Value::as_array).into_iter().flatten();
    if list("manifests").any(|manifest| manifest.get("kustomize").is_some()) {
        return Vec::new();
    }
    let names = list("sensitive");
    let unused = names
        .enumerate()
        .filter_map(|(at, name)| Some((at, name.as_str()?)))
        .filter(|(_, name)| !named.contains(*name) && name.parse::<VariableName>().is_ok());
    unused
        .map(|(at, name)| {
            let place = places.find(&format!("sensitive.{at}"));
            let message = format!("no value of this file uses the variable `{name}`");
            let problem =
                Diagnostic::new(Severity::Warning, "unused-variable", place, message).seen(name);
            let is_var = value.get("vars").is_some_and(|vars| vars.get(name).is_some());
            problem.help(if is_var {
                format!("`sensitive` lists environment variables: write `vars: {{ {name}: ${{{name}}} }}`")
            } else {
                format!("write `${{{name}}}` where it belongs, or remove it from `sensitive`")
            })
        })
        .collect()
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
            let message = format!("the file cannot be read: {error}");
            problems.push(Diagnostic::new(Severity::Error, "undecodable", place, message));
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
