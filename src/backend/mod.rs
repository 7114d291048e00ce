//! The edges: everything through which topo reaches the world.

pub mod calls;
pub mod docker;
pub mod download;
pub mod helm;
pub mod host;
pub mod kind;
pub mod kube;
pub mod kustomize;
pub mod log;
pub mod machine;
pub mod nfs;
pub mod readiness;
pub mod site;
pub mod tunnel;
