//! "Another machine": the lab's second engine, reached over TLS or over ssh.

use std::os::unix::fs::PermissionsExt;

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

/// The same, with an ssh configuration that knows the machine: OpenSSH looks for one where the system
/// says that the user lives, so here a program of that name tells it another place.
pub fn over_ssh(name: &'static str) -> Lab {
    let mut lab = Lab::open(name);
    let programs = lab.home.path().join("bin");
    std::fs::create_dir(&programs).expect("made");
    let ssh = programs.join("ssh");
    let config = variable("LAB_REMOTE_SSH_CONFIG");
    // Whoever names a configuration means that one alone.
    let script = format!(
        "#!/bin/sh\nfor word; do [ \"$word\" = -F ] && exec /usr/bin/ssh \"$@\"; done\nexec /usr/bin/ssh -F '{config}' \"$@\"\n"
    );
    std::fs::write(&ssh, script).expect("written");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&ssh, executable).expect("is made executable");
    let path = std::env::var("PATH").expect("a PATH");
    lab.set("PATH", format!("{}:{path}", programs.display()));
    lab.set("DOCKER_HOST", format!("ssh://root@{}", address()));
    lab.set("FAR_ADDRESS", "127.0.0.1");
    lab
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: bring the lab up first"))
}
