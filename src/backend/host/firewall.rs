//! The firewalls of this machine, as text. The rules themselves are shown to root alone.

use std::fs;

use super::{ProcessError, Program};

/// `iptables -S FORWARD`: its policy and its rules, in order.
pub async fn forward_rules() -> Result<String, ProcessError> {
    Program::new("iptables").args(["-S", "FORWARD"]).run(|_| {}).await
}

/// `nft list chains`: each with its hook and its policy.
pub async fn chains() -> Result<String, ProcessError> {
    Program::new("nft").args(["list", "chains"]).run(|_| {}).await
}

/// Whether ufw is switched on, which its settings show to everybody.
pub fn has_ufw() -> bool {
    let settings = fs::read_to_string("/etc/ufw/ufw.conf").unwrap_or_default();
    settings.lines().any(|line| line.trim() == "ENABLED=yes")
}
