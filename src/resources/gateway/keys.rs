//! Who the gateway is, and who may log in to it.

use crate::backend::docker::AbsentIsFine;
use crate::engine::Failure;
use crate::resources::base::context::Context;
use crate::resources::base::objection::{Objection, Objections};
use crate::topology::gateway::AuthorizedKey;
use crate::topology::{HostPath, Topology, ssh_key};

use super::container::STATE;

/// sshd's own, made at its first start, in the volume that outlives the container.
const HOST_KEY_FILE: &str = "ssh_host_ed25519_key.pub";

/// The public keys that the file names, read from where it says.
pub fn authorized_keys(topology: &Topology) -> Result<Vec<String>, Objections> {
    let ssh = topology.gateway.as_ref().and_then(|gateway| gateway.ssh.as_ref());
    let written = ssh.iter().flat_map(|ssh| &ssh.authorized_keys);
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

/// Type and key, without the comment; none before sshd's first start.
pub async fn host_key(cx: &Context, gateway: &str) -> Result<Option<String>, Failure> {
    let Some(text) = read(cx, gateway, HOST_KEY_FILE).await? else { return Ok(None) };
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    Ok((words.len() == 2).then(|| words.join(" ")))
}

/// A file of the gateway's volume.
pub async fn read(cx: &Context, gateway: &str, file: &str) -> Result<Option<String>, Failure> {
    let found = cx.docker.get_file(gateway, &format!("{STATE}/{file}")).await.if_present();
    let content = found
        .map_err(|error| Failure::because(format!("cannot read {file} of `{gateway}`"), &error))?;
    Ok(content.flatten().map(|content| String::from_utf8_lossy(&content).into_owned()))
}
