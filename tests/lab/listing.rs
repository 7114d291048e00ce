//! What there is that topo could leave behind, by which a destroy is judged.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use crate::beside;
use crate::lab::Lab;

/// The images that topo builds for containers of its own, which topologies share.
const BUILT: &str = "image topo-";

impl Lab {
    /// Nothing has come or gone since: neither what topo makes nor what others have.
    #[track_caller]
    pub fn is_as_before(&self, before: &BTreeSet<String>) {
        assert_same(before, &self.listing());
    }

    /// Everything on the engine and in the home that topo could leave behind, but for what scenarios
    /// have that run beside this one, and what does not say whose it is: tests/run looks at all of
    /// the engine, before the scenarios and after them.
    pub fn listing(&self) -> BTreeSet<String> {
        let mut listing = BTreeSet::new();
        let mut add = |kind: &str, text: String| {
            listing.extend(text.lines().map(|line| format!("{kind} {line}")));
        };
        add("container", self.run("docker", &["ps", "-a", "--format", "{{.Names}}"]));
        add("network", self.run("docker", &["network", "ls", "--format", "{{.Name}}"]));
        add("volume", self.run("docker", &["volume", "ls", "--format", "{{.Name}}"]));
        add("image", self.run("docker", &["images", "--format", "{{.Repository}}:{{.Tag}}"]));
        listing.retain(|line| self.concerns(line));
        // A build leaves its untagged base layers in the engine's cache; they are no image tags.
        listing.retain(|line| !line.contains("<none>"));
        // kubectl's own cache is made by the scenarios.
        let files = files_under(self.home.path());
        let by_topo = files.lines().filter(|line| !line.contains("/.kube/cache/"));
        listing.extend(by_topo.map(|line| format!("file {line}")));
        listing
    }

    fn concerns(&self, line: &str) -> bool {
        let named_after = |names: &[&str]| {
            let mut parts = line.split([' ', '-', '.', ':', '/']);
            parts.any(|part| names.contains(&part))
        };
        if self.topologies.iter().any(|name| beside::NAMES.contains(name)) {
            return named_after(&self.topologies);
        }
        !named_after(&beside::NAMES) && !line.starts_with(BUILT) && !is_anonymous(line)
    }
}

/// Named by the engine: hashes for the volumes of kind's nodes, two words and a `_` for the containers in which a build takes
/// its steps. Names that topo and the scenarios give have no `_`.
fn is_anonymous(line: &str) -> bool {
    let volume = line.strip_prefix("volume ").unwrap_or_default();
    let is_hash = volume.len() == 64 && volume.chars().all(|digit| digit.is_ascii_hexdigit());
    is_hash || line.strip_prefix("container ").is_some_and(|name| name.contains('_'))
}

#[track_caller]
pub fn assert_same(before: &BTreeSet<String>, after: &BTreeSet<String>) {
    let left: Vec<_> = after.difference(before).collect();
    let gone: Vec<_> = before.difference(after).collect();
    assert!(left.is_empty() && gone.is_empty(), "left behind: {left:#?}, taken away: {gone:#?}");
}

fn files_under(folder: &Path) -> String {
    let mut list = String::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            } else {
                let _ = writeln!(list, "{}", entry.path().display());
            }
        }
    }
    list
}
