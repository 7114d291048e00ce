//! One folder a topology in the user's state directory: its lock and what can be lost without harm.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

use super::holder::Holder;
use super::process;

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("cannot use the state folder `{}`", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error(
        "no home folder is known, so there is nowhere to keep the topology's state; set HOME or XDG_STATE_HOME"
    )]
    Homeless,
    #[error("the state folder `{}` has {control:?} in its path", path.display())]
    Unwritable { path: PathBuf, control: char },
    #[error("cannot lock `{}`", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("topology `{topology}` is in use by another topo ({holder})")]
    Held {
        topology: String,
        holder: String,
        /// That topo has ended, and something that it started goes on.
        outlived: bool,
    },
}

/// `$XDG_STATE_HOME/topo/<name>`, or `~/.local/state/topo/<name>`.
#[derive(Debug, Clone)]
pub struct StateFolder {
    topology: String,
    path: PathBuf,
}

impl StateFolder {
    pub fn of(
        topology: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, StateError> {
        let base =
            if let Some(path) = variable("XDG_STATE_HOME").filter(|path| path.starts_with('/')) {
                PathBuf::from(path)
            } else {
                let home = variable("HOME").filter(|path| !path.is_empty());
                Path::new(&home.ok_or(StateError::Homeless)?).join(".local/state")
            };
        // ssh's settings name files in it, and have no way to write one.
        if let Some(control) = base.to_string_lossy().chars().find(|c| c.is_control()) {
            return Err(StateError::Unwritable { path: base, control });
        }
        Ok(Self { topology: topology.to_owned(), path: base.join("topo").join(topology) })
    }

    /// Where it is for a user of whom nothing is known, as ssh and shells read it.
    pub fn usual(topology: &str) -> Self {
        let path = Path::new("~/.local/state/topo").join(topology);
        Self { topology: topology.to_owned(), path }
    }

    pub fn topology(&self) -> &str {
        &self.topology
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn is_there(&self) -> bool {
        self.path.is_dir()
    }

    /// Makes the folder, for the user alone.
    pub fn prepare(&self) -> Result<(), StateError> {
        private_folder(&self.path).map_err(|source| self.broken(source))
    }

    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.file(name)).ok()
    }

    /// Whole or not at all, readable by the user alone.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), StateError> {
        self.prepare()?;
        write_atomically(&self.file(name), content, 0o600).map_err(|source| self.broken(source))
    }

    /// An empty folder for what has no use after this: what a killed topo left in it is removed first.
    pub fn scratch(&self, name: &str) -> Result<Scratch, StateError> {
        let scratch = Scratch(self.file(name));
        scratch
            .remove()
            .and_then(|()| private_folder(&scratch.0))
            .map_err(|source| self.broken(source))?;
        Ok(scratch)
    }

    /// Removes the folder, and topo's own above it if that was the last.
    pub fn remove(&self) -> Result<(), StateError> {
        remove_folder(&self.path).map_err(|source| self.broken(source))
    }

    /// Takes the topology's lock. It lasts until this process and every child that inherited it have
    /// ended, so that a `kind` which outlives a killed topo still keeps the next one waiting.
    pub fn lock(&self, command: &str) -> Result<Lock, StateError> {
        self.prepare()?;
        let path = self.file("lock");
        let failed = |source| StateError::Lock { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = holder.trim().to_owned();
                let outlived = !is_running(&holder);
                return Err(StateError::Held { topology: self.topology.clone(), holder, outlived });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
        writeln!(file, "pid {}: {command}", std::process::id()).map_err(failed)?;
        let flags = fcntl_getfd(&file).map_err(|error| failed(error.into()))?;
        fcntl_setfd(&file, flags - FdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
        Ok(Lock { file })
    }

    /// The command that holds the lock, if one does: `pid 4711: topo apply`.
    pub fn holder(&self) -> Option<String> {
        let mut file = File::open(self.file("lock")).ok()?;
        let mut holder = String::new();
        file.read_to_string(&mut holder).ok()?;
        // To try it takes it for a moment, so it is tried only where it is likely to be held.
        let may_be_held = !holder.is_empty() && is_running(holder.trim());
        let is_held =
            may_be_held && matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        is_held.then(|| holder.trim().to_owned())
    }

    fn broken(&self, source: io::Error) -> StateError {
        StateError::Folder { path: self.path.clone(), source }
    }
}

/// Whether the process that wrote `pid 4711: topo apply` is still there.
fn is_running(holder: &str) -> bool {
    let digits = holder.strip_prefix("pid ").and_then(|rest| rest.split(':').next());
    let pid = digits.and_then(|digits| digits.parse().ok());
    pid.is_none_or(|pid| Holder::of(pid).is_some())
}

/// Held for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Starts what is to outlive topo, and so must not inherit the lock.
    pub fn withheld<T>(&self, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let _nothing_else_starts = process::starting_alone();
        let flags = fcntl_getfd(&self.file)?;
        fcntl_setfd(&self.file, flags | FdFlags::CLOEXEC)?;
        let started = start();
        fcntl_setfd(&self.file, flags)?;
        started
    }
}

