//! Options that several commands share, and those of the commands that plan.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::session::Wanted;
use crate::view::{Format, Settings, Verbosity};

/// The file that is read where none is named.
const DEFAULT_FILE: &str = "topo.yaml";

/// Which topology file.
#[derive(Debug, Clone, Args)]
pub struct FileArgs {
    /// The topology file [default: topo.yaml in this folder]
    #[arg(value_name = "FILE")]
    positional: Option<PathBuf>,
    /// The topology file, as an option
    #[arg(short, long, value_name = "FILE", conflicts_with = "positional")]
    file: Option<PathBuf>,
}

impl FileArgs {
    /// The file that was named, if any.
    pub fn named(&self) -> Option<&Path> {
        self.positional.as_deref().or(self.file.as_deref())
    }

    pub fn path(&self) -> &Path {
        self.named().unwrap_or(Path::new(DEFAULT_FILE))
    }
}

/// What narrows or forces a plan.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// Only this resource and what it needs; may be repeated
    #[arg(long, value_name = "ID")]
    pub target: Vec<String>,
    /// Make this resource anew even if nothing about it changed; may be repeated
    #[arg(long, value_name = "ID")]
    pub replace: Vec<String>,
    /// Take back fields of Kubernetes objects that another manager owns
    #[arg(long)]
    pub force_conflicts: bool,
    /// The topology's file has moved here from the path it was applied from
    #[arg(long)]
    pub moved: bool,
}

impl PlanArgs {
    pub fn wanted(&self) -> Wanted<'_> {
        Wanted {
            nothing: false,
            target: &self.target,
            replace: &self.replace,
            force_conflicts: self.force_conflicts,
        }
    }
}

/// How a plan is carried out.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Do not ask before something is destroyed
    #[arg(short, long)]
    pub yes: bool,
    /// How many changes may run at the same time
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_least_one)]
    pub parallelism: usize,
    /// How long each resource may take to become ready, instead of its usual time: `90s`, `5m`
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
}

/// Make what the file describes, and change only what differs
///
/// Shows the plan, asks where something would be destroyed, then carries it out in parallel, in the
/// order that the resources need. Running it again changes nothing, or finishes what was interrupted.
#[derive(Debug, Clone, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    pub file: FileArgs,
    #[command(flatten)]
    pub plan: PlanArgs,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Show what `apply` would do, and change nothing
///
/// Says for each change whether the file changed or the world drifted away from what was applied.
/// Ends with 0 when everything is in sync and with 1 when there is something to do.
#[derive(Debug, Clone, Args)]
pub struct DiffArgs {
    #[command(flatten)]
    pub file: FileArgs,
    #[command(flatten)]
    pub plan: PlanArgs,
}

/// Take down everything that topo made for this topology
///
/// Works without the file too, with `--name`. What topo did not make is left alone.
#[derive(Debug, Clone, Args)]
pub struct DestroyArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// The name of the topology, when its file is gone
    #[arg(long, value_name = "NAME", conflicts_with_all = ["positional", "file"])]
    pub name: Option<String>,
    /// The topology's file has moved here from the path it was applied from
    #[arg(long, conflicts_with = "name")]
    pub moved: bool,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Show what is up: forwards, pools, nodes, shares and their health
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// The name of the topology, when its file is gone
    #[arg(long, value_name = "NAME", conflicts_with_all = ["positional", "file"])]
    pub name: Option<String>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration: crate::topology::Duration =
        text.parse().map_err(|error: crate::topology::text::Malformed| match error.instead {
            Some(instead) => format!("{}; write {instead}", error.what),
            None => error.what,
        })?;
    Ok(duration.get())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least one change must be allowed to run".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("write a whole number such as 10".to_owned()),
    }
}

/// How results are written.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Text for people or JSON for programs
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value = "text")]
    output: OutputFormat,
    /// When to use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto")]
    color: Color,
    /// Say only what is wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more: nothing is shortened
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OutputFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

impl OutputArgs {
    pub fn settings(&self) -> Settings {
        Settings {
            format: match self.output {
                OutputFormat::Text => Format::Text,
                OutputFormat::Json => Format::Json,
            },
            color: match self.color {
                Color::Auto => anstream::ColorChoice::Auto,
                Color::Always => anstream::ColorChoice::Always,
                Color::Never => anstream::ColorChoice::Never,
            },
            verbosity: match (self.quiet, self.verbose) {
                (true, _) => Verbosity::Quiet,
                (false, false) => Verbosity::Normal,
                (false, true) => Verbosity::Verbose,
            },
        }
    }
}
