//! `topo version`

use std::env::consts::{ARCH, OS};

use crate::backend::kind;
use crate::error::Exit;
use crate::topology::MetallbVersion;
use crate::view::View;

/// Print the version of topo, and of the kind and the MetalLB that it brings
///
/// With the commit where a release was built, and the system it was built for.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Set where a release is built.
const COMMIT: Option<&str> = option_env!("TOPO_COMMIT");

pub fn run(_: &Args, view: &mut dyn View) -> Exit {
    let version = env!("CARGO_PKG_VERSION");
    let commit = COMMIT.map(|commit| format!("{commit}, ")).unwrap_or_default();
    let (kind, metallb) = (kind::VERSION, MetallbVersion::default());
    view.data(&format!(
        "topo     {version} ({commit}{OS} {ARCH})\n\
         kind     {kind}, where there is none on PATH\n\
         MetalLB  {metallb}, unless the file names another\n"
    ));
    Exit::Done
}
