//! The files that a topology names, as they are on this machine.

use std::path::{Path, PathBuf};

use crate::topology::{FileKind, Files, FolderEntry};

#[derive(Debug, Clone, Copy, Default)]
pub struct HostFiles;

impl Files for HostFiles {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        let kind = std::fs::metadata(path).ok()?.file_type();
        Some(if kind.is_file() {
            FileKind::File
        } else if kind.is_dir() {
            FileKind::Folder
        } else {
            FileKind::Other
        })
    }

    fn entries(&self, folder: &Path) -> Vec<FolderEntry> {
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let mut entries: Vec<FolderEntry> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let symlink = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                Some(FolderEntry { path: entry.path(), symlink })
            })
            .collect();
        // The order of a folder is the file system's whim.
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries
    }

    fn canonical(&self, path: &Path) -> Option<PathBuf> {
        std::fs::canonicalize(path).ok()
    }
}
