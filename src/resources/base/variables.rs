//! The environment, as far as topo is told of it.

/// The value of a variable, if it is set.
pub type Variables = dyn Fn(&str) -> Option<String> + Send + Sync;
