//! Whose the files are that pods write into a share.

use crate::backend::host as machine;
use crate::engine::Failure;
use crate::topology::{Owner, Share};

/// The user and group whose files the writers of a share make; none where each makes its own.
pub fn squash(share: &Share) -> Result<Option<(u32, u32)>, Failure> {
    match (share.owner, &share.path) {
        (Owner::Keep, _) => Ok(None),
        (Owner::Ids { uid, gid }, _) => Ok(Some((uid, gid))),
        (Owner::Folder, Some(path)) => machine::owner(path.path()).map(Some).map_err(|error| {
            Failure::because(format!("cannot see whose the folder {path} is"), &error)
        }),
        // A new volume is root's.
        (Owner::Folder, None) => Ok(Some((0, 0))),
    }
}
