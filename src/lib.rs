//! One topology file in, a running local Kubernetes environment out.

pub mod topology;
