//! Whatever the bytes, the loader ends, and never leaves its own schema and types at odds.
#![no_main]

use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use topo::topology::{FileKind, Files, FolderEntry, Input, load};

struct Empty;

impl Files for Empty {
    fn kind(&self, _: &Path) -> Option<FileKind> {
        None
    }

    fn entries(&self, _: &Path) -> Vec<FolderEntry> {
        Vec::new()
    }

    fn canonical(&self, _: &Path) -> Option<PathBuf> {
        None
    }
}

fuzz_target!(|bytes: &[u8]| {
    let input = Input { path: Path::new("topo.yaml"), folder: Path::new("/"), bytes, vars: &|name| (name.len() > 1).then(|| name.to_owned()), home: None, files: &Empty };
    if let Err(problems) = load(&input) {
        assert!(problems.errors().count() > 0, "refused without an error");
        assert!(problems.errors().all(|problem| problem.code != "undecodable"), "{problems:?}");
        assert!(problems.0.iter().all(|problem| problem.place.span.end <= bytes.len()), "{problems:?}");
    }
});
