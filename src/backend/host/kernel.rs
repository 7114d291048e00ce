//! What this machine's kernel allows, and how much room there is. On other systems than Linux most of
//! it cannot be read, which is an error.

use std::fs;
use std::io;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

/// Bytes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub free: u64,
    pub total: u64,
}

/// The first number of a setting below /proc/sys: `fs/inotify/max_user_instances`.
pub fn setting(name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(Path::new("/proc/sys").join(name))?;
    let number = text.split_whitespace().next().and_then(|first| first.parse().ok());
    number.ok_or_else(|| io::Error::other("it is not a number"))
}

/// Whether an interface leads packets with loopback addresses.
pub fn route_localnet(interface: &str) -> io::Result<u64> {
    setting(&format!("net/ipv4/conf/{interface}/route_localnet"))
}

/// As `uname -r` says it; none where there is no /proc.
pub fn release() -> Option<String> {
    told("osrelease")
}

/// As `uname -n` says it.
pub fn name() -> Option<String> {
    told("hostname")
}

fn told(what: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new("/proc/sys/kernel").join(what)).ok()?;
    Some(text.trim().to_owned())
}

/// How many files a program that is started from here may have open; None where there is no limit.
pub fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// What the file system has on which this path lies.
pub fn room(path: &Path) -> io::Result<Room> {
    let seen = rustix::fs::statvfs(path)?;
    Ok(Room {
        free: seen.f_bavail.saturating_mul(seen.f_frsize),
        total: seen.f_blocks.saturating_mul(seen.f_frsize),
    })
}
