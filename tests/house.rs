//! The walls of the house, tested by reading its sources: who may use what.

use std::collections::BTreeSet;
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

/// Whose a thing is gets asked in one place.
#[test]
fn only_ownership_and_the_claim_remove_what_the_engine_has() {
    let asking = ["src/resources/base/docker/ownership.rs", "src/resources/base/claim.rs"];
    refuse(&["src/resources", "src/cli"], &["docker.remove_"], &asking);
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
    let above = ["crate::resources", "crate::trace", "crate::doctor", "crate::cli", "crate::view"];
    refuse(&["src/backend"], &above, &[]);
}

/// A trace, a diagnosis, and what writes down what was made by hand, stand between the resources and what shows them: they look by what those and
/// the backends offer, change nothing, and judge without looking.
#[test]
fn a_trace_and_a_diagnosis_look_in_one_place_judge_in_another_and_change_nothing() {
    let around = [
        "bollard",
        "kube::Client",
        "Api::<",
        "tokio::fs",
        "tokio::net",
        "tokio::process",
        "std::fs",
        "std::process",
        "std::env",
        "crate::view",
        "crate::cli",
    ];
    let lookers = ["src/trace", "src/doctor", "src/adopt"];
    refuse(&lookers, &around, &[]);
    let changing = [
        "kube.apply",
        "kube.patch",
        "kube.delete",
        "docker.remove_",
        "docker.create_",
        "docker.start_",
        "docker.put_files",
        "exec_with",
        "remember(",
        "change_claim",
    ];
    refuse(&lookers, &changing, &[]);
    let looking = ["async", "cx.", "Context", "tokio", "kube.list", ".await"];
    let judging = [
        "src/trace/judge",
        "src/trace/rules.rs",
        "src/trace/sight.rs",
        "src/doctor/judge",
        "src/doctor/facts.rs",
        "src/adopt/draft.rs",
        "src/adopt/rules.rs",
        "src/adopt/sight.rs",
    ];
    refuse(&judging, &looking, &[]);
    let below = ["src/resources", "src/engine", "src/plan", "src/topology"];
    refuse(&below, &["crate::trace", "crate::doctor", "crate::adopt"], &[]);
    refuse(&["src/trace"], &["crate::doctor"], &[]);
}

/// Folders and keys that the file names are read where they are needed, and nowhere else.
#[test]
fn resources_read_no_other_files() {
    let readers = [
        "src/resources/image/build_folder.rs",
        "src/resources/base/authorized_keys.rs",
        "src/resources/metallb/release.rs",
    ];
    refuse(&["src/resources"], &["std::fs", "std::env::var"], &readers);
}

/// One folder and one line: each registered kind is a folder whose `mod.rs` describes it, and each such
/// folder is registered.
#[test]
fn a_kind_is_one_folder_and_one_registration() {
    let registry =
        fs::read_to_string(root().join("src/resources/registry.rs")).expect("the registry");
    let (_, list) = registry.split_once("\nkinds!(").expect("a list of kinds");
    let (list, _) = list.split_once(");").expect("an end of the list");
    let registered: BTreeSet<String> = list
        .split(',')
        .filter_map(|kind| {
            kind.trim_matches(['[', '\n', ' ']).strip_prefix("super::")?.split_once("::")
        })
        .map(|(folder, _)| folder.to_owned())
        .collect();
    let mut described = BTreeSet::new();
    for kind in kinds() {
        let face = format!("src/resources/{kind}/mod.rs");
        let text = fs::read_to_string(root().join(&face)).expect("a face");
        if text.contains("impl ResourceKind for ") {
            described.insert(kind);
        }
    }
    assert_eq!(registered, kinds(), "every folder beside `base` is a kind");
    assert_eq!(registered, described, "every kind is described in its face");
}

/// Which kinds know another: a forward and a tunnel their gateway, and so on. All else that one needs
/// of another is its id, an output of it, or what `base` does for all.
const NEIGHBORS: [(&str, &str); 9] = [
    ("node", "cluster"),
    ("object", "manifest"),
    ("object", "pool"),
    ("object", "share"),
    ("pool", "metallb"),
    ("port", "gateway"),
    ("publisher", "gateway"),
    ("share", "server"),
    ("tunnel", "gateway"),
];

