//! What a file mounts of this machine, and an engine on another machine cannot give.

use crate::backend::machine::Machine;
use crate::engine::Failure;
use crate::topology::{Mount, Topology};

/// Mounted folders are those of the machine that the engine runs on.
pub fn refuse_folders(topology: &Topology, machine: &Machine) -> Result<(), Failure> {
    let mut folders: Vec<String> = Vec::new();
    if let Some(cluster) = &topology.cluster {
        let mounts = |place: String, mounts: &[Mount]| {
            let paths = mounts.iter().map(|mount| format!("{place}: {}", mount.host_path));
            paths.collect::<Vec<_>>()
        };
        folders.extend(mounts("`cluster.mounts`".to_owned(), &cluster.mounts));
        for group in &cluster.groups {
            folders
                .extend(mounts(format!("`mounts` of the group `{}`", group.name), &group.mounts));
        }
    }
    if folders.is_empty() {
        return Ok(());
    }
    let mut failure = Failure::new(format!(
        "the engine is on `{}`, which has none of this machine's folders",
        machine.host
    ))
    .hint("share them instead: `shares: [{ name: …, path: …, via: ssh }]`");
    failure.causes = folders;
    Err(failure)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_folder_of_this_machine_is_named() {
        let topology = |cluster: serde_json::Value| -> Topology {
            serde_json::from_value(json!({
                "apiVersion": "topo/v1alpha1", "kind": "Topology", "name": "far",
                "cluster": cluster,
            }))
            .expect("a topology")
        };
        let machine = Machine { host: "far.example".to_owned(), login: None };
        let mount = json!([{ "hostPath": "/src", "containerPath": "/src" }]);
        let groups = json!([{ "name": "gpu", "mounts": mount }]);
        let file = topology(json!({ "mounts": mount, "groups": groups }));
        let refused = refuse_folders(&file, &machine).expect_err("none of them is there");
        assert_eq!(refused.causes, ["`cluster.mounts`: /src", "`mounts` of the group `gpu`: /src"]);
        assert_eq!(refuse_folders(&topology(json!({})), &machine), Ok(()));
    }
}
