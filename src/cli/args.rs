//! Options that several commands share, and those of the commands that plan.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use super::session::{Wanted, Which};
use super::{load, variables};
use crate::engine::Failure;
use crate::error::Error;
use crate::view::{self, Format, Settings, Verbosity};

/// The file that is read where none is named, and the variable that names another.
const DEFAULT_FILE: &str = "topo.yaml";
const FILE_VARIABLE: &str = "TOPO_FILE";
const LOG: &str = "TOPO_LOG";
const LOG_PATH: &str = "TOPO_LOG_PATH";

/// Which topology file.
#[derive(Debug, Clone, Args)]
pub struct FileArgs {
    /// The topology file, `-` for standard input [default: `$TOPO_FILE`, or topo.yaml]
    #[arg(value_name = "FILE")]
    positional: Option<PathBuf>,
    /// The topology file, as an option
    #[arg(short, long, value_name = "FILE", conflicts_with = "positional")]
    file: Option<PathBuf>,
}

impl FileArgs {
    pub fn path(&self) -> PathBuf {
        let named = self.positional.as_ref().or(self.file.as_ref());
        named.cloned().unwrap_or_else(Self::unnamed)
    }

    /// Another command about the same file, as it is typed: `topo apply edge.yaml`.
    pub fn typed(&self, command: &str) -> String {
        let path = self.path();
        if path == Self::unnamed() {
            return format!("topo {command}");
        }
        format!("topo {command} {}", path.display())
    }

    /// Nothing where none is named and the usual one is not there.
    pub fn if_any(&self) -> Option<PathBuf> {
        let is_named = self.positional.is_some() || self.file.is_some();
        let is_set = load::environment(FILE_VARIABLE).is_some_and(|path| !path.is_empty());
        Some(self.path()).filter(|path| is_named || is_set || path.exists())
    }

    /// The file that is meant where none is named.
    pub fn unnamed() -> PathBuf {
        let set = load::environment(FILE_VARIABLE).filter(|path| !path.is_empty());
        set.map_or_else(|| DEFAULT_FILE.into(), PathBuf::from)
    }
}

/// Which topology file, for commands whose first argument is another.
#[derive(Debug, Clone, Args)]
pub struct FileOption {
    /// The topology file, `-` for standard input [default: `$TOPO_FILE`, or topo.yaml]
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl FileOption {
    pub fn path(&self) -> PathBuf {
        self.file.clone().unwrap_or_else(FileArgs::unnamed)
    }
}

/// Which topology, by its file or, when that is gone, by its name.
#[derive(Debug, Clone, Args)]
pub struct NamedArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// The name of the topology, when its file is gone
    #[arg(long, value_name = "NAME", conflicts_with_all = ["positional", "file"])]
    pub name: Option<String>,
}

impl NamedArgs {
    pub fn which(&self) -> Which<'_> {
        match &self.name {
            Some(name) => Which::Name(name),
            None => Which::File(self.file.path()),
        }
    }
}

/// Which topology, by its file or its name, for commands whose first argument is another.
#[derive(Debug, Clone, Args)]
pub struct NamedOption {
    #[command(flatten)]
    pub file: FileOption,
    /// The name of the topology, instead of its file
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub name: Option<String>,
}

impl NamedOption {
    pub fn which(&self) -> Which<'_> {
        match &self.name {
            Some(name) => Which::Name(name),
            None => Which::File(self.file.path()),
        }
    }
}

/// Where a command is run, and what fills the variables of its file.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// Run as if topo had been started in this folder
    #[arg(short = 'C', long, global = true, value_name = "DIR")]
    chdir: Option<PathBuf>,
    /// Fill in this value for `${NAME}` in the file, whatever the environment has; may be repeated
    #[arg(long = "var", global = true, value_name = "NAME=VALUE", value_parser = variables::assignment)]
    vars: Vec<(String, String)>,
    /// Read values for `${NAME}` from this file, where the environment has none; may be repeated
    #[arg(long, global = true, value_name = "FILE")]
    env_file: Vec<PathBuf>,
}

impl InputArgs {
    pub fn take(&self) -> Result<(), Error> {
        if let Some(folder) = &self.chdir {
            std::env::set_current_dir(folder).map_err(|error| {
                Error::because(format!("cannot change to `{}`", folder.display()), &error)
            })?;
        }
        variables::give(&self.vars, &self.env_file)
    }
}

/// What narrows or forces a plan.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// Only this resource and what it needs; may be repeated
    #[arg(long, value_name = "ID")]
    pub target: Vec<String>,
    /// Recreate this resource even if nothing about it changed; may be repeated
    #[arg(long, value_name = "ID")]
    pub replace: Vec<String>,
    /// Take over this pool or object, which topo did not make, as it is; may be repeated
    #[arg(long, value_name = "ID")]
    pub take: Vec<String>,
    /// Take back fields of Kubernetes objects that another manager owns
    #[arg(long)]
    pub force_conflicts: bool,
    /// The topology's file has moved here from the path it was applied from
    #[arg(long)]
    pub moved: bool,
    /// Refuse what `topo lock` has not locked
    #[arg(long)]
    pub locked: bool,
}