/// A folder that goes when it is let go.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}

/// Makes a folder, with those above it, for the user alone.
pub fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes a folder if it is there, and the one that it is in if it was the last there.
pub fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Some(parent) = path.parent() {
        // Another folder in it is the usual reason for this to fail.
        let _ = fs::remove_dir(parent);
    }
    Ok(())
}

/// By a temporary file beside it and a rename, so that nobody ever reads half of it.
pub fn write_atomically(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(home: &Path) -> StateFolder {
        let home = home.display().to_string();
        StateFolder::of("dev", &|name| (name == "HOME").then(|| home.clone())).expect("a home")
    }

    #[test]
    fn a_folder_that_no_settings_could_name_is_refused() {
        let odd = |name: &str| (name == "XDG_STATE_HOME").then(|| "/home/a\nPort 1".to_owned());
        let refused = StateFolder::of("dev", &odd).expect_err("is refused");
        assert!(matches!(refused, StateError::Unwritable { control: '\n', .. }), "{refused}");
    }

    #[test]
    fn a_second_holder_is_told_who_the_first_is() {
        let home = tempfile::tempdir().expect("a folder");
        let state = folder(home.path());
        let first = state.lock("topo apply").expect("free");
        let refused = state.lock("topo destroy").expect_err("taken").to_string();
        assert!(refused.contains(&format!("pid {}: topo apply", std::process::id())), "{refused}");
        drop(first);
        state.lock("topo destroy").expect("free again");
    }

    #[test]
    fn what_is_to_outlive_topo_does_not_inherit_the_lock() {
        let home = tempfile::tempdir().expect("a folder");
        let state = folder(home.path());
        let lock = state.lock("topo apply").expect("free");
        let sleep = || std::process::Command::new("sleep").arg("60").spawn();
        let mut outlives = lock.withheld(sleep).expect("starts");
        drop(lock);
        // What another test started meanwhile inherited it, and ends long before this child does.
        let free = (0..200).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            state.lock("topo destroy").ok()
        });
        let lock = free.expect("the child does not hold it");
        let mut inherits = sleep().expect("starts");
        drop(lock);
        assert!(state.lock("topo destroy").is_err(), "the child still holds it");
        for child in [&mut outlives, &mut inherits] {
            child.kill().and_then(|()| child.wait()).expect("ends");
        }
    }

    #[test]
    fn what_a_killed_topo_left_in_a_scratch_folder_is_gone_and_so_is_the_folder_afterwards() {
        let home = tempfile::tempdir().expect("a folder");
        let state = folder(home.path());
        let left = state.file("kind").join("kubeconfig.lock");
        private_folder(&state.file("kind")).and_then(|()| fs::write(&left, "")).expect("left");
        let scratch = state.scratch("kind").expect("made");
        assert!(!left.exists());
        fs::write(scratch.file("kubeconfig"), "a key").expect("written");
        drop(scratch);
        assert!(!state.file("kind").exists());
    }

    #[test]
    fn what_is_written_is_the_users_alone_and_goes_with_the_folder() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().expect("a folder");
        let state = folder(home.path());
        state.write("key", b"secret").expect("written");
        let mode = fs::metadata(state.file("key")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(state.read("key").as_deref(), Some(b"secret".as_slice()));
        state.remove().expect("removed");
        assert!(!home.path().join(".local/state/topo").exists());
    }
}
