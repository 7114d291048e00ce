//! What the kinds are built on: what every one of them is handed, and what several of them do alike.

pub mod claim;
pub mod context;
pub mod docker;
pub mod existing;
pub mod kube;
pub mod marks;
pub mod stages;
