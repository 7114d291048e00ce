//! What reading a topology needs to know of the host's files.

use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    File,
    Folder,
    Other,
}

/// Something in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    pub path: PathBuf,
    pub symlink: bool,
}

/// The host's files, as far as the loader looks at them.
pub trait Files {
    /// What stands at a path, symlinks followed; `None` if nothing does.
    fn kind(&self, path: &Path) -> Option<FileKind>;

    /// Everything directly in a folder.
    fn entries(&self, folder: &Path) -> Vec<FolderEntry>;

    /// The path with every symlink resolved.
    fn canonical(&self, path: &Path) -> Option<PathBuf>;
}
