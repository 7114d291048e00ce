//! What kustomize builds of a folder, as a source of objects.

use crate::backend::kustomize::{Kustomize, KustomizeError};
use crate::engine::Failure;
use crate::manifest::{Secrets, Source};
use crate::resources::base::variables::Variables;
use crate::topology::{HostPath, Secret, Topology};

const INSTALL: &str =
    "install kustomize or kubectl: https://kubectl.docs.kubernetes.io/installation/kustomize/";

/// A kustomization may take values from the environment. With sensitive variables it is built a
/// second time with others in their place, which shows where they are.
pub async fn source(
    entry: usize,
    folder: &HostPath,
    topology: &Topology,
    variable: &Variables,
) -> Result<Source, Failure> {
    let what = || format!("cannot build the kustomization `{folder}`");
    let failed = |error: KustomizeError| {
        let failure = Failure::because(what(), &error);
        if matches!(error, KustomizeError::Missing) { failure.hint(INSTALL) } else { failure }
    };
    let kustomize = Kustomize::find(variable).map_err(failed)?;
    let sensitive = sensitive(topology, variable);
    let with = |value: fn(&Secret) -> Secret| -> Vec<(String, String)> {
        let set = sensitive.iter();
        set.map(|(name, secret)| (name.clone(), value(secret).reveal().to_owned())).collect()
    };
    // What is wrong with a sensitive value would tell of it, so the others come first.
    let open = kustomize.build(folder.path(), &with(Secret::stand_in)).await.map_err(failed)?;
    let text = if sensitive.is_empty() {
        open.clone()
    } else {
        let built = kustomize.build(folder.path(), &with(Secret::clone)).await;
        built.map_err(|_| Failure::new(what()).caused_by("a sensitive variable does not fit it"))?
    };
    let secrets = if text == open { Secrets::Nowhere } else { Secrets::Beside(open) };
    Ok(Source { name: format!("{folder} (built)").into(), text, entry, secrets })
}

/// The sensitive variables that are set, some of which may come from the command line.
fn sensitive(topology: &Topology, variable: &Variables) -> Vec<(String, Secret)> {
    let set = topology
        .sensitive
        .iter()
        .filter_map(|name| Some((name.to_string(), Secret::new(variable(name.as_str())?))));
    set.collect()
}
