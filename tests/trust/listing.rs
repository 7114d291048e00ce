//! All that topo could leave behind, by which a destroy is judged.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::engine;
use crate::lane::Lane;

pub type Listing = BTreeSet<String>;

/// On the label of all that carries any.
const TOPOLOGY: &str = "dev.topo.topology";

/// What the engine, this machine and the home have of a lane's.
pub fn of(lane: &Lane) -> Listing {
    let mut listing = on_the_engine(lane);
    listing.extend(files(lane.home()));
    listing.extend(processes(lane));
    listing.extend(rules(lane));
    listing
}

/// Nothing has come, and nothing has gone.
pub fn same(before: &Listing, after: &Listing) -> Result<(), String> {
    let left: Vec<&String> = after.difference(before).collect();
    let gone: Vec<&String> = before.difference(after).collect();
    if left.is_empty() && gone.is_empty() {
        return Ok(());
    }
    Err(format!("left behind: {left:#?}, taken away: {gone:#?}"))
}

pub fn on_the_engine(lane: &Lane) -> Listing {
    let named = |sort: &str, thing: &Value, name: &str| {
        let by_label = thing["Labels"][TOPOLOGY].as_str() == Some(lane.name.as_str());
        let by_name = name.split(['.', ':', '/']).any(|part| lane.is_mine(part));
        (by_label || by_name).then(|| format!("{sort} {name}"))
    };
    let mut listing = Listing::new();
    for container in engine::containers() {
        let name = container["Names"][0].as_str().unwrap_or("/without a name");
        listing.extend(named("container", &container, name.trim_start_matches('/')));
    }
    for (sort, things) in [("network", engine::networks()), ("volume", engine::volumes())] {
        let names = things.iter().map(|thing| (thing, thing["Name"].as_str().unwrap_or_default()));
        listing.extend(names.filter_map(|(thing, name)| named(sort, thing, name)));
    }
    for image in engine::images() {
        let tags = image["RepoTags"].as_array().into_iter().flatten().filter_map(Value::as_str);
        listing.extend(tags.filter_map(|tag| named("image", &image, tag)));
    }
    listing
}

/// Files with what is in them if that is a kubeconfig, and folders.
fn files(home: &Path) -> Listing {
    let mut listing = Listing::new();
    let mut open = vec![home.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = path.strip_prefix(home).unwrap_or(&path).display().to_string();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(path);
                listing.insert(format!("folder ~/{name}"));
            } else if name == ".kube/config" {
                let text = std::fs::read_to_string(path).unwrap_or_default();
                listing.insert(format!("kubeconfig {text}"));
            } else {
                listing.insert(format!("file ~/{name}"));
            }
        }
    }
    listing
}

/// Those that topo began have its home in their surroundings.
fn processes(lane: &Lane) -> Listing {
    let home = format!("HOME={}", lane.home().display());
    let mut listing = Listing::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let read = |name: &str| std::fs::read(process.path().join(name)).unwrap_or_default();
        if read("environ").split(|byte| *byte == 0).any(|set| set == home.as_bytes()) {
            let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            listing.insert(format!("process {command}"));
        }
    }
    listing
}

/// Rules of the kernel that name the lane's addresses, by any table.
fn rules(lane: &Lane) -> Listing {
    let net = format!("{}.", lane.net());
    let listed = |program: &str, arguments: &[&str]| {
        let listed = Command::new(program).args(arguments).output();
        listed
            .map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned())
            .unwrap_or_default()
    };
    let all = listed("iptables-save", &[]) + &listed("nft", &["list", "ruleset"]);
    all.lines()
        .filter(|line| line.contains(&net) || line.contains(&lane.name))
        .map(|line| format!("rule {}", line.trim()))
        .collect()
}
