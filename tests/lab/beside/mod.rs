//! Scenarios that run beside the others, one after another too: on another machine, or with nothing
//! on this one but what wears a label by which the others leave it out of account.

mod far;
mod nfs;
