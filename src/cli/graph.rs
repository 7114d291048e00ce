//! `topo graph`

use clap::ValueEnum;

use super::{FileArgs, load, offline};
use crate::backend::download::Downloads;
use crate::error::{Error, Exit};
use crate::plan::PlanError;
use crate::topology::Loaded;
use crate::view::View;
use crate::view::graph::{Format, Picture};

/// Draw which resource needs which
///
/// Needs no engine and no cluster. Pictures are drawn by topo itself:
/// `topo graph --format svg > topology.svg`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: FileArgs,
    /// What to draw it as
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    format: FormatName,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FormatName {
    /// A tree for the terminal
    Text,
    /// For Graphviz
    Dot,
    /// For Markdown on GitHub and GitLab
    Mermaid,
    /// A drawing
    Svg,
    /// A page that shows what needs what under the pointer
    Html,
}

pub async fn run(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let Loaded { topology, places, .. } = load::load(&args.file.path(), view)?;
    let name = topology.name.to_string();
    let place = |key: &str| load::place(&places, key);
    let desired = offline::desired(topology, &Downloads::of(&load::environment))
        .await?
        .map_err(|objections| objections.failure(&place))?;
    let picture = Picture::of(name, &desired.resources).map_err(PlanError::from)?;
    view.graph(&picture, args.format.into());
    Ok(Exit::Done)
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Text => Self::Text,
            FormatName::Dot => Self::Dot,
            FormatName::Mermaid => Self::Mermaid,
            FormatName::Svg => Self::Svg,
            FormatName::Html => Self::Html,
        }
    }
}
