//! "Another machine": the lab's second engine, reached over TLS.

mod remote_engine;
mod tunnel;

use crate::lab::Lab;

/// The address of that machine.
pub fn address() -> String {
    variable("LAB_REMOTE_HOST")
}

/// A user whose engine is on that machine.
pub fn over_tls(name: &'static str) -> Lab {
    let mut lab = Lab::open(name);
    lab.set("DOCKER_HOST", variable("LAB_REMOTE_DOCKER_HOST"));
    lab.set("DOCKER_TLS_VERIFY", "1");
    lab.set("DOCKER_CERT_PATH", variable("LAB_REMOTE_CERTS"));
    lab.set("FAR_ADDRESS", address());
    lab
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: bring the lab up first"))
}
