//! `topo completions`

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use crate::error::Exit;
use crate::view::View;

/// Print the completion script of a shell
///
/// For bash: `topo completions bash > ~/.local/share/bash-completion/completions/topo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: &Args, view: &mut dyn View) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "topo", &mut script);
    view.data(&String::from_utf8_lossy(&script));
    Exit::Done
}
