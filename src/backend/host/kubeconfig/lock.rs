//! `<file>.lock`, which kubectl and kind keep to as well: whoever makes it may write.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::KubeconfigError;

const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// kubectl and kind hold theirs for milliseconds, and leave it when they are killed.
const LEFT_BEHIND: Duration = Duration::from_secs(30);

/// In a lock of topo's. It is held by the kernel too, as long as its process lives.
const MARK: &str = "topo\n";

#[derive(Debug)]
pub struct FileLock {
    path: PathBuf,
    _held: File,
}

impl FileLock {
    pub fn path_of(file: &Path) -> PathBuf {
        let mut name = file.as_os_str().to_owned();
        name.push(".lock");
        PathBuf::from(name)
    }

    /// Waits for whoever holds it, and takes the place of one that has ended.
    pub async fn take(
        file: &Path,
        tell: &(dyn Fn(String) + Sync),
    ) -> Result<Self, KubeconfigError> {
        let path = Self::path_of(file);
        let failed = |source| KubeconfigError::Locked { lock: path.clone(), source };
        let mut is_told = false;
        loop {
            if let Some(lock) = Self::make(&path).map_err(failed)? {
                return Ok(lock);
            }
            if let Some(lock) = Self::inherit(&path).map_err(failed)? {
                tell(format!("`{}` was left by a killed program", path.display()));
                return Ok(lock);
            }
            if !std::mem::replace(&mut is_told, true) {
                tell(format!("waiting for the program that holds `{}`", path.display()));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn make(path: &Path) -> io::Result<Option<Self>> {
        let made =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
        match made {
            Ok(file) => Self::hold(path, file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A lock whose holder has ended is kept as it is and held: where one was removed, another topo
    /// could take the next for it.
    fn inherit(path: &Path) -> io::Result<Option<Self>> {
        let there = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            there => there?,
        };
        let is_old = there.modified()?.elapsed().is_ok_and(|age| age >= LEFT_BEHIND);
        if is_old && there.is_file() && there.mode() & 0o600 != 0o600 {
            // kubectl makes its lock without any rights.
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
        }
        let mut file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(_) if !is_old => return Ok(None),
            Err(error) => return Err(error),
        };
        if file.try_lock().is_err() {
            return Ok(None);
        }
        let mut content = String::new();
        (&mut file).take(64).read_to_string(&mut content)?;
        let has_ended = content == MARK || is_old;
        let held = file.metadata()?;
        let is_here = |there: &Metadata| there.ino() == held.ino() && there.dev() == held.dev();
        let is_still_here = fs::symlink_metadata(path).is_ok_and(|now| is_here(&now));
        if !has_ended || !is_here(&there) || !is_still_here {
            return Ok(None);
        }
        Self::hold(path, file).map(Some)
    }

    fn hold(path: &Path, mut file: File) -> io::Result<Self> {
        file.lock()?;
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(MARK.as_bytes())?;
        Ok(Self { path: path.to_owned(), _held: file })
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
