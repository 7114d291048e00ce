//! `topo validate`

use std::path::Path;

use super::{FileArgs, load, offline};
use crate::backend::download::Downloads;
use crate::backend::helm::Helm;
use crate::backend::kustomize::Kustomize;
use crate::error::{Error, Exit};
use crate::resources::{MISSING, Objects};
use crate::topology::{Diagnostic, Loaded, Problems, Severity, Sha256, Source, Topology};
use crate::view::{Sources, View};

/// Check a topology file without touching anything
///
/// Every error and warning is shown at once, each with its place and what to write instead.
/// Everything local is read: manifests, templates, keys and build folders. Needs no engine, no
/// cluster and no network.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: FileArgs,
}

pub async fn run(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let path = args.file.path();
    let Checked { sources, problems, unread, .. } = check(&path, view).await?;
    view.problems(&sources, &problems);
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Ok(Exit::Refused);
    }
    for (source, why) in unread {
        view.note(&format!("not checked, since {why}: {source}"));
    }
    view.note(&format!("`{}` is a valid topology", load::name(&path).display()));
    Ok(Exit::Done)
}

/// A file, and all that is wrong with it and with what it names.
pub struct Checked {
    pub sources: Sources,
    pub problems: Vec<Diagnostic>,
    /// None where the file itself is wrong.
    pub loaded: Option<Loaded>,
    /// None where something is wrong with what it names.
    pub objects: Option<Objects>,
    /// The manifests that could not be read here, and why.
    pub unread: Vec<(String, String)>,
}

pub async fn check(path: &Path, view: &mut dyn View) -> Result<Checked, Error> {
    let (sources, result) = load::check(path)?;
    let loaded = match result {
        Ok(loaded) => loaded,
        Err(Problems(problems)) => {
            let unread = Vec::new();
            return Ok(Checked { sources, problems, loaded: None, objects: None, unread });
        }
    };
    view.hide(&loaded.secrets);
    let downloads = Downloads::of(&load::environment);
    let mut topology = loaded.topology.clone();
    let unread = leave_out_unreadable(&mut topology, &downloads);
    let (mut problems, objects) = match offline::desired(topology, &downloads).await? {
        Ok(desired) => (Vec::new(), Some(desired.objects)),
        Err(objections) => (objections.diagnostics(&loaded.places), None),
    };
    problems.retain(|problem| unread.is_empty() || problem.code != MISSING);
    problems.extend(loaded.warnings.iter().cloned());
    Ok(Checked { sources, problems, loaded: Some(loaded), objects, unread })
}

/// Leaves out the manifests that would have to be fetched, or built by a program that is not here,
/// and answers what they are and why.
fn leave_out_unreadable(topology: &mut Topology, downloads: &Downloads) -> Vec<(String, String)> {
    let mut unread = Vec::new();
    for manifest in &mut topology.manifests {
        let Some(source) = manifest.source() else { continue };
        let missing = match source {
            Source::Kustomize(_) => {
                Kustomize::find(&load::environment).err().map(|it| it.to_string())
            }
            Source::Chart(_) => Helm::find(&load::environment).err().map(|it| it.to_string()),
            Source::Path(_) | Source::Url { .. } => None,
        };
        let kept = |sha256: &Sha256| downloads.kept(sha256.as_str()).is_some();
        let why = match &manifest.sha256 {
            Some(sha256) if !kept(sha256) => "it is not downloaded yet".to_owned(),
            _ => match missing {
                Some(missing) => missing,
                None => continue,
            },
        };
        unread.push((source.written().to_owned(), why));
        (manifest.kustomize, manifest.chart, manifest.url) = (None, None, None);
    }
    unread
}
