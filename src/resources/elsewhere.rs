//! What a file means of this machine, and an engine on another machine cannot give.

use crate::backend::machine::Machine;
use crate::engine::Failure;
use crate::topology::{Topology, Via};

/// Folders are those of the machine that the engine runs on.
pub fn refuse_folders(topology: &Topology, machine: &Machine) -> Result<(), Failure> {
    let mut folders: Vec<String> = Vec::new();
    if let Some(cluster) = &topology.cluster {
        let mounts = |place: String, mounts: &[crate::topology::Mount]| {
            let paths = mounts.iter().map(|mount| format!("{place}: {}", mount.host_path));
            paths.collect::<Vec<_>>()
        };
        folders.extend(mounts("`cluster.mounts`".to_owned(), &cluster.mounts));
        for group in &cluster.groups {
            folders
                .extend(mounts(format!("`mounts` of the group `{}`", group.name), &group.mounts));
        }
    }
    let shared = topology.shares.iter().filter(|share| {
        matches!(share.via, Via::Mount | Via::Server | Via::Host) && share.path.is_some()
    });
    folders.extend(shared.map(|share| format!("the share `{}`, via: {}", share.name, share.via)));
    if folders.is_empty() {
        return Ok(());
    }
    let mut failure = Failure::new(format!(
        "the engine is on `{}`, which has none of this machine's folders",
        machine.host
    ))
    .hint(
        "share them with `via: ssh`, which carries them there from an NFS server on this machine",
    );
    failure.causes = folders;
    Err(failure)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_folder_of_this_machine_is_named() {
        let topology = |cluster: serde_json::Value, via: &str| -> Topology {
            serde_json::from_value(json!({
                "apiVersion": "topo/v1alpha1", "kind": "Topology", "name": "far",
                "cluster": cluster,
                "shares": [{ "name": "docs", "path": "/docs", "via": via }],
            }))
            .expect("a topology")
        };
        let machine = Machine { host: "far.example".to_owned(), login: None };
        let mount = json!([{ "hostPath": "/src", "containerPath": "/src" }]);
        let groups = json!([{ "name": "gpu", "mounts": mount }]);
        let file = topology(json!({ "mounts": mount, "groups": groups }), "mount");
        let refused = refuse_folders(&file, &machine).expect_err("none of them is there");
        assert_eq!(
            refused.causes,
            [
                "`cluster.mounts`: /src",
                "`mounts` of the group `gpu`: /src",
                "the share `docs`, via: mount"
            ]
        );
        assert_eq!(refuse_folders(&topology(json!({}), "ssh"), &machine), Ok(()));
    }
}
