//! A release of MetalLB: where its manifest comes from, and what topo changes in it.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::engine::{Amount, Failure, Tally, Turn};
use crate::manifest::{self, Kind, Kinds, Manifests, Source};
use crate::resources::base::context::Context;
use crate::topology::Metallb;

/// Releases whose manifests were read, with the checksum of the file that was.
const RELEASES: &[(&str, &str)] = &[
    ("v0.16.1", "bf25feebb7582ca7df845efd52ffbc2960d6cbf4cfc972f47fded9f788b67f0b"),
    ("v0.15.3", "84b4e102f2b65f5d69085f5816c29362b74641873d8ac3de996e5f86a8219176"),
];

/// Counts up when `rendered` changes what it makes of the same manifest.
const RENDERING: u32 = 1;

/// Where the manifest comes from, and what tells one from another.
pub enum Release {
    Pinned { url: String, sha256: &'static str },
    File { path: PathBuf, text: String },
}

impl Release {
    pub fn of(metallb: &Metallb) -> Result<Self, Failure> {
        if let Some(file) = &metallb.manifest {
            let text = std::fs::read_to_string(file.path()).map_err(|error| {
                Failure::because(format!("cannot read `{}`", file.written()), &error)
            })?;
            return Ok(Self::File { path: file.path().to_owned(), text });
        }
        let version = metallb.version.as_str();
        let Some((_, sha256)) = RELEASES.iter().find(|(known, _)| *known == version) else {
            let known: Vec<&str> = RELEASES.iter().map(|(version, _)| *version).collect();
            return Err(Failure::new(format!("the manifest of MetalLB {version} is not pinned in this topo"))
                .hint(format!(
                    "write `version: {}`, or download that release's metallb-native.yaml and name it with `manifest:`",
                    known.join("` or `")
                )));
        };
        let url = format!(
            "https://raw.githubusercontent.com/metallb/metallb/{version}/config/manifests/metallb-native.yaml"
        );
        Ok(Self::Pinned { url, sha256 })
    }

    /// SHA-256 of the manifest as it was released.
    pub fn checksum(&self) -> String {
        match self {
            Self::Pinned { sha256, .. } => (*sha256).to_owned(),
            Self::File { text, .. } => format!("{:x}", Sha256::digest(text)),
        }
    }

    pub fn fingerprint(&self) -> String {
        format!("sha256:{}+{RENDERING}", self.checksum())
    }

    fn name(&self) -> String {
        match self {
            Self::Pinned { url, .. } => url.clone(),
            Self::File { path, .. } => path.display().to_string(),
        }
    }

    /// The manifest's text if it is on this machine.
    pub fn here(&self, cx: &Context) -> Option<String> {
        match self {
            Self::Pinned { sha256, .. } => std::fs::read_to_string(cx.downloads.kept(sha256)?).ok(),
            Self::File { text, .. } => Some(text.clone()),
        }
    }

    pub async fn fetched(&self, cx: &Context, turn: &Turn) -> Result<String, Failure> {
        if let Self::Pinned { url, sha256 } = self {
            let (events, id) = (turn.clone(), turn.id().clone());
            let told = move |done, total: Option<u64>| {
                let total = total.unwrap_or(done);
                events
                    .measure(format!("{id} manifest"), Amount { done, total, tally: Tally::Bytes });
            };
            cx.downloads
                .fetch(url, sha256, told)
                .await
                .map_err(|error| Failure::because("cannot get MetalLB's manifest", &error))?;
        }
        self.here(cx).ok_or_else(|| Failure::new(format!("cannot read `{}`", self.name())))
    }

    /// The objects as they are applied: few and small changes, each for a reason.
    pub fn rendered(&self, text: String) -> Result<Vec<(Arc<Kind>, Value)>, Failure> {
        let source = Source { name: self.name().into(), text, ..Source::default() };
        let manifests: Manifests = manifest::read(vec![source], &mut Kinds::default(), &[])
            .map_err(|faults| {
                let mut faults = faults.into_iter().map(|fault| fault.to_string());
                let first = faults.next().unwrap_or_default();
                faults.fold(Failure::new(first), Failure::caused_by)
            })?;
        let bodies = manifests.objects.iter().map(|object| {
            let mut body = manifests.body(object);
            change_probes(&mut body);
            if object.kind.is("apps", "Deployment") {
                // Unsaid, it could be scaled to 0 without anybody owning that field.
                body["spec"]["replicas"] = json!(1);
            }
            (object.kind.clone(), body)
        });
        Ok(bodies.collect())
    }
}

/// Asked every second instead of every ten, the pods count as ready ten seconds sooner.
fn change_probes(body: &mut Value) {
    let containers =
        body.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        if let Some(probe) = container.get_mut("readinessProbe") {
            probe["initialDelaySeconds"] = json!(1);
            probe["periodSeconds"] = json!(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_changed_where_it_must_be_and_nowhere_else() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: controller, namespace: metallb-system}\n\
            spec: {template: {spec: {containers: [{name: c, readinessProbe: {periodSeconds: 10, timeoutSeconds: 1}, livenessProbe: {periodSeconds: 10}}]}}}\n";
        let release = Release::File { path: "m.yaml".into(), text: text.to_owned() };
        let objects = release.rendered(text.to_owned()).expect("renders");
        assert_eq!(
            objects[0].1["spec"],
            json!({"replicas": 1, "template": {"spec": {"containers": [{
                "name": "c",
                "livenessProbe": {"periodSeconds": 10},
                "readinessProbe": {"periodSeconds": 1, "timeoutSeconds": 1, "initialDelaySeconds": 1},
            }]}}})
        );
    }

    #[test]
    fn an_unknown_release_says_what_to_write() {
        let metallb: Metallb = serde_yaml::from_str("{version: v0.14.9}").expect("valid");
        let failure = Release::of(&metallb).err().expect("unknown");
        assert!(failure.hint.expect("a hint").contains("`version: v0.16.1` or `v0.15.3`"));
    }
}
