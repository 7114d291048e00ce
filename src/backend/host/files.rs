//! This machine's files, as far as reading a topology looks at them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::topology::{FileKind, Files, FolderEntry};

#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Files for Disk {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        let metadata = fs::metadata(path).ok()?;
        Some(if metadata.is_file() {
            FileKind::File
        } else if metadata.is_dir() {
            FileKind::Folder
        } else {
            FileKind::Other
        })
    }

    fn entries(&self, folder: &Path) -> Vec<FolderEntry> {
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        entries
            .flatten()
            .map(|entry| FolderEntry {
                path: entry.path(),
                symlink: entry.file_type().is_ok_and(|kind| kind.is_symlink()),
            })
            .collect()
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        fs::canonicalize(path).ok()
    }
}
