//! What topo promises, tried at every call that it makes: killed at any moment, the next apply
//! finishes and the next destroy removes everything; nothing that topo did not make is changed; what
//! it prints is what happened.
//!
//! On the real program and the lab's engine, through a way to that engine that fails, cuts off and
//! kills as a test says. Everything that is chosen follows from one seed, which is printed.

#![expect(clippy::print_stderr, reason = "a test says how many rounds it had, and the seed")]

mod at_once;
mod cancel;
mod cluster;
mod doing;
mod engine;
mod faulty_engine;
mod files;
mod injection;
mod kill_matrix;
mod lane;
mod listing;
mod looking;
mod proxy;
mod rounds;
mod seed;
mod sentinels;
mod soak;
mod stalled;
mod taken_image;
mod truth;
