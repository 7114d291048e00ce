//! What kustomize builds of a folder, as a source of objects.

use crate::backend::kustomize::{Kustomize, KustomizeError};
use crate::engine::Failure;
use crate::manifest::Source;
use crate::resources::base::kube::made;
use crate::resources::base::variables::Variables;
use crate::topology::{HostPath, Secret, Topology};

const INSTALL: &str =
    "install kustomize or kubectl: https://kubectl.docs.kubernetes.io/installation/kustomize/";

/// A kustomization may take values from the environment, sensitive ones too.
pub async fn source(
    entry: usize,
    folder: &HostPath,
    topology: &Topology,
    variable: &Variables,
) -> Result<Source, Failure> {
    let what = format!("cannot build the kustomization `{folder}`");
    let failed = |error: KustomizeError| {
        let failure = Failure::because(&*what, &error);
        if matches!(error, KustomizeError::Missing) { failure.hint(INSTALL) } else { failure }
    };
    let kustomize = Kustomize::find(variable).map_err(failed)?;
    let sensitive = sensitive(topology, variable);
    let with = |value: fn(&Secret) -> Secret| -> Vec<(String, String)> {
        let set = sensitive.iter();
        set.map(|(name, secret)| (name.clone(), value(secret).reveal().to_owned())).collect()
    };
    let (others, own) = (with(Secret::stand_in), with(Secret::clone));
    let build = async |variables| kustomize.build(folder.path(), variables).await.map_err(failed);
    let real = (!sensitive.is_empty()).then(|| build(&own));
    let (text, secrets) = made::with_secrets(&what, build(&others), real).await?;
    let name = format!("{folder} (built)").into();
    Ok(Source { name, text, entry, secrets, ..Source::default() })
}

/// The sensitive variables that are set, some of which may come from the command line.
fn sensitive(topology: &Topology, variable: &Variables) -> Vec<(String, Secret)> {
    let set = topology
        .sensitive
        .iter()
        .filter_map(|name| Some((name.to_string(), Secret::new(variable(name.as_str())?))));
    set.collect()
}
