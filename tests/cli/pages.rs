//! The pages are the input: what README and the guide tell people to type is taken, and their files are valid.

use std::fs;
use std::path::{Path, PathBuf};

use topo::topology::{FileKind, Files, FolderEntry, Input, load};

use crate::Machine;

const PAGES: [&str; 2] = ["README.md", "docs/guide.md"];

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("the page")
}

/// The fenced blocks of a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let rest = page.split(&opening).skip(1);
    rest.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// The commands of topo's in shell blocks, and those after a prompt in what a session shows.
fn commands(page: &str) -> Vec<Vec<String>> {
    let typed = blocks(page, "sh").concat();
    let session = blocks(page, "console").concat();
    let prompted = session.lines().filter_map(|line| line.strip_prefix("$ "));
    typed
        .lines()
        .chain(prompted)
        .flat_map(|line| line.split('#').next().unwrap_or_default().split([';', '|', '>', '&']))
        .filter_map(|command| command.trim().strip_prefix("topo "))
        .map(|arguments| arguments.split_whitespace().map(str::to_owned).collect())
        .collect()
}

/// Whether all that a command does happens in its folder.
fn needs_no_engine(command: &[String]) -> bool {
    let first = command.first().map_or("", String::as_str);
    matches!(first, "init" | "validate" | "graph" | "schema" | "completions" | "man")
}

#[test]
fn every_command_of_a_page_is_one() {
    for name in PAGES {
        let commands = commands(&page(name));
        assert!(commands.len() > 5, "{name}: {commands:?}");
        let machine = Machine::new();
        for command in commands {
            let run = needs_no_engine(&command) && !command.iter().any(|part| part.contains('/'));
            let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
            if !run {
                // What comes after these is another program's.
                let is_handed_on = matches!(arguments[0], "exec" | "ssh");
                arguments.insert(if is_handed_on { 1 } else { arguments.len() }, "--help");
            }
            let ran = machine.topo(&arguments);
            assert_eq!(ran.code, 0, "{name}: topo {}\n{}", arguments.join(" "), ran.stderr);
        }
    }
}

/// Whatever a page's file names is there: a file where it has an extension, else a folder.
struct AllThere;

impl Files for AllThere {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        let is_file = path.extension().is_some() || path.ends_with("Dockerfile");
        Some(if is_file { FileKind::File } else { FileKind::Folder })
    }

    fn entries(&self, _: &Path) -> Vec<FolderEntry> {
        Vec::new()
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        Some(path.to_owned())
    }
}

#[test]
fn every_topology_of_a_page_is_valid() {
    for name in PAGES {
        let files: Vec<String> = blocks(&page(name), "yaml")
            .into_iter()
            .filter(|block| block.lines().any(|line| line.starts_with("name: ")))
            .collect();
        assert!(!files.is_empty(), "{name}");
        for text in files {
            let input = Input {
                path: Path::new(name),
                folder: Path::new("/here"),
                bytes: text.as_bytes(),
                vars: &|_| Some("value".to_owned()),
                home: Some(Path::new("/home/me")),
                files: &AllThere,
            };
            load(&input).unwrap_or_else(|problems| panic!("{name}:\n{text}\n{problems:?}"));
        }
    }
}

#[test]
fn readme_shows_hello_as_it_is_and_as_topo_draws_it() {
    let example = page("topologies/hello.yaml");
    let file = example.lines().filter(|line| !line.starts_with('#'));
    let file: String = file.flat_map(|line| [line, "\n"]).collect();
    assert!(blocks(&page("README.md"), "yaml").contains(&file), "{file}");

    let machine = Machine::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies/hello.yaml");
    let drawn = machine.topo(&["graph", "--format", "svg", path]);
    assert_eq!(
        drawn.stdout,
        page("docs/hello.svg"),
        "draw it again: topo graph --format svg topologies/hello.yaml > docs/hello.svg"
    );
}
