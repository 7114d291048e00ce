//! The gateway's side: the keys that tunnels come in with.

use tokio::sync::Mutex;

use crate::backend::docker::Archived;
use crate::backend::tunnel::ANSWER;
use crate::engine::Failure;
use crate::resources::base::context::Context;
use crate::resources::gateway::{put, read};

/// Beside the keys of people, in the volume that outlives the container.
const TUNNEL_KEYS: &str = "tunnel_keys";

/// Held by whoever changes them.
#[derive(Default)]
struct AtWork(Mutex<()>);

/// The line of a key: what it may do, and nothing else that sshd offers.
pub fn line(permits: &str, key: &str, tunnel: &str) -> String {
    format!("{permits},command=\"{ANSWER}\" {key} {tunnel}")
}

pub async fn lines(cx: &Context, gateway: &str) -> Result<Vec<String>, Failure> {
    let text = read(cx, gateway, TUNNEL_KEYS).await?.unwrap_or_default();
    Ok(text.lines().map(str::to_owned).collect())
}

/// What the key of a tunnel may do, as the gateway has it.
pub fn permits<'a>(lines: &'a [String], tunnel: &str, key: &str) -> Option<&'a str> {
    let end = format!(",command=\"{ANSWER}\" {key} {tunnel}");
    lines.iter().find_map(|line| line.strip_suffix(end.as_str()))
}

/// In the place of the line that the tunnel had before, if it had one.
pub async fn admit(cx: &Context, gateway: &str, tunnel: &str, line: String) -> Result<(), Failure> {
    let at_work = cx.run::<AtWork>();
    let _alone = at_work.0.lock().await;
    let mut lines = others(lines(cx, gateway).await?, tunnel);
    lines.push(line);
    write(cx, gateway, &lines).await
}

/// A gateway that is gone took the line with it.
pub async fn dismiss(cx: &Context, gateway: &str, tunnel: &str) -> Result<(), Failure> {
    let at_work = cx.run::<AtWork>();
    let _alone = at_work.0.lock().await;
    let before = lines(cx, gateway).await?;
    let left = others(before.clone(), tunnel);
    if left.len() == before.len() { Ok(()) } else { write(cx, gateway, &left).await }
}

fn others(lines: Vec<String>, tunnel: &str) -> Vec<String> {
    lines.into_iter().filter(|line| line.rsplit(' ').next() != Some(tunnel)).collect()
}

async fn write(cx: &Context, gateway: &str, lines: &[String]) -> Result<(), Failure> {
    let text = lines.join("\n") + "\n";
    put(cx, gateway, &[Archived { path: TUNNEL_KEYS, mode: 0o644, content: text.as_bytes() }]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_its_key_may_do() {
        let own = line("restrict,port-forwarding", "ssh-ed25519 AAAA", "topo-dev-docs");
        let other = line("restrict", "ssh-ed25519 BBBB", "topo-dev-docs-too");
        let lines = vec![other.clone(), own];
        assert_eq!(
            permits(&lines, "topo-dev-docs", "ssh-ed25519 AAAA"),
            Some("restrict,port-forwarding")
        );
        assert_eq!(permits(&lines, "topo-dev-docs", "ssh-ed25519 CCCC"), None);
        assert_eq!(others(lines, "topo-dev-docs"), [other]);
    }
}
