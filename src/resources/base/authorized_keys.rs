//! Who may log in to the gateway, and to whatever a template hands the same keys.

use crate::engine::Failure;
use crate::resources::base::objection::{Objection, Objections};
use crate::topology::gateway::AuthorizedKey;
use crate::topology::{HostPath, Topology, ssh_key};

/// The public keys that the file names, read from where it says.
pub fn authorized_keys(topology: &Topology) -> Result<Vec<String>, Objections> {
    let ssh = topology.gateway.as_ref().and_then(|gateway| gateway.ssh.as_ref());
    let written = ssh.iter().flat_map(|ssh| ssh.keys());
    let (mut keys, mut objections) = (Vec::new(), Vec::new());
    for (at, key) in written.enumerate() {
        match key {
            AuthorizedKey::Key(key) => keys.push(key.clone()),
            AuthorizedKey::File(path) => match keys_of(path) {
                Ok(read) => keys.extend(read),
                Err(failure) => {
                    let key = format!("gateway.ssh.authorizedKeys.{at}");
                    objections.push(Objection::at(key, failure));
                }
            },
        }
    }
    Objections::or(keys, objections)
}

/// The public keys of a file, one a line.
fn keys_of(path: &HostPath) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path.path()).map_err(|error| {
        Failure::because(format!("cannot read the public key `{path}`"), &error)
            .hint("make a key with `ssh-keygen -t ed25519`, or write the key itself")
    })?;
    if text.contains("PRIVATE KEY") {
        return Err(Failure::new(format!("`{path}` is a private key"))
            .hint("name the public key, the file that ends in `.pub`"));
    }
    let lines = text.lines().map(str::trim).zip(1..);
    lines
        .filter(|(line, _)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, number)| {
            ssh_key::check(line).map(|()| line.to_owned()).map_err(|malformed| {
                let failure = Failure::new(format!("{path}:{number}: {}", malformed.what));
                match malformed.instead {
                    Some(instead) => failure.hint(format!("write {instead}")),
                    None => failure,
                }
            })
        })
        .collect()
}
