//! topo: a real Kubernetes environment on your own machine, from one topology file.

pub mod adopt;
pub mod backend;
mod causes;
pub mod cli;
pub mod doctor;
pub mod engine;
pub mod error;
pub mod finding;
pub mod manifest;
pub mod plan;
pub mod resources;
pub mod templates;
pub mod topology;
pub mod trace;
pub mod view;
