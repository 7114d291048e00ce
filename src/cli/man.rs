//! `topo man`

use clap::CommandFactory;
use clap_mangen::Man;

use super::Cli;
use crate::engine::Failure;
use crate::error::{Error, Exit};
use crate::view::View;

/// Print the manual page of topo, or of one of its commands
///
/// To read it: `topo man apply | man -l -`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The command whose page is wanted
    #[arg(value_name = "COMMAND")]
    of: Option<String>,
}

pub fn run(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let mut page = Vec::new();
    Man::new(command(args.of.as_deref())?)
        .render(&mut page)
        .map_err(|error| Error::because("cannot write the manual page", &error))?;
    view.data(&String::from_utf8_lossy(&page));
    Ok(Exit::Done)
}

fn command(named: Option<&str>) -> Result<clap::Command, Error> {
    let mut topo = Cli::command();
    topo.build();
    let Some(name) = named else { return Ok(topo) };
    let known: Vec<&str> = topo
        .get_subcommands()
        .map(clap::Command::get_name)
        .filter(|name| *name != "help")
        .collect();
    let unknown = Failure::new(format!("`{name}` is not a command of topo"))
        .hint(format!("one of {}", known.join(", ")));
    topo.find_subcommand(name).cloned().ok_or_else(|| Error::refused(unknown))
}
