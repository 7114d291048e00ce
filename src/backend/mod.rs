//! The edges: everything through which topo reaches the world.

pub mod host;