impl PlanArgs {
    pub fn wanted(&self) -> Wanted<'_> {
        Wanted {
            nothing: false,
            target: &self.target,
            replace: &self.replace,
            take: &self.take,
            force_conflicts: self.force_conflicts,
        }
    }
}

/// Enough to keep an engine busy.
const PARALLELISM: usize = 10;

/// How a plan is carried out.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Do not ask before something is destroyed
    #[arg(short, long)]
    pub yes: bool,
    /// How many changes may run at the same time
    #[arg(long, value_name = "N", default_value_t = PARALLELISM, value_parser = at_least_one)]
    pub parallelism: usize,
    /// How long each resource may take to become ready, instead of its usual time: `90s`, `5m`
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Draw in this file, as an SVG, what was done when and what it waited for
    #[arg(long, value_name = "FILE")]
    pub timeline: Option<PathBuf>,
}

impl Default for RunArgs {
    fn default() -> Self {
        Self { yes: false, parallelism: PARALLELISM, timeout: None, timeline: None }
    }
}

impl RunArgs {
    /// Before anything is done for it.
    pub fn check(&self) -> Result<(), Error> {
        let Some(path) = &self.timeline else { return Ok(()) };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let refuse = |what: String| {
            let failure = Failure::new(format!("`--timeline {}`: {what}", path.display()));
            Err(Error::refused(failure.hint("name a file in a folder that exists")))
        };
        if path.is_dir() {
            return refuse("it is a folder".to_owned());
        }
        if !folder.is_dir() {
            return refuse(format!("there is no folder `{}`", folder.display()));
        }
        Ok(())
    }
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
    pub which: NamedArgs,
    /// The topology's file has moved here from the path it was applied from
    #[arg(long, conflicts_with = "name")]
    pub moved: bool,
    /// Only show what would be taken down
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub run: RunArgs,
}

/// Show what is up: forwards, pools, nodes, shares and their health
///
/// Ends with 0 when everything works and with 1 when something does not.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub which: NamedArgs,
    /// Try every forward with a connection
    #[arg(long)]
    pub probe: bool,
    /// Wait until everything works, for five minutes or for so long: `--wait=90s`
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "5m",
        value_parser = duration
    )]
    pub wait: Option<Duration>,
    /// Stay, and show it again whenever it changes
    #[arg(short, long, conflicts_with = "wait")]
    pub watch: bool,
}

/// Follow one connection hop by hop, and name the first that is broken
///
/// From the port of this machine over the gateway, the Service's address and the node to the pod's own
/// port. Each hop is looked at and nothing is changed. Says what was seen, why it matters and what
/// mends it. Ends with 0 when every hop is fine and with 1 when one is broken.
#[derive(Debug, Clone, Args)]
pub struct TraceArgs {
    /// A port (`10001`, `127.0.0.1:10053/udp`), a Service (`web`, `shop/web:80`) or `share/NAME`
    #[arg(value_name = "PORT|SERVICE|share/NAME")]
    pub target: String,
    #[command(flatten)]
    pub file: FileArgs,
}

/// Check the machine, the file and what is live, and say what is wrong and what mends it
///
/// Looks at the engine, its kernel, firewalls, routes and proxies, at the file as `validate` does, and at
/// the forwards, Services and shares that are up. Nothing is changed. What cannot be examined says why.
/// Ends with 0 when nothing is wrong and with 1 when something was found.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// Write it all to this file too, to attach to an issue; without secrets
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

pub fn duration(text: &str) -> Result<Duration, String> {
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
    /// Say more: nothing is shortened; twice, each call to the engine, the cluster and other programs too
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
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
                (false, 0) if !self.tells_calls_here() => Verbosity::Normal,
                (false, _) => Verbosity::Verbose,
            },
        }
    }

    /// Calls are lines between those of the command, which no line that moves survives.
    fn tells_calls_here(&self) -> bool {
        given(LOG_PATH).is_none() && (self.verbose > 1 || given(LOG).is_some())
    }

    /// Tells the calls from now on, if that is asked for here or in the environment.
    pub fn tell_calls(&self) -> Result<(), Error> {
        let path = given(LOG_PATH);
        let is_asked = match given(LOG).as_deref() {
            None => self.verbose > 1 || path.is_some(),
            Some("debug") => true,
            Some(other) => {
                let failure = Failure::new(format!("`{LOG}` is `{other}`"));
                return Err(Error::refused(failure.hint("write `debug`, or leave it empty")));
            }
        };
        if !is_asked {
            return Ok(());
        }
        view::tell_calls(path.as_deref().map(Path::new)).map_err(|error| {
            let place = path.map_or("on standard error".to_owned(), |path| format!("to `{path}`"));
            Error::refused(Failure::because(format!("cannot write the log {place}"), &error))
        })
    }
}

fn given(name: &str) -> Option<String> {
    load::environment(name).filter(|value| !value.is_empty())
}
