//! `topo validate`

use super::{FileArgs, load, offline};
use crate::backend::download::Downloads;
use crate::backend::kustomize::Kustomize;
use crate::error::{Error, Exit};
use crate::resources::MISSING;
use crate::topology::{Diagnostic, Loaded, Severity, Source, Topology};
use crate::view::View;

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
    let (sources, result) = load::check(&path)?;
    let Loaded { mut topology, places, warnings, secrets } = match result {
        Ok(loaded) => loaded,
        Err(problems) => {
            view.problems(&sources, &problems.0);
            return Ok(Exit::Refused);
        }
    };
    view.hide(&secrets);
    let downloads = Downloads::of(&load::environment);
    let unread = leave_out_unreadable(&mut topology, &downloads);
    match offline::desired(topology, &downloads).await? {
        Ok(_) => view.problems(&sources, &warnings),
        Err(objections) => {
            let found = objections.diagnostics(&places);
            let found = found.into_iter().filter(|it| unread.is_empty() || it.code != MISSING);
            let problems: Vec<Diagnostic> = found.chain(warnings).collect();
            view.problems(&sources, &problems);
            if problems.iter().any(|problem| problem.severity == Severity::Error) {
                return Ok(Exit::Refused);
            }
        }
    }
    for (source, why) in unread {
        view.note(&format!("not checked, since {why}: {source}"));
    }
    view.note(&format!("`{}` is a valid topology", load::name(&path).display()));
    Ok(Exit::Done)
}

/// Leaves out the manifests that would have to be fetched, or built by a program that is not here,
/// and answers what they are and why.
fn leave_out_unreadable(topology: &mut Topology, downloads: &Downloads) -> Vec<(String, String)> {
    let mut unread = Vec::new();
    for manifest in &mut topology.manifests {
        let why = match manifest.source() {
            Some(Source::Url { sha256, .. }) if downloads.kept(sha256.as_str()).is_none() => {
                "it is not downloaded yet".to_owned()
            }
            Some(Source::Kustomize(_)) => match Kustomize::find(&load::environment) {
                Ok(_) => continue,
                Err(missing) => missing.to_string(),
            },
            _ => continue,
        };
        unread.extend(manifest.source().map(|source| (source.written().to_owned(), why)));
        (manifest.sha256, manifest.kustomize) = (None, None);
    }
    unread
}
