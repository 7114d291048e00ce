//! `topo schema`

use crate::error::{Error, Exit};
use crate::topology;
use crate::view::View;

/// Print the JSON Schema of topology files, for editors
///
/// `topo init` writes it beside the file, and names it there. For a file that exists run
/// `topo schema > topology.schema.json`, and write as its first line:
///
/// `# yaml-language-server: $schema=topology.schema.json`
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    view.data(&text()?);
    Ok(Exit::Done)
}

/// The schema as it is published.
pub fn text() -> Result<String, Error> {
    serde_json::to_string_pretty(topology::editor_schema())
        .map(|schema| schema + "\n")
        .map_err(|error| Error::because("cannot write the schema", &error))
}
