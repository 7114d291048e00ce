//! Who the gateway is.

use crate::backend::docker::AbsentIsFine;
use crate::engine::Failure;
use crate::resources::base::context::Context;

use super::container::STATE;

/// sshd's own, made at its first start, in the volume that outlives the container.
const HOST_KEY_FILE: &str = "ssh_host_ed25519_key.pub";

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
