//! The ports by which the NFS server of a share is reached through the gateway.

use crate::topology::{NfsSystem, NfsVersion, PortNumber, Share, Topology, Via};

const NFS_PORT: u16 = 2049;
const MOUNT_PORT: u16 = 20048;

/// On the gateway and on this machine alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TunnelPorts {
    pub nfs: u16,
    /// Of its mountd, which only version 3 needs.
    pub mount: Option<u16>,
}

pub fn tunnel_ports(share: &Share) -> TunnelPorts {
    let nfs = share.nfs.as_ref();
    let port = |port: Option<PortNumber>, usual| port.map_or(usual, PortNumber::get);
    TunnelPorts {
        nfs: port(nfs.and_then(|nfs| nfs.port), NFS_PORT),
        mount: (version(share) == NfsVersion::V3)
            .then(|| port(nfs.and_then(|nfs| nfs.mount_port), MOUNT_PORT)),
    }
}

/// The newest that the server's system serves, unless the file says otherwise.
fn version(share: &Share) -> NfsVersion {
    let nfs = share.nfs.as_ref();
    let option = share.mount_options.iter().find_map(|option| {
        let (key, value) = option.as_str().split_once('=')?;
        matches!(key, "vers" | "nfsvers").then(|| value.parse().ok())?
    });
    let macos = match nfs.and_then(|nfs| nfs.system) {
        Some(system) => system == NfsSystem::Macos,
        None => cfg!(target_os = "macos"),
    };
    let newest = if macos { NfsVersion::V3 } else { NfsVersion::V4_2 };
    option.or_else(|| nfs?.version).unwrap_or(newest)
}

/// The share whose tunnel carries this one: the first with the same server. Two tunnels could not
/// listen on one port of the gateway.
pub fn carrier<'a>(topology: &'a Topology, share: &'a Share) -> &'a Share {
    let nfs = tunnel_ports(share).nfs;
    let over_ssh = topology.shares.iter().filter(|share| share.via == Via::Ssh);
    over_ssh.into_iter().find(|other| tunnel_ports(other).nfs == nfs).unwrap_or(share)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn share(nfs: serde_json::Value) -> Share {
        let share = json!({ "name": "docs", "path": "/docs", "via": "ssh", "nfs": nfs });
        serde_json::from_value(share).expect("a share")
    }

    #[test]
    fn only_version_3_needs_a_second_port() {
        let linux = share(json!({ "system": "linux" }));
        assert_eq!(tunnel_ports(&linux), TunnelPorts { nfs: 2049, mount: None });
        let three = share(json!({ "system": "linux", "version": "3", "mountPort": 892 }));
        assert_eq!(tunnel_ports(&three), TunnelPorts { nfs: 2049, mount: Some(892) });
        let macos = share(json!({ "system": "macos", "port": 12049 }));
        assert_eq!(tunnel_ports(&macos), TunnelPorts { nfs: 12049, mount: Some(20048) });
    }
}
