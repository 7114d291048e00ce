//! topo: a real Kubernetes environment on your own machine, from one topology file.

pub mod backend;
pub mod plan;
