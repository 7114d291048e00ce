//! Tunnels: an `ssh` to the gateway that a process of the user's keeps up, long after topo has ended.
//!
//! All that this process needs lies in the tunnel's own folder, and when that folder is gone it ends.
//! Whether it runs is told by a lock that it holds, never by a process id alone.

mod backoff;
mod connection;
mod folder;
mod guard;
mod process;
mod report;
mod supervise;
mod unit;

use std::io;
use std::path::PathBuf;

pub use connection::ANSWER;
pub use folder::{Engine, Spec, Tunnel};
pub use report::Standing;
pub use supervise::{Ending, supervise};
pub use unit::{System, Unit};

use super::host::{ProcessError, StateError};

#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    #[error("cannot use `{}`", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot make sense of `{}`: {why}", path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error(transparent)]
    State(#[from] StateError),
    #[error("cannot make a key")]
    Key(#[source] ProcessError),
    #[error("the tunnel `{name}` runs already (pid {pid})")]
    Running { name: String, pid: i32 },
    #[error("cannot start the tunnel's process")]
    Start(#[source] io::Error),
    #[error("the tunnel's process ended as soon as it was started\n{0}")]
    Stillborn(String),
    #[error("the tunnel's process {pid} does not end")]
    Stubborn { pid: i32 },
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
}