/// What `src/resources` is built of, from the ground up: whatever a room uses is below it.
#[test]
fn the_rooms_of_resources_stand_on_one_another_and_in_no_circle() {
    let (arrows, files) = arrows();
    let rooms: BTreeSet<&String> = arrows.iter().flat_map(|(from, to)| [from, to]).collect();
    let floor = |room: &str| match room {
        "base" => 0,
        "look" | "conflicts" => 2,
        "registry" => 3,
        "mod" => 4,
        _ => 1,
    };
    let back: Vec<_> = arrows.iter().filter(|(from, to)| floor(to) > floor(from)).collect();
    let circles = circles(&arrows);
    let (rooms, count) = (rooms.len(), arrows.len());
    say(&format!(
        "src/resources: {rooms} rooms of {files} files, {count} arrows, {} back up, {} circles",
        back.len(),
        circles.len(),
    ));
    assert_eq!(back, Vec::<&(String, String)>::new(), "arrows that run back up");
    assert_eq!(circles, Vec::<String>::new(), "rooms that use each other");

    let is_kind = |room: &String| floor(room) == 1;
    let between = arrows.iter().filter(|(from, to)| is_kind(from) && is_kind(to));
    let between: Vec<(&str, &str)> = between.map(|(from, to)| (&**from, &**to)).collect();
    assert_eq!(between, NEIGHBORS, "what kinds know of one another");
    let knows_kinds = |room: &str| ["registry", "mod"].contains(&room);
    let others: Vec<_> = arrows
        .iter()
        .filter(|(from, to)| !is_kind(from) && !knows_kinds(from) && is_kind(to))
        .collect();
    assert_eq!(others, Vec::<&(String, String)>::new(), "only the registry knows the kinds");
}

/// The example in docs/design/planning.md is the one that is compiled and carried out.
#[test]
fn the_kind_that_the_design_shows_is_the_one_that_is_tested() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("a file");
    let (design, note) = (read("docs/design/planning.md"), read("tests/engine/note.rs"));
    let (_, example) = design.split_once("## Adding a kind").expect("an example");
    let blocks: Vec<&str> = example
        .split("```rust\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap_or_default())
        .collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        assert!(note.contains(block), "tests/engine/note.rs does not have this:\n{block}");
    }
}

/// The files of a kind are its own: others have what its `mod.rs` hands out.
#[test]
fn a_kind_is_entered_by_its_face_alone() {
    let opened: Vec<String> = kinds()
        .iter()
        .map(|kind| format!("src/resources/{kind}"))
        .flat_map(|folder| sources(&root().join(folder)))
        .flat_map(|path| code_of(&path, &name_of(&path)))
        .filter(|line| {
            let line = line.text.trim_start();
            line.starts_with("pub") && line.contains(" mod ")
        })
        .map(|line| format!("{}: `{}`", line.place, line.text.trim()))
        .collect();
    assert!(opened.is_empty(), "{}", opened.join("\n"));
}

/// The folders of the kinds.
fn kinds() -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("src/resources")).expect("the resources");
    let has_sources = |path: &Path| path.is_dir() && !sources(path).is_empty();
    let folders =
        entries.map(|entry| entry.expect("an entry")).filter(|it| has_sources(&it.path()));
    let names = folders.map(|folder| folder.file_name().to_string_lossy().into_owned());
    names.filter(|name| name != "base").collect()
}

/// Which room of `src/resources` uses which, each pair once, and how many files there are.
fn arrows() -> (BTreeSet<(String, String)>, usize) {
    let folder = root().join("src/resources");
    let mut rooms = kinds();
    rooms.extend(["base", "conflicts", "look", "registry"].map(str::to_owned));
    let mut arrows = BTreeSet::new();
    let files = sources(&folder);
    for path in &files {
        let module = module_of(path.strip_prefix(&folder).expect("inside"));
        let own = module.first().map_or("mod", String::as_str).to_owned();
        let code = code_of(path, &name_of(path));
        let code: Vec<&str> = code.iter().map(|line| line.text.as_str()).collect();
        for named in named(&code.join("\n"), &module) {
            // What is not a room is handed out by the face.
            let to = named.first().filter(|room| rooms.contains(*room));
            let to = to.map_or("mod", String::as_str).to_owned();
            if to != own {
                arrows.insert((own.clone(), to));
            }
        }
    }
    (arrows, files.len())
}

