//! The lock of the one process that keeps a tunnel up, and who holds it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::backend::host::Holder;

/// Whoever looks takes the lock for a moment.
const LOOKERS: Duration = Duration::from_secs(1);
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// Held for as long as it lives; what the holder starts does not inherit it.
#[derive(Debug)]
pub struct Guard {
    file: File,
    path: PathBuf,
}

impl Guard {
    /// None if another process holds it.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        let patience = Instant::now() + LOOKERS;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if Instant::now() > patience => return Ok(None),
                Err(TryLockError::WouldBlock) => std::thread::sleep(TRY_AGAIN),
            }
        }
        let own =
            Holder::of(std::process::id()).ok_or_else(|| io::Error::other("no such process"))?;
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "{own}")?;
        Ok(Some(Self { file, path: path.to_owned() }))
    }

    /// Whether the file is still there and still this one: a folder that was removed and made again
    /// has another lock, and belongs to whoever holds that.
    pub fn holds(&self) -> bool {
        let identity = |data: fs::Metadata| (data.dev(), data.ino());
        match (fs::metadata(&self.path), self.file.metadata()) {
            (Ok(there), Ok(own)) => identity(there) == identity(own),
            _ => false,
        }
    }
}

pub fn is_held(path: &Path) -> bool {
    File::open(path)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Who holds the lock, if anybody does.
pub fn holder(path: &Path) -> Option<Holder> {
    let mut file = File::open(path).ok()?;
    if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_holder_and_everybody_can_tell_who() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        assert_eq!(holder(&path), None);
        let guard = Guard::take(&path).expect("works").expect("free");
        assert!(Guard::take(&path).expect("works").is_none());
        let who = holder(&path).expect("somebody holds it");
        assert_eq!(u32::try_from(who.pid), Ok(std::process::id()));
        assert!(who.is_alive() && is_held(&path));
        drop(guard);
        assert_eq!(holder(&path), None);
        assert!(!is_held(&path));
    }

    #[test]
    fn the_lock_of_a_folder_made_again_is_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        let guard = Guard::take(&path).expect("works").expect("free");
        assert!(guard.holds());
        fs::remove_file(&path).expect("removed");
        assert!(!guard.holds());
        let other = Guard::take(&path).expect("works").expect("free");
        assert!(other.holds() && !guard.holds());
    }
}
