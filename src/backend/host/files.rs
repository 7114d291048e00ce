//! This machine's files, as far as topologies and shares look at them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::topology::{FileKind, Files, FolderEntry};

/// User and group of what stands at a path.
pub fn owner(path: &Path) -> io::Result<(u32, u32)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.uid(), metadata.gid()))
}

/// What this machine's NFS server is told to export, file by file; those that cannot be read are
/// left out.
pub fn exports() -> Vec<String> {
    let more = fs::read_dir("/etc/exports.d").into_iter().flatten().flatten();
    let mut more: Vec<PathBuf> = more
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "exports"))
        .collect();
    more.sort_unstable();
    let files = std::iter::once(PathBuf::from("/etc/exports")).chain(more);
    files.filter_map(|file| fs::read_to_string(file).ok()).collect()
}

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
