//! The chain of manifests.

use super::super::{Source, Topology};
use super::Rules;

pub(super) fn check(topology: &Topology, rules: &mut Rules) {
    let sources: Vec<(String, String)> = topology
        .manifests
        .iter()
        .enumerate()
        .filter_map(|(at, manifest)| match manifest.source()? {
            Source::Path(path) => {
                Some((format!("manifests.{at}.path"), path.path().display().to_string()))
            }
            Source::Kustomize(folder) => {
                Some((format!("manifests.{at}.kustomize"), folder.path().display().to_string()))
            }
            Source::Url { url, .. } => Some((format!("manifests.{at}.url"), url.to_string())),
        })
        .collect();
    rules.unique("duplicate", "the manifest", sources);
}
