//! Where the sockets of one ssh are: a folder of the user's own, which goes when it ends.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::getuid;
use tempfile::TempDir;

use super::far::is_plain_path;

const PREFIX: &str = "topo-ssh-";
const LOG: &str = "log";
/// The address of a socket holds 104 bytes on macOS and 108 on Linux; of these, what follows the
/// folder's parent, and what ssh adds while it makes the socket, take 41.
const LONGEST: usize = 60;
const KEPT_LINES: usize = 6;

#[derive(Debug)]
pub(super) struct Place {
    folder: TempDir,
}

impl Place {
    /// In the user's runtime folder, where there is one.
    pub(super) fn make(runtime: Option<&Path>) -> io::Result<Self> {
        let parent = parent(runtime);
        sweep(&parent);
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        Ok(Self { folder })
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    pub(super) fn control(&self) -> PathBuf {
        self.folder.path().join("control")
    }

    /// What ssh complains into. It is locked for as long as ssh has it, which is how others know that
    /// the folder is in use.
    pub(super) fn log(&self) -> io::Result<File> {
        let unlocked = self.folder.path().join("new");
        let file = File::create_new(&unlocked)?;
        file.try_lock()?;
        fs::rename(unlocked, self.folder.path().join(LOG))?;
        Ok(file)
    }

    /// The last lines of it, without the frames that ssh draws.
    pub(super) fn last_words(&self) -> String {
        let said = fs::read(self.folder.path().join(LOG)).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let has_words = |line: &&str| line.chars().any(char::is_alphanumeric);
        let lines: Vec<&str> = said.lines().map(str::trim).filter(has_words).collect();
        lines[lines.len().saturating_sub(KEPT_LINES)..].join("\n")
    }
}

/// The first usual one whose name is short enough for sockets, and plain enough for `ssh -L`.
fn parent(runtime: Option<&Path>) -> PathBuf {
    let fits = |path: &PathBuf| {
        let text = path.to_string_lossy();
        is_plain_path(&text) && text.len() <= LONGEST && path.is_dir()
    };
    let usual = runtime.map(Path::to_owned).into_iter().chain([std::env::temp_dir()]);
    usual.into_iter().find(fits).unwrap_or_else(|| "/tmp".into())
}

/// Removes what a topo that was killed has left, once its ssh has ended too.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_such = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_such && is_abandoned(&entry.path()) {
            // Another topo may be at it as well.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The user's own, and nobody holds its log. One without a log is being made.
fn is_abandoned(folder: &Path) -> bool {
    let own = fs::symlink_metadata(folder)
        .is_ok_and(|found| found.is_dir() && found.uid() == getuid().as_raw());
    own && File::open(folder.join(LOG)).is_ok_and(|log| log.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(parent: &Path) -> Place {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent).expect("a folder");
        Place { folder }
    }

    /// A child that another test starts at this moment has the lock too, until it is a program.
    fn sweep_until_gone(parent: &Path, left: &Place) {
        let started = std::time::Instant::now();
        while left.folder.path().exists() {
            assert!(started.elapsed().as_secs() < 5, "it is never swept");
            sweep(parent);
        }
    }

    #[test]
    fn what_was_left_is_swept_and_what_is_in_use_is_not() {
        let parent = tempfile::tempdir().expect("a folder");
        let (used, fresh) = (place(parent.path()), place(parent.path()));
        let held = used.log().expect("locked");
        let left = place(parent.path());
        drop(left.log().expect("locked"));
        fs::create_dir(parent.path().join("topo-ssh")).expect("made");
        sweep_until_gone(parent.path(), &left);
        assert!(used.folder.path().exists() && fresh.folder.path().exists());
        assert!(parent.path().join("topo-ssh").exists());
        drop(held);
        sweep_until_gone(parent.path(), &used);
        assert!(fresh.folder.path().exists());
    }

    #[test]
    fn it_is_the_users_alone_and_goes_with_what_it_is_for() {
        let place = Place::make(None).expect("made");
        let folder = place.folder.path().to_owned();
        assert_eq!(fs::metadata(&folder).expect("there").mode() & 0o777, 0o700);
        assert!(place.socket().as_os_str().len() < 104);
        drop(place);
        assert!(!folder.exists());
    }

    #[test]
    fn the_last_words_are_without_frames() {
        let parent = tempfile::tempdir().expect("a folder");
        let place = place(parent.path());
        assert_eq!(place.last_words(), "");
        let said = "@@@@@\n@ WARNING: IT CHANGED! @\n@@@@@\n\nHost key verification failed.\r\n";
        fs::write(place.folder.path().join(LOG), said).expect("written");
        assert_eq!(place.last_words(), "@ WARNING: IT CHANGED! @\nHost key verification failed.");
    }
}