/// `gateway/keys.rs` is `gateway::keys`, and `gateway/mod.rs` is `gateway`.
fn module_of(path: &Path) -> Vec<String> {
    let path = path.with_extension("");
    let parts = path.iter().map(|part| part.to_string_lossy().into_owned());
    parts.filter(|part| part != "mod").collect()
}

/// The paths that some code names below `crate::resources`, written out or from where it stands.
fn named(code: &str, module: &[String]) -> Vec<Vec<String>> {
    const ROOT: &str = "crate::resources::";
    const UP: &str = "super::";
    let mut named = Vec::new();
    for (at, _) in code.match_indices(ROOT) {
        grow(&[], &code[at + ROOT.len()..], &mut named);
    }
    for (at, _) in code.match_indices(UP).filter(|(at, _)| !code[..*at].ends_with(':')) {
        let mut rest = &code[at..];
        let mut stem = module;
        while let (Some(above), Some((_, outer))) = (rest.strip_prefix(UP), stem.split_last()) {
            (rest, stem) = (above, outer);
        }
        if !rest.starts_with(UP) {
            grow(stem, rest, &mut named);
        }
    }
    named
}

/// `a::{b, c::d}` is two paths. Answers what comes after them.
fn grow<'a>(stem: &[String], mut rest: &'a str, paths: &mut Vec<Vec<String>>) -> &'a str {
    let mut stem = stem.to_vec();
    loop {
        if let Some(inner) = rest.strip_prefix('{') {
            rest = inner.trim_start();
            while !rest.is_empty() && !rest.starts_with('}') {
                rest = grow(&stem, rest, paths).trim_start_matches([',', ' ', '\n']);
            }
            return rest.strip_prefix('}').unwrap_or(rest);
        }
        let is_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
        let end = rest.find(|c| !is_of_a_name(c)).unwrap_or(rest.len()).max(1).min(rest.len());
        let (name, after) = rest.split_at(end);
        stem.push(name.to_owned());
        let Some(inner) = after.strip_prefix("::") else {
            paths.push(stem);
            let other = after.strip_prefix(" as ").map(|it| it.trim_start_matches(is_of_a_name));
            return other.unwrap_or(after);
        };
        rest = inner;
    }
}

/// What can be reached from itself.
fn circles(arrows: &BTreeSet<(String, String)>) -> Vec<String> {
    let next = |of: &str| -> Vec<String> {
        arrows.iter().filter(|(from, _)| from == of).map(|(_, to)| to.clone()).collect()
    };
    let rooms: BTreeSet<&String> = arrows.iter().map(|(from, _)| from).collect();
    let reaches_itself = |room: &&&String| {
        let (mut seen, mut open) = (BTreeSet::new(), next(room));
        while let Some(other) = open.pop() {
            if seen.insert(other.clone()) {
                open.extend(next(&other));
            }
        }
        seen.contains(**room)
    };
    rooms.iter().filter(reaches_itself).map(|room| (*room).clone()).collect()
}

/// For a person who runs this with `--nocapture`.
#[allow(clippy::print_stdout, reason = "a count is no failure")]
fn say(text: &str) {
    println!("{text}");
}

fn name_of(path: &Path) -> String {
    path.strip_prefix(root()).expect("inside").to_string_lossy().into_owned()
}

/// No line of code in these folders, but for the excepted places, may hold any of these.
fn refuse(folders: &[&str], words: &[&str], except: &[&str]) {
    let mut found = Vec::new();
    let mut read = 0;
    for folder in folders {
        for path in sources(&root().join(folder)) {
            let name = name_of(&path);
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

#[test]
fn what_code_names_is_read_from_its_paths() {
    let here = ["share".to_owned(), "host".to_owned()];
    let read = |code: &str| -> Vec<String> {
        named(code, &here).into_iter().map(|path| path.join("::")).collect()
    };
    assert_eq!(
        read("use crate::resources::{base::{ids, marks as m}, server::{self, squash}};"),
        ["base::ids", "base::marks", "server::self", "server::squash"]
    );
    assert_eq!(read("let id = crate::resources::pool::id(name);"), ["pool::id"]);
    assert_eq!(read("use super::exports::Export;"), ["share::exports::Export"]);
    assert_eq!(read("use super::super::tunnel;"), ["tunnel"]);
    let two = BTreeSet::from([("a", "b"), ("b", "a"), ("b", "c")]);
    let two = two.into_iter().map(|(from, to)| (from.to_owned(), to.to_owned())).collect();
    assert_eq!(circles(&two), ["a", "b"]);
}
