//! `topo schema`

use crate::error::{Error, Exit};
use crate::topology;
use crate::view::View;

/// Print the JSON Schema of topology files, for editors
///
/// An editor with a YAML language server completes and checks keys when the file's first line is
/// `# yaml-language-server: $schema=topology.schema.json` and the schema stands beside it.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let schema = serde_json::to_string_pretty(topology::schema())
        .map_err(|error| Error::because("cannot write the schema", &error))?;
    view.data(&(schema + "\n"));
    Ok(Exit::Done)
}
