//! Whole topology files: every valid one loads, every invalid one fails at the right places, and an independent
//! validator of the published schema agrees.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its fixtures has failed")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use topo::topology::{
    Diagnostic, FileKind, Files, FolderEntry, Input, Loaded, Problems, Severity, editor_schema,
    load, schema,
};

struct Disk;

impl Files for Disk {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        let kind = fs::metadata(path).ok()?;
        Some(if kind.is_dir() {
            FileKind::Folder
        } else if kind.is_file() {
            FileKind::File
        } else {
            FileKind::Other
        })
    }

    fn entries(&self, folder: &Path) -> Vec<FolderEntry> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| FolderEntry {
                symlink: entry.file_type().is_ok_and(|kind| kind.is_symlink()),
                path: entry.path(),
            })
            .collect()
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        fs::canonicalize(path).ok()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/topologies")
}

fn variable(name: &str) -> Option<String> {
    match name {
        "WORKERS" => Some("2".to_owned()),
        "TAG" => Some("v1".to_owned()),
        "EMPTY" => Some(String::new()),
        "DB_PASSWORD" => Some("hunter2!".to_owned()),
        _ => None,
    }
}

fn load_bytes(path: &Path, bytes: &[u8]) -> Result<Loaded, Problems> {
    let (folder, home) = (path.parent().expect("a folder"), root().join("home"));
    load(&Input { path, folder, bytes, vars: &variable, home: Some(&home), files: &Disk })
}

fn fixtures(folder: &str) -> BTreeMap<String, PathBuf> {
    let files = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .collect()
}

static VALIDATOR: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::draft202012::new(editor_schema()).unwrap());

/// What the schema says of a file as it stands, or `None` where it is no YAML of strings and numbers at all.
fn schema_accepts(bytes: &[u8]) -> Option<bool> {
    let text = str::from_utf8(bytes).ok()?;
    let value: serde_json::Value =
        serde_yaml::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    Some(VALIDATOR.is_valid(&value))
}

fn shown(problem: &Diagnostic) -> String {
    let mut out = String::new();
    let mark = if problem.severity == Severity::Error { "error" } else { "warning" };
    let at = |place: &topo::topology::Place| format!("{}:{}", place.line, place.column);
    writeln!(out, "{} {mark}[{}] {}", at(&problem.place), problem.code, problem.message).unwrap();
    if let Some(help) = &problem.help {
        writeln!(out, "    help: {help}").unwrap();
    }
    for related in &problem.related {
        writeln!(out, "    {} {}", at(&related.place), related.message).unwrap();
    }
    out.replace(root().to_str().unwrap(), "[topologies]")
}

#[test]
fn every_valid_file_loads_and_its_schema_agrees() {
    let mut warnings = String::new();
    for (name, path) in fixtures("valid") {
        let bytes = fs::read(&path).unwrap();
        match load_bytes(&path, &bytes) {
            Ok(loaded) => loaded
                .warnings
                .iter()
                .for_each(|problem| write!(warnings, "{name}: {}", shown(problem)).unwrap()),
            Err(problems) => {
                panic!("{name}:\n{}", problems.0.iter().map(shown).collect::<String>())
            }
        }
        assert_ne!(schema_accepts(&bytes), Some(false), "{name}");
    }
    insta::assert_snapshot!("valid", warnings);
}

#[test]
fn every_invalid_file_fails_at_its_places() {
    let mut report = String::new();
    for (name, path) in fixtures("invalid") {
        let bytes = fs::read(&path).unwrap();
        let schema = match schema_accepts(&bytes) {
            Some(true) => "the schema allows it",
            Some(false) => "the schema refuses it",
            None => "it is not read as YAML",
        };
        writeln!(report, "# {name}: {schema}").unwrap();
        match load_bytes(&path, &bytes) {
            Ok(_) => report.push_str("LOADS\n"),
            Err(problems) => problems.0.iter().for_each(|problem| report.push_str(&shown(problem))),
        }
        report.push('\n');
    }
    assert!(!report.contains("LOADS"), "an invalid file loads:\n{report}");
    insta::assert_snapshot!("invalid", report);
}

#[test]
fn whatever_the_schema_refuses_topo_refuses() {
    for (name, path) in fixtures("valid").into_iter().chain(fixtures("invalid")) {
        let bytes = fs::read(&path).unwrap();
        if schema_accepts(&bytes) == Some(false) {
            assert!(load_bytes(&path, &bytes).is_err(), "{name}");
        }
    }
}

