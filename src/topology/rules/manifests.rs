//! The chain of manifests.

use super::super::{Manifest, Source, Topology};
use super::Rules;

pub(super) fn check(topology: &Topology, rules: &mut Rules) {
    let sources: Vec<(String, String)> = topology
        .manifests
        .iter()
        .enumerate()
        .filter_map(|(at, manifest)| {
            let (key, source) = match manifest.source()? {
                Source::Path(path) => ("path", path.path().display().to_string()),
                Source::Kustomize(folder) => ("kustomize", folder.path().display().to_string()),
                Source::Chart(chart) => {
                    let repo = manifest.repo.as_ref().map(|repo| format!("{repo}/"));
                    let (path, repo) = (chart.path().display(), repo.unwrap_or_default());
                    let (release, namespace) = (manifest.release()?, manifest.namespace());
                    ("chart", format!("{repo}{path} as {release} in {namespace}"))
                }
                Source::Url { url, .. } => ("url", url.to_string()),
            };
            Some((format!("manifests.{at}.{key}"), source))
        })
        .collect();
    rules.unique("duplicate", "the manifest", sources);
    for (at, manifest) in topology.manifests.iter().enumerate() {
        chart(&format!("manifests.{at}"), manifest, rules);
    }
}

fn chart(at: &str, manifest: &Manifest, rules: &mut Rules) {
    let Some(Source::Chart(chart)) = manifest.source() else { return };
    if manifest.release().is_none() {
        let message = format!("the last part of `{chart}` cannot be the name of a release");
        let problem = rules.error("release-name", &format!("{at}.chart"), message);
        rules.report(problem.help("add `release:`, such as `release: web`"));
    }
    let is_remote = manifest.chart_is_remote();
    let has_versions = manifest.repo.is_some() || chart.written().starts_with("oci://");
    let keys = [
        ("version", manifest.version.is_some(), has_versions),
        ("sha256", manifest.sha256.is_some(), is_remote),
    ];
    for (key, is_there, belongs) in keys {
        if is_there && !belongs {
            let message = format!("`{key}` cannot be used with the chart `{chart}`");
            let problem = rules.misplaced("exclusive-keys", &format!("{at}.{key}"), message);
            rules.report(problem.help("remove it, or name the `repo` that has the chart"));
        } else if belongs && !is_there {
            let message = format!("a chart that is fetched requires `{key}`");
            let problem = rules.error("missing-key", &format!("{at}.chart"), message);
            rules.report(problem.help(match key {
                "sha256" => "`helm pull` fetches its archive, and `sha256sum` prints the checksum",
                _ => "write the version that you mean: the newest would change unseen",
            }));
        }
    }
}
