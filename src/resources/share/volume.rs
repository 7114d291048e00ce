//! The two objects that a share is in the cluster: a volume, and the claim that pods name.

use std::sync::Arc;

use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use super::mount::{access_mode, volume_name};
use crate::backend::kube::{Target, Verdict};
use crate::manifest::{Kind, Kinds};
use crate::plan::{Fields, Id, Outputs};
use crate::resources::base::kube::ready;
use crate::topology::Access;

/// Volume and claim, as objects of the cluster are addressed.
pub struct Pair {
    volume_kind: Arc<Kind>,
    claim_kind: Arc<Kind>,
    volume: String,
    /// Namespace and name.
    claim: (String, String),
}

impl Pair {
    /// Those of a share with these fields, wanted or recorded.
    pub fn of(topology: &str, share: &Id, fields: &Fields<Value>) -> Option<Self> {
        let (namespace, name) = fields.get("claim")?.as_str()?.split_once('/')?;
        let [volume_kind, claim_kind] = kinds();
        Some(Self {
            volume_kind,
            claim_kind,
            volume: volume_name(topology, share.name()),
            claim: (namespace.to_owned(), name.to_owned()),
        })
    }

    pub fn volume(&self) -> Target<'_> {
        Target { kind: &self.volume_kind, namespace: None, name: &self.volume }
    }

    pub fn claim(&self) -> Target<'_> {
        Target { kind: &self.claim_kind, namespace: Some(&self.claim.0), name: &self.claim.1 }
    }

    /// Volume and claim, each bound to the other by name before it is there.
    pub fn bodies(&self, fields: &Fields<Value>) -> [Value; 2] {
        let (namespace, name) = &self.claim;
        let access = fields.get("access").cloned().and_then(|it| serde_json::from_value(it).ok());
        let access: Access = access.unwrap_or_default();
        let size = fields.get("size");
        let mut volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": { "name": self.volume },
            "spec": {
                "capacity": { "storage": size },
                "accessModes": [access_mode(access)],
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": { "namespace": namespace, "name": name },
            },
        });
        let spec = &mut volume["spec"];
        let options = fields.get("mountOptions").filter(|all| **all != json!([]));
        if let Some(options) = options {
            spec["mountOptions"] = options.clone();
        }
        match fields.get("server") {
            Some(server) => spec["nfs"] = Value::Object(nfs(server, fields.get("path"), access)),
            // kubelet must not make the folder where a node lacks the mount.
            None => spec["hostPath"] = json!({ "path": fields.get("path"), "type": "Directory" }),
        }
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": { "name": name, "namespace": namespace },
            "spec": {
                "accessModes": [access_mode(access)],
                // Not that of a default class, which would provide another volume.
                "storageClassName": "",
                "volumeName": self.volume,
                "resources": { "requests": { "storage": size } },
            },
        });
        [volume, claim]
    }
}

fn nfs(server: &Value, path: Option<&Value>, access: Access) -> Map<String, Value> {
    let mut nfs = Map::new();
    nfs.insert("server".to_owned(), server.clone());
    nfs.insert("path".to_owned(), path.cloned().unwrap_or_default());
    if access == Access::Ro {
        nfs.insert("readOnly".to_owned(), json!(true));
    }
    nfs
}

pub fn kinds() -> [Arc<Kind>; 2] {
    let named = |kind: &str| Kinds::default().named(&"v1".into(), &kind.into());
    [named("PersistentVolume"), named("PersistentVolumeClaim")]
}

/// Whether the two are one another's. A pod that comes before that is put aside by the scheduler, for as
/// long as five minutes.
pub fn bound(claim: Option<&DynamicObject>) -> Verdict<Outputs> {
    let [_, kind] = kinds();
    let phase = claim.and_then(|claim| claim.data.pointer("/status/phase"));
    match ready::judge(&kind, claim) {
        Verdict::Done(_) if phase != Some(&json!("Bound")) => {
            Verdict::NotYet("its claim is not bound yet".to_owned())
        }
        verdict => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_ready_when_it_is_bound_to_its_volume() {
        let verdict = |phase: Value| {
            let claim =
                json!({ "metadata": { "name": "docs" }, "spec": {}, "status": { "phase": phase } });
            bound(Some(&serde_json::from_value(claim).expect("a claim")))
        };
        assert_eq!(verdict(json!("Bound")), Verdict::Done(Outputs::new()));
        let not_yet = Verdict::NotYet("its claim is not bound yet".to_owned());
        assert_eq!([verdict(json!("Pending")), verdict(json!(null))], [not_yet.clone(), not_yet]);
        assert!(matches!(verdict(json!("Lost")), Verdict::Failed(_)));
        assert!(matches!(bound(None), Verdict::NotYet(_)));
    }

    fn fields(server: Option<&str>, access: &str) -> Fields<Value> {
        let fields = Fields::new()
            .with("claim", json!("studio/docs"))
            .with("path", json!("/docs"))
            .with("access", json!(access))
            .with("size", json!("10Gi"))
            .with("mountOptions", json!(server.map_or(vec![], |_| vec!["hard"])));
        match server {
            Some(server) => fields.with("server", json!(server)),
            None => fields,
        }
    }

    fn bodies(fields: &Fields<Value>) -> [Value; 2] {
        Pair::of("dev", &crate::resources::base::ids::share("docs"), fields)
            .expect("a claim")
            .bodies(fields)
    }

    #[test]
    fn each_names_the_other_and_no_class_comes_between() {
        let [volume, claim] = bodies(&fields(Some("172.22.0.9"), "rw"));
        assert_eq!(volume["metadata"]["name"], "dev-docs");
        assert_eq!(volume["spec"]["claimRef"], json!({ "namespace": "studio", "name": "docs" }));
        assert_eq!(volume["spec"]["nfs"], json!({ "server": "172.22.0.9", "path": "/docs" }));
        assert_eq!(volume["spec"]["mountOptions"], json!(["hard"]));
        assert_eq!(claim["spec"]["volumeName"], "dev-docs");
        assert_eq!(claim["spec"]["storageClassName"], "");
        assert_eq!(claim["spec"]["accessModes"], json!(["ReadWriteMany"]));
    }

    #[test]
    fn a_read_only_share_says_so_in_all_places() {
        let [volume, claim] = bodies(&fields(Some("nas"), "ro"));
        assert_eq!(volume["spec"]["nfs"]["readOnly"], true);
        assert_eq!(volume["spec"]["accessModes"], json!(["ReadOnlyMany"]));
        assert_eq!(claim["spec"]["accessModes"], json!(["ReadOnlyMany"]));
    }

    #[test]
    fn a_mounted_folder_is_one_of_the_nodes() {
        let [volume, _] = bodies(&fields(None, "rw"));
        assert_eq!(volume["spec"]["hostPath"], json!({ "path": "/docs", "type": "Directory" }));
        assert!(
            volume["spec"].get("nfs").is_none() && volume["spec"].get("mountOptions").is_none()
        );
    }
}
