//! What was built by hand, written down as a topology file: looking, and what is written of it, apart.

mod draft;
pub mod look;
mod rules;
mod sight;

pub use draft::draft;
pub use sight::{Cluster, Gateway, Sight};
