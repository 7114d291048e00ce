//! topo: a real Kubernetes environment on your own machine, from one topology file.

pub mod manifest;
pub mod plan;
