//! This machine: files, processes, the user's folders.

mod files;
pub mod firewall;
mod holder;
pub mod kernel;
pub mod kubeconfig;
mod process;
mod reach;
mod routes;
mod signals;
pub mod sockets;
mod speech;
mod state;

pub use files::{Disk, exports, owner};
pub use holder::Holder;
pub use kubeconfig::{Kubeconfig, KubeconfigError};
pub use process::{ProcessError, Program, Terminal, find_program, process_id, processes};
pub use reach::{Reach, opens, reach};
pub use routes::{Route, routes};
pub use signals::Interrupts;
pub use speech::{Speech, speech};
pub use state::{
    Lock, Scratch, StateError, StateFolder, private_folder, remove_folder, write_atomically,
};
