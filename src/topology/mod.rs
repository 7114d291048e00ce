//! The topology file: its types, and how it is read, located and checked.

mod types;

pub use types::*;
