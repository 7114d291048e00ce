//! A folder with a Dockerfile, packed for the engine's builder.

use std::fs;
use std::path::Path;

use bytes::Bytes;

use crate::engine::Failure;

/// Everything in the folder; links stay links.
pub fn pack(folder: &Path) -> Result<Bytes, Failure> {
    let failed = |error: std::io::Error| {
        Failure::because(format!("cannot read the folder `{}`", folder.display()), &error)
    };
    let mut archive = tar::Builder::new(Vec::new());
    archive.follow_symlinks(false);
    archive.append_dir_all("", fs::canonicalize(folder).map_err(failed)?).map_err(failed)?;
    archive.into_inner().map(Bytes::from).map_err(failed)
}
