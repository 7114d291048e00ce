//! The lock of the one process that keeps a tunnel up, and who holds it.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Whoever looks takes the lock for a moment.
const LOOKERS: Duration = Duration::from_secs(1);
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// Held for as long as it lives; what the holder starts does not inherit it.
#[derive(Debug)]
pub struct Guard {
    file: File,
    path: PathBuf,
}

/// A process, told from a later one of the same number by when it was born.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub pid: i32,
    born: String,
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

impl Holder {
    pub fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        Some(Self { pid, born: born(pid)? })
    }

    /// Whether the process of that number is still the one that took the lock.
    pub fn is_alive(&self) -> bool {
        born(self.pid).is_some_and(|born| born == self.born)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid, self.born)
    }
}

impl FromStr for Holder {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (pid, born) = text.split_once(' ').ok_or(())?;
        Ok(Self { pid: pid.parse().map_err(drop)?, born: born.to_owned() })
    }
}

/// When a process started, in the words of the system; only good for being compared. None for one
/// that has ended, also where nobody asks for its exit code: in a container whose first process
/// does not look after orphans it stays listed for good.
fn born(pid: i32) -> Option<String> {
    // The third field and the 22nd; the second, the program's name, may hold blanks and parentheses.
    if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) {
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let runs = !has_ended(fields.next()?);
        return fields.nth(18).filter(|_| runs).map(str::to_owned);
    }
    let listed =
        Command::new("ps").args(["-o", "stat=,lstart=", "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8(listed.stdout).ok()?;
    let (state, since) = text.trim().split_once(char::is_whitespace)?;
    Some(since.trim().to_owned()).filter(|_| !has_ended(state))
}

fn has_ended(state: &str) -> bool {
    state.starts_with(['Z', 'X'])
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
    fn a_number_that_another_process_has_now_is_not_the_holders() {
        let own = i32::try_from(std::process::id()).expect("a pid");
        assert!(!Holder { pid: own, born: "another day".to_owned() }.is_alive());
    }

    #[test]
    fn one_that_has_ended_is_gone_before_its_exit_code_is_asked_for() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("starts");
        let holder = Holder::of(child.id()).expect("runs");
        assert!(holder.is_alive());
        child.kill().expect("killed");
        let patience = Instant::now() + Duration::from_secs(10);
        while holder.is_alive() {
            assert!(Instant::now() < patience, "it is taken for alive");
            std::thread::sleep(TRY_AGAIN);
        }
        child.wait().expect("ended");
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
