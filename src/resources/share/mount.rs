//! What goes with which `via`: tunnels, mount options, the names of things.

use crate::topology::{Access, NfsPorts, Share, Via};

/// Where folders that are mounted into nodes appear there.
pub const NODE_FOLDER: &str = "/var/lib/topo/shares";

/// Those of the file, or those that suit the server.
pub fn mount_options(share: &Share) -> Vec<String> {
    if share.via == Via::Mount {
        return Vec::new();
    }
    if !share.mount_options.is_empty() {
        return share.mount_options.iter().map(ToString::to_string).collect();
    }
    let NfsPorts { nfs, mount } = share.nfs_ports();
    let mut options = vec![
        format!("vers={}", share.nfs_version()),
        "proto=tcp".to_owned(),
        format!("port={nfs}"),
    ];
    if let Some(mount) = mount {
        // Nodes run no rpc.statd, without which version 3 cannot lock.
        options.extend([
            "mountproto=tcp".to_owned(),
            format!("mountport={mount}"),
            "nolock".to_owned(),
        ]);
    }
    options.push("hard".to_owned());
    options
}

/// The folder of a share in every node, with `via: mount`.
pub fn node_folder(share: &str) -> String {
    format!("{NODE_FOLDER}/{share}")
}

/// Volumes have no namespace, so theirs is named after the topology too.
pub fn volume_name(topology: &str, share: &str) -> String {
    format!("{topology}-{share}")
}

pub fn access_mode(access: Access) -> &'static str {
    match access {
        Access::Rw => "ReadWriteMany",
        Access::Ro => "ReadOnlyMany",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn share(extra: Value) -> Share {
        let mut share = json!({ "name": "docs", "path": "/docs" });
        for (key, value) in extra.as_object().expect("a map") {
            share[key] = value.clone();
        }
        serde_json::from_value(share).expect("a share")
    }

    #[test]
    fn options_suit_the_server() {
        let options = |extra| mount_options(&share(extra)).join(",");
        assert_eq!(options(json!({ "via": "server" })), "vers=4.2,proto=tcp,port=2049,hard");
        assert_eq!(
            options(json!({ "via": "ssh", "nfs": { "system": "macos" } })),
            "vers=3,proto=tcp,port=2049,mountproto=tcp,mountport=20048,nolock,hard"
        );
        assert_eq!(
            options(
                json!({ "via": "host", "nfs": { "system": "linux", "version": "4.1", "port": 2050 } })
            ),
            "vers=4.1,proto=tcp,port=2050,hard"
        );
        assert_eq!(options(json!({ "via": "mount" })), "");
    }

    #[test]
    fn options_of_the_file_stand_for_all_of_topos() {
        let written =
            share(json!({ "via": "external", "mountOptions": ["nfsvers=3", "nolock", "soft"] }));
        assert_eq!(mount_options(&written).join(","), "nfsvers=3,nolock,soft");
    }
}
