//! Whole topology files: every valid one loads, every invalid one fails at the right places, and an independent
//! validator of the published schema agrees.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use topo::topology::{
    Diagnostic, FileKind, Files, FolderEntry, Input, Loaded, Problems, Severity, load, schema,
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
    load(&Input { path, bytes, vars: &variable, home: Some(&root().join("home")), files: &Disk })
}

fn fixtures(folder: &str) -> BTreeMap<String, PathBuf> {
    let files = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .collect()
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(schema()).unwrap()
}

/// What the schema says of a file as it stands, or `None` where it is no YAML of strings and numbers at all.
fn schema_accepts(bytes: &[u8]) -> Option<bool> {
    let value: serde_json::Value = serde_yaml::from_slice(bytes).ok()?;
    Some(validator().is_valid(&value))
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
        // Variables become numbers only once they are filled in.
        if !String::from_utf8_lossy(&bytes).contains("${") {
            assert_eq!(schema_accepts(&bytes), Some(true), "{name}");
        }
    }
    insta::assert_snapshot!("valid", warnings);
}

#[test]
fn every_invalid_file_fails_at_its_places() {
    for (name, path) in fixtures("invalid") {
        let bytes = fs::read(&path).unwrap();
        let problems = load_bytes(&path, &bytes).expect_err(&name);
        assert!(problems.errors().count() > 0, "{name}");
        let text: String = problems.0.iter().map(shown).collect();
        let schema = match schema_accepts(&bytes) {
            Some(true) => "allows it",
            Some(false) => "refuses it",
            None => "cannot read it",
        };
        insta::assert_snapshot!(format!("invalid/{name}"), format!("schema: {schema}\n{text}"));
    }
}

#[test]
fn whatever_the_schema_refuses_topo_refuses() {
    for (name, path) in fixtures("valid").into_iter().chain(fixtures("invalid")) {
        let bytes = fs::read(&path).unwrap();
        if schema_accepts(&bytes) == Some(false) && !String::from_utf8_lossy(&bytes).contains("${")
        {
            assert!(load_bytes(&path, &bytes).is_err(), "{name}");
        }
    }
}
