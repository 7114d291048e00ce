//! The walls of the house, tested by reading its sources: who may use what.

use std::fs;
use std::path::{Path, PathBuf};

/// A line of code, and where it stands. Comments and tests are left out.
struct Line {
    place: String,
    text: String,
}

#[test]
fn what_decides_reads_no_clock_no_environment_no_file_and_knows_no_backend() {
    let outside = [
        "tokio",
        "bollard",
        "kube::",
        "std::env",
        "std::fs",
        "std::{",
        "std::process",
        "std::thread",
        "SystemTime",
        "TcpStream",
        "UdpSocket",
        "ToSocketAddrs",
        "Instant",
        "crate::backend",
        "crate::cli",
        "crate::engine",
        "crate::resources",
        "crate::view",
    ];
    refuse(&["src/plan", "src/topology"], &outside, &[]);
}

#[test]
fn the_plan_knows_neither_the_file_nor_any_kind_of_resource() {
    refuse(&["src/plan"], &["crate::topology", "crate::manifest", "crate::templates"], &[]);
}

#[test]
fn the_engine_knows_only_the_plan() {
    let others =
        ["crate::backend", "crate::cli", "crate::resources", "crate::topology", "crate::view"];
    refuse(&["src/engine"], &others, &[]);
}

#[test]
fn only_the_view_prints() {
    let printing = [
        "print!(",
        "println!(",
        "eprint!(",
        "eprintln!(",
        "dbg!(",
        "io::stdout",
        "io::stderr",
        "anstream::stdout",
        "anstream::stderr",
    ];
    refuse(&["src"], &printing, &["src/view"]);
}

#[test]
fn only_main_exits() {
    refuse(&["src"], &["process::exit", "process::abort"], &["src/main.rs"]);
}

#[test]
fn resources_reach_the_world_through_the_backends() {
    let around = [
        "bollard",
        "kube::Client",
        "kube::Api",
        "Api::<",
        "tokio::fs",
        "tokio::net",
        "tokio::process",
        "std::process",
        "std::net::Tcp",
        "std::net::Udp",
        "crate::view",
        "crate::cli",
    ];
    refuse(&["src/resources"], &around, &[]);
}

#[test]
fn backends_know_nothing_of_what_uses_them() {
    refuse(&["src/backend"], &["crate::resources", "crate::cli", "crate::view"], &[]);
}

/// Folders and keys that the file names are read where they are needed, and nowhere else.
#[test]
fn resources_read_no_other_files() {
    let readers = [
        "src/resources/image/build_folder.rs",
        "src/resources/gateway/mod.rs",
        "src/resources/metallb/release.rs",
    ];
    refuse(&["src/resources"], &["std::fs", "std::env::var"], &readers);
}

/// One module and one line: each registered kind is a module with a table, and each module with a
/// table is registered.
#[test]
fn a_kind_is_one_module_and_one_registration() {
    let registry = fs::read_to_string(root().join("src/resources/mod.rs")).expect("the registry");
    let (_, list) = registry.split_once("\nkinds!(").expect("a list of kinds");
    let (list, _) = list.split_once(");").expect("an end of the list");
    let mut registered: Vec<&str> =
        list.split(',').map(str::trim).filter(|kind| !kind.is_empty()).collect();
    registered.sort_unstable();

    let mut modules: Vec<String> = sources(&root().join("src/resources"))
        .into_iter()
        .filter(|path| {
            let text = fs::read_to_string(path).expect("a source");
            text.lines().any(|line| line.starts_with("pub const TABLE: Table"))
        })
        .map(|path| module_of(&path))
        .collect();
    modules.sort_unstable();
    assert_eq!(registered, modules);
}

/// `src/resources/gateway/mod.rs` is named after its folder.
fn module_of(path: &Path) -> String {
    let named = if path.ends_with("mod.rs") { path.parent().expect("a folder") } else { path };
    named.file_stem().expect("a name").to_string_lossy().into_owned()
}

/// No line of code in these folders, but for the excepted places, may hold any of these.
fn refuse(folders: &[&str], words: &[&str], except: &[&str]) {
    let mut found = Vec::new();
    let mut read = 0;
    for folder in folders {
        for path in sources(&root().join(folder)) {
            let name = path.strip_prefix(root()).expect("inside").to_string_lossy().into_owned();
            if except.iter().any(|place| name.starts_with(place)) {
                continue;
            }
            for line in code_of(&path, &name) {
                read += 1;
                let word = words.iter().find(|word| holds(&line.text, word));
                found.extend(
                    word.map(|word| format!("{}: `{word}` in `{}`", line.place, line.text.trim())),
                );
            }
        }
    }
    assert!(read > 0, "there is no code in {folders:?}");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Whether the word stands in the line by itself: `print!(` is not found in `eprint!(`.
fn holds(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|before| !before.is_alphanumeric() && before != '_')
    })
}

/// Up to where a file's tests begin, which stand at its end.
fn code_of(path: &Path, name: &str) -> Vec<Line> {
    if name.contains("/tests/") || name.ends_with("/tests.rs") {
        return Vec::new();
    }
    let text = fs::read_to_string(path).expect("a source");
    text.lines()
        .enumerate()
        .take_while(|(_, line)| *line != "mod tests {")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(at, line)| Line { place: format!("{name}:{}", at + 1), text: line.to_owned() })
        .collect()
}

fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort_unstable();
    paths
        .into_iter()
        .filter(|path| path.is_dir() || path.extension().is_some_and(|ending| ending == "rs"))
        .flat_map(|path| sources(&path))
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn words_are_found_where_they_stand_by_themselves() {
    assert!(holds("    println!(\"x\")", "println!("));
    assert!(holds("use std::fs::File;", "std::fs"));
    assert!(!holds("eprintln!(\"x\")", "println!("));
    assert!(!holds("let my_tokio = 1;", "tokio"));
}
