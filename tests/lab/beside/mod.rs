//! Scenarios that run beside the others, one after another too: on another machine, or with nothing
//! on this one but what tells by its name whose it is.

mod far;
mod ha;
mod kernel;
mod nfs;
mod shares;

/// One of these is a part of the name of all that they have on the engine of the others.
pub const NAMES: [&str; 7] = ["ha", "krn", "nfst", "she", "shh", "shm", "shs"];