/// A row of the reference for every key of the schema: where it stands, its type, its default.
fn rows(
    at: &str,
    schema: &serde_json::Value,
    definitions: &serde_json::Value,
    rows: &mut Vec<(String, String, String)>,
) {
    let schema = resolved(schema, definitions);
    if let Some(branches) = schema["anyOf"].as_array() {
        for branch in branches {
            self::rows(at, branch, definitions, rows);
        }
    }
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
        let default =
            property.get("default").or_else(|| resolved(property, definitions).get("default"));
        let default = match default {
            Some(
                value @ (serde_json::Value::Bool(_)
                | serde_json::Value::String(_)
                | serde_json::Value::Number(_)),
            ) => format!("`{value}`").replace('"', ""),
            _ => String::new(),
        };
        rows.push((path.clone(), type_of(property, definitions), default));
        let inner = resolved(property, definitions);
        if inner.get("items").is_some() {
            self::rows(&format!("{path}[]"), &inner["items"], definitions, rows);
        } else {
            self::rows(&path, inner, definitions, rows);
        }
    }
}

fn resolved<'a>(
    schema: &'a serde_json::Value,
    definitions: &'a serde_json::Value,
) -> &'a serde_json::Value {
    match schema["$ref"].as_str() {
        Some(name) => &definitions[name.trim_start_matches("#/$defs/")],
        None => schema,
    }
}

fn type_of(schema: &serde_json::Value, definitions: &serde_json::Value) -> String {
    let schema = resolved(schema, definitions);
    if let Some(branches) = schema["anyOf"].as_array() {
        return branches
            .iter()
            .map(|branch| type_of(branch, definitions))
            .collect::<Vec<_>>()
            .join(" or ");
    }
    if let Some(words) = schema["enum"].as_array() {
        return words
            .iter()
            .map(|word| format!("`{}`", word.as_str().unwrap()))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if let Some(word) = schema["const"].as_str() {
        return format!("`{word}`");
    }
    if let Some(items) = schema.get("items") {
        return format!("list of {}", type_of(items, definitions));
    }
    match (
        schema["format"].as_str().filter(|name| !name.starts_with("uint")),
        schema["type"].as_str(),
    ) {
        (Some(format), _) => format.replace('-', " "),
        (None, Some("object")) => "map".to_owned(),
        (None, Some("array")) => "list".to_owned(),
        (None, Some(name)) => name.to_owned(),
        (None, None) => "any value".to_owned(),
    }
}

#[test]
fn the_reference_has_a_row_for_every_key() {
    let mut expected = Vec::new();
    rows("", schema(), &schema()["$defs"], &mut expected);
    let page = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/topology.md"),
    )
    .unwrap_or_default();
    let written: Vec<(String, String, String)> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| {
            let mut cells = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned());
            Some((cells.next()?.trim_matches('`').to_owned(), cells.next()?, cells.next()?))
        })
        .collect();
    let listed = |rows: &[(String, String, String)]| {
        rows.iter()
            .map(|(key, kind, default)| format!("{key} | {kind} | {default}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&written).join("\n"), listed(&expected).join("\n"));
}

/// `topologies/`, the examples.
fn examples() -> BTreeMap<String, (PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), (path, text))
        })
        .collect()
}

#[test]
fn every_example_says_what_it_shows_what_it_needs_and_what_to_try() {
    for (name, (_, text)) in examples() {
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
        let needs = head.iter().position(|line| line.starts_with("# Needs: "));
        let try_it = head.iter().position(|line| *line == "# Try:");
        assert!(needs > Some(1) && try_it > needs, "{name}: {head:?}");
        let command = format!("topologies/{name}.yaml");
        assert!(head[try_it.unwrap()..].iter().any(|line| line.contains(&command)), "{name}");
    }
}

#[test]
fn every_example_is_valid_by_its_defaults_and_no_two_meet() {
    let mut held: Vec<(String, String, ipnet::IpNet)> = Vec::new();
    for (name, (path, text)) in examples() {
        let nothing = |_: &str| None;
        let folder = path.parent().unwrap();
        let input = Input {
            path: &path,
            folder,
            bytes: text.as_bytes(),
            vars: &nothing,
            home: Some(&root().join("nobody")),
            files: &Disk,
        };
        let topology =
            load(&input).unwrap_or_else(|problems| panic!("{name}: {problems:?}")).topology;
        let network = topology.network_name();
        for subnet in topology.network.subnets() {
            let subnet: ipnet::IpNet = subnet.to_string().parse().unwrap();
            for (other, of, taken) in &held {
                let meet = taken.contains(&subnet) || subnet.contains(taken);
                assert!(*of == network || !meet, "{name} and {other}: {subnet} and {taken}");
            }
            held.push((name.clone(), network.to_string(), subnet));
        }
    }
}
