//! NFS, spoken by topo itself: whether a share can be used is tried, not hoped for.
//!
//! A trial goes the way that a client goes (`check`), over whatever connection it is given
//! (`dial`), with no kernel and no rights of its own: RPC and its encoding (`rpc`, `xdr`), version 3
//! with its mount service (`nfs3`, `mount3`, `portmap`), and version 4 in its minor versions (`nfs4`).
//! Both versions offer the same `folder`. What goes wrong is a `fault` at a step; more is asked
//! about it (`evidence`) before it gets its name, cause and remedy (`diagnosis`, `verdict`,
//! `finding`).

mod check;
mod diagnosis;
mod dial;
mod evidence;
mod fault;
mod finding;
mod folder;
mod mount3;
mod nfs3;
mod nfs4;
mod portmap;
mod rpc;
mod status;
#[cfg(test)]
mod tests;
mod through;
mod verdict;
mod words;
mod xdr;

pub use check::{Proof, Trial, check};
pub use dial::{Dial, Direct};
pub use finding::Finding;
pub use through::ThroughContainer;
