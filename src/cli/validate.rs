//! `topo validate`

use super::{FileArgs, load};
use crate::error::{Error, Exit};
use crate::view::View;

/// Check a topology file without touching anything
///
/// Every error and warning is shown at once, each with its place and what to write instead.
/// Needs no engine and no cluster.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: FileArgs,
}

pub fn run(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let path = args.file.path();
    let (sources, result) = load::check(path, &load::environment)?;
    match result {
        Ok(loaded) => {
            view.problems(&sources, &loaded.warnings);
            load::templates(&loaded.topology)?;
            view.note(&format!("`{}` is a valid topology", path.display()));
            Ok(Exit::Done)
        }
        Err(problems) => {
            view.problems(&sources, &problems.0);
            Ok(Exit::Refused)
        }
    }
}
