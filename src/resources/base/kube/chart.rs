//! What Helm renders of a chart, as a source of objects.

use std::borrow::Cow;
use std::path::Path;

use serde_json::{Map, Value};

use crate::backend::download::Downloads;
use crate::backend::helm::{Helm, HelmError, Release, Remote};
use crate::engine::Failure;
use crate::manifest::Source;
use crate::resources::base::kube::made;
use crate::resources::base::variables::Variables;
use crate::topology::{Guarded, HostPath, ImageRef, Manifest, Topology, Url};

const INSTALL: &str = "install Helm: https://helm.sh/docs/intro/install/";

/// `chart` is that of the topology's manifest of this number.
pub async fn source(
    entry: usize,
    chart: &HostPath,
    topology: &Topology,
    downloads: &Downloads,
    variable: &Variables,
) -> Result<Source, Failure> {
    let manifest = &topology.manifests[entry];
    let what = format!("cannot render the chart `{chart}`");
    let helm =
        Helm::find(variable).map_err(|missing| Failure::because(&*what, &missing).hint(INSTALL))?;
    let located = locate(&helm, chart, manifest, downloads).await?;
    let namespace = manifest.namespace();
    let name = manifest.release().ok_or_else(|| Failure::new(&*what))?;
    let image = topology.cluster.as_ref().and_then(|cluster| cluster.image.as_ref());
    let release = Release {
        name: name.as_str(),
        namespace: namespace.as_str(),
        chart: &located,
        files: manifest.values_files.iter().map(HostPath::path).collect(),
        kubernetes: image.and_then(ImageRef::kubernetes),
    };
    let render = async |value: fn(&Guarded) -> Value| {
        let values = values(manifest, value).to_string();
        match helm.template(&release, values).await {
            Ok(text) => Ok(text),
            Err(error) => Err(unrendered(&what, &helm, &error).await),
        }
    };
    let is_secret = manifest.values.values().any(Guarded::is_secret);
    let real = is_secret.then(|| render(Guarded::reveal));
    let (text, secrets) = made::with_secrets(&what, render(Guarded::stand_in), real).await?;
    Ok(Source {
        name: format!("{chart} (release {name})").into(),
        text,
        entry,
        secrets,
        release: Some(namespace.as_str().into()),
    })
}

fn values(manifest: &Manifest, value: fn(&Guarded) -> Value) -> Value {
    let values = manifest.values.iter().map(|(name, guarded)| (name.clone(), value(guarded)));
    Value::Object(values.collect::<Map<String, Value>>())
}

/// What charts can do differs between versions of Helm.
async fn unrendered(what: &str, helm: &Helm, error: &HelmError) -> Failure {
    let what = match helm.version().await {
        Ok(version) => format!("{what} with Helm {version}"),
        Err(_) => what.to_owned(),
    };
    Failure::because(what, error)
}

/// Where the chart is on this machine.
async fn locate<'a>(
    helm: &Helm,
    chart: &'a HostPath,
    manifest: &Manifest,
    downloads: &Downloads,
) -> Result<Cow<'a, Path>, Failure> {
    let Some(sha256) = manifest.sha256.as_ref().filter(|_| manifest.chart_is_remote()) else {
        return Ok(chart.path().into());
    };
    let remote = Remote {
        chart: chart.written(),
        repo: manifest.repo.as_ref().map(Url::as_str),
        version: manifest.version.as_deref(),
    };
    let fetched = helm.fetch(&remote, sha256.as_str(), downloads).await.map_err(|error| {
        let failure = Failure::because(format!("cannot fetch the chart `{chart}`"), &error);
        let place = downloads.place(sha256.as_str());
        match error {
            HelmError::Failed(_) => failure.hint(format!(
                "on a machine without that network, put the chart's archive at `{}`",
                place.display()
            )),
            _ => failure,
        }
    });
    fetched.map(Cow::Owned)
}
