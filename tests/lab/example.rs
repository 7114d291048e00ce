//! A file of topologies/, copied into the user's home with what it names, so that it can be changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::lab::{Lab, Ran};

pub struct Example<'a> {
    lab: &'a Lab,
    folder: PathBuf,
    path: PathBuf,
    name: &'static str,
    before: BTreeSet<String>,
}

impl<'a> Example<'a> {
    pub fn of(lab: &'a Lab, name: &'static str) -> Self {
        let folder = lab.own("topologies");
        copy(Path::new("topologies"), &folder);
        let path = folder.join(format!("{name}.yaml"));
        Self { lab, path, name, before: lab.listing(), folder }
    }

    pub fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// Changes the file itself.
    #[track_caller]
    pub fn change(&self, from: &str, to: &str) {
        change(&self.path, from, to);
    }

    /// Changes a file that it names.
    #[track_caller]
    pub fn change_in(&self, file: &str, from: &str, to: &str) {
        change(&self.folder.join(file), from, to);
    }

    /// Writes a file, and the folders that it is in.
    pub fn write(&self, file: &str, text: &str) {
        let file = self.folder.join(file);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file, text).expect("written");
    }

    #[track_caller]
    pub fn apply(&self) -> Ran {
        self.lab.expect(0, &["apply", "--yes", &self.path()])
    }

    #[track_caller]
    pub fn diff(&self, code: i32) -> Ran {
        self.lab.expect(code, &["diff", &self.path()])
    }

    /// Nodes and what runs on each come to rest some moments after they were made.
    #[track_caller]
    pub fn settles(&self) {
        self.lab.comes_in_sync(&self.path());
    }

    #[track_caller]
    pub fn answers(&self, url: &str) -> String {
        let said = Lab::eventually(url, || self.lab.get(url));
        assert!(said.starts_with("pod="), "{url}: {said}");
        said
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let context = format!("kind-{}", self.name);
        self.lab.run("kubectl", &[&["--context", &context], arguments].concat())
    }

    /// A container's address on the topology's network.
    pub fn address_of(&self, container: &str) -> String {
        let format =
            format!("{{{{(index .NetworkSettings.Networks \"topo-{}\").IPAddress}}}}", self.name);
        self.lab.run("docker", &["inspect", container, "--format", &format]).trim().to_owned()
    }

    /// Takes everything down, and insists that nothing is left.
    #[track_caller]
    pub fn destroy(&self) {
        self.lab.expect(0, &["destroy", "--yes", &self.path()]);
        self.lab.is_as_before(&self.before);
    }
}

#[track_caller]
fn change(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).expect("read");
    assert!(text.contains(from), "{from:?} is not in {}", path.display());
    std::fs::write(path, text.replace(from, to)).expect("written");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry").path();
        let there = to.join(entry.file_name().expect("a name"));
        if entry.is_dir() {
            copy(&entry, &there);
        } else {
            std::fs::copy(&entry, &there).expect("copied");
        }
    }
}
