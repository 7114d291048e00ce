//! What is said where no command was typed, or one that other programs have: which one does it here.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::CommandFactory;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{Cli, FileArgs};

/// What other programs call topo's commands.
const CALLED_ELSEWHERE: [(&str, &[&str]); 12] = [
    ("apply", &["up", "create", "deploy", "install", "run"]),
    ("diff", &["plan", "preview"]),
    ("destroy", &["down", "delete", "del", "rm", "remove", "teardown", "clean", "destroy-all"]),
    ("stop", &["halt", "suspend", "pause"]),
    ("start", &["resume", "unpause", "restart"]),
    ("ls", &["list"]),
    ("exec", &["shell", "sh", "attach", "enter"]),
    ("status", &["ps", "get", "show", "describe", "info"]),
    ("graph", &["tree"]),
    ("validate", &["check", "lint"]),
    ("render", &["template"]),
    ("init", &["new"]),
];

/// The commands that come first, where a folder has a topology file.
const FIRST: [&str; 4] = ["diff", "apply", "status", "destroy"];

/// What to do next in this folder.
pub fn next_step() -> String {
    let file = FileArgs::unnamed();
    if file.exists() {
        let commands: String = FIRST.iter().map(|name| line(name, name)).collect();
        return format!("`{}` is the topology file here.\n\n{commands}{REST}", file.display());
    }
    let (init, diff) = (line("init", "init"), line("diff FILE", "diff"));
    format!("There is no topology file `{}` here.\n\n{init}{diff}{REST}", file.display())
}

const REST: &str = "\n`topo --help` lists all commands and options.\n";

fn line(typed: &str, command: &str) -> String {
    format!("  topo {typed:<9}  {}\n", about(command))
}

fn about(command: &str) -> String {
    let topo = Cli::command();
    let found = topo.find_subcommand(command).and_then(clap::Command::get_about);
    found.map(ToString::to_string).unwrap_or_default()
}

/// Adds to an error about an unknown command which one was meant.
pub fn led_on(mut error: clap::Error, args: &[OsString]) -> clap::Error {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else {
        return error;
    };
    if let Some(tip) = tip(typed).filter(|_| is_first(typed, args)) {
        error.remove(ContextKind::SuggestedSubcommand);
        let tips = ContextValue::StyledStrs(vec![StyledStr::from(tip)]);
        error.insert(ContextKind::Suggested, tips);
    }
    error
}

/// Whether it was typed in the place of a command, and not below one.
fn is_first(typed: &str, args: &[OsString]) -> bool {
    let topo = Cli::command();
    let mut before = args.iter().skip(1).take_while(|arg| *arg != OsStr::new(typed));
    !before.any(|arg| topo.find_subcommand(arg).is_some())
}

fn tip(typed: &str) -> Option<String> {
    let extension = Path::new(typed).extension().unwrap_or_default();
    if extension == "yaml" || extension == "yml" {
        return Some(format!("write a command before the file: 'topo apply {typed}'"));
    }
    let typed = typed.to_lowercase();
    let (command, _) =
        CALLED_ELSEWHERE.iter().find(|(_, names)| names.contains(&typed.as_str()))?;
    let about = about(command);
    let mut letters = about.chars();
    let first = letters.next()?.to_lowercase();
    Some(format!("use 'topo {command}' to {first}{}", letters.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_called_otherwise_elsewhere_is_no_command_here() {
        let topo = Cli::command();
        for (command, names) in CALLED_ELSEWHERE {
            assert!(topo.find_subcommand(command).is_some(), "{command}");
            for name in names {
                assert!(topo.find_subcommand(name).is_none(), "{name}");
            }
        }
    }
}
