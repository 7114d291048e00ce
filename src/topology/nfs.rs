//! How pods mount a share over NFS: what the file says of it, and what follows where it says nothing.

use super::share::{NfsSystem, NfsVersion, PortNumber, Share, Via};

const NFS: u16 = 2049;
const MOUNTD: u16 = 20048;

/// Ports of an NFS server, as nodes reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NfsPorts {
    pub nfs: u16,
    /// Version 3 asks mountd first.
    pub mount: Option<u16>,
}

impl Share {
    /// The system that the share's NFS server runs on: this machine's, unless the file says.
    pub fn nfs_system(&self) -> NfsSystem {
        let here = if cfg!(target_os = "macos") { NfsSystem::Macos } else { NfsSystem::Linux };
        let usual = match self.via {
            Via::Host | Via::Ssh => here,
            Via::Auto | Via::Mount | Via::Server | Via::External => NfsSystem::Linux,
        };
        self.nfs.as_ref().and_then(|nfs| nfs.system).unwrap_or(usual)
    }

    /// The version that pods mount with: what the options say, else the file, else the newest served.
    pub fn nfs_version(&self) -> NfsVersion {
        let asked = self.mount_option("vers").or_else(|| self.mount_option("nfsvers"));
        let asked = asked.and_then(|(_, version)| version.parse().ok());
        asked.or_else(|| self.nfs.as_ref()?.version).unwrap_or(match self.nfs_system() {
            NfsSystem::Macos => NfsVersion::V3,
            NfsSystem::Linux => NfsVersion::V4_2,
        })
    }

    /// Those of the server; the gateway listens on the same ones for a share by `via: ssh`.
    pub fn nfs_ports(&self) -> NfsPorts {
        let nfs = self.nfs.as_ref();
        let port = |option: &str, given: Option<PortNumber>, usual| {
            let asked = self.mount_option(option).and_then(|(_, port)| port.parse().ok());
            asked.or(given.map(PortNumber::get)).unwrap_or(usual)
        };
        let mount = || port("mountport", nfs.and_then(|nfs| nfs.mount_port), MOUNTD);
        NfsPorts {
            nfs: port("port", nfs.and_then(|nfs| nfs.port), NFS),
            mount: (self.nfs_version() == NfsVersion::V3).then(mount),
        }
    }

    /// Which of the written mount options this is, and its value; empty for one that has none.
    pub fn mount_option(&self, name: &str) -> Option<(usize, &str)> {
        self.mount_options.iter().enumerate().find_map(|(at, option)| {
            let (key, value) = option.as_str().split_once('=').unwrap_or((option.as_str(), ""));
            (key == name).then_some((at, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn share(via: &str, more: Value) -> Share {
        let mut share = json!({ "name": "docs", "path": "/docs", "via": via });
        for (key, value) in more.as_object().expect("a map") {
            share[key] = value.clone();
        }
        serde_json::from_value(share).expect("a share")
    }

    #[test]
    fn version_3_alone_has_a_mount_port() {
        let ports = |via, more| share(via, more).nfs_ports();
        assert_eq!(ports("server", json!({})), NfsPorts { nfs: 2049, mount: None });
        assert_eq!(
            ports("ssh", json!({ "nfs": { "system": "macos", "port": 12049 } })),
            NfsPorts { nfs: 12049, mount: Some(20048) }
        );
    }

    #[test]
    fn what_the_mount_options_say_goes_before_what_is_known_of_the_server() {
        let written = share(
            "external",
            json!({
                "nfs": { "version": "4.2", "port": 2050, "mountPort": 2051 },
                "mountOptions": ["nfsvers=3", "nolock", "port=12049", "mountport=892"],
            }),
        );
        assert_eq!(written.nfs_version(), NfsVersion::V3);
        assert_eq!(written.nfs_ports(), NfsPorts { nfs: 12049, mount: Some(892) });
        assert_eq!(written.mount_option("nolock"), Some((1, "")));
        assert_eq!(written.mount_option("soft"), None);
    }
}
