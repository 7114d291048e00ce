//! The command line: what can be typed, and which module answers it.

mod adopt;
mod apply;
mod args;
mod completions;
mod destroy;
mod diff;
mod doctor;
mod doors;
mod exec;
mod graph;
mod init;
mod kubeconfig;
mod listening;
mod load;
mod lock;
mod logs;
mod ls;
mod man;
mod offline;
mod open;
mod ports;
mod render;
mod run;
mod schema;
mod session;
mod sites;
mod ssh;
mod start;
mod status;
mod stop;
mod trace;
mod tunnel;
mod usage;
mod validate;
mod variables;
mod version;
mod watch;

use std::ffi::OsString;
use std::time::Duration;

use clap::{Parser, Subcommand};

pub use args::{ApplyArgs, DestroyArgs, DiffArgs, DoctorArgs, FileArgs, StatusArgs, TraceArgs};
use args::{InputArgs, OutputArgs};

use crate::backend::host::Program;
use crate::error::{Error, Exit};
use crate::view::{self, Console, Shape, View};

/// A real Kubernetes environment on your own machine, from one topology file.
///
/// A topology file describes a kind cluster, its load balancer addresses, a gateway container
/// with published ports, the forwards into the cluster and the folders shared with it. topo shows
/// what it would do before it does it, tells drift from a changed file, and takes everything down
/// again.
#[derive(Debug, Parser)]
#[command(name = "topo", version, max_term_width = 100)]
#[command(after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    output: OutputArgs,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    done, or in sync
  1    `diff` or `lock` found changes, `status`, `trace` or `doctor` a fault
  2    nothing was changed: wrong usage, invalid file or unusable environment
  3    failed part-way; says what was done and what was not
  130  interrupted";

#[derive(Debug, Subcommand)]
enum Command {
    Apply(ApplyArgs),
    Diff(DiffArgs),
    Destroy(DestroyArgs),
    Stop(stop::Args),
    Start(start::Args),
    Status(StatusArgs),
    Ls(ls::Args),
    Logs(logs::Args),
    Exec(exec::Args),
    Ssh(ssh::Args),
    Open(open::Args),
    Kubeconfig(kubeconfig::Args),
    Trace(TraceArgs),
    Doctor(DoctorArgs),
    Watch(watch::Args),
    Tunnel(tunnel::Args),
    Graph(graph::Args),
    Validate(validate::Args),
    Lock(lock::Args),
    Render(render::Args),
    Schema(schema::Args),
    Init(init::Args),
    Adopt(adopt::Args),
    Completions(completions::Args),
    Man(man::Args),
    Version(version::Args),
}

impl Command {
    fn shape(&self) -> Shape {
        match self {
            Self::Destroy(args) if args.dry_run => Shape::Result,
            Self::Apply(_)
            | Self::Destroy(_)
            | Self::Stop(_)
            | Self::Start(_)
            | Self::Validate(_)
            | Self::Watch(_) => Shape::Story,
            Self::Diff(_)
            | Self::Status(_)
            | Self::Ls(_)
            | Self::Logs(_)
            | Self::Exec(_)
            | Self::Ssh(_)
            | Self::Open(_)
            | Self::Kubeconfig(_)
            | Self::Trace(_)
            | Self::Doctor(_)
            | Self::Tunnel(_)
            | Self::Graph(_)
            | Self::Lock(_)
            | Self::Render(_)
            | Self::Schema(_)
            | Self::Init(_)
            | Self::Adopt(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Version(_) => Shape::Result,
        }
    }
}

/// Reads the command line and does what it says.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    if args.len() < 2 {
        return Console::introduce(&usage::next_step());
    }
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(usage) => return Console::usage(&usage::led_on(usage, &args)),
    };
    let mut view = view::of(&cli.output.settings(), cli.command.shape());
    let ready = cli.input.take().and_then(|()| cli.output.tell_calls());
    let done = ready.and_then(|()| dispatch(&cli.command, view.as_mut()));
    let exit = done.unwrap_or_else(|error| {
        view.error(&error);
        error.exit
    });
    view.close(exit)
}

fn dispatch(command: &Command, view: &mut dyn View) -> Result<Exit, Error> {
    match command {
        Command::Apply(args) => in_runtime(apply::apply(args, view)),
        Command::Diff(args) => in_runtime(diff::diff(args, view)),
        Command::Stop(args) => in_runtime(stop::stop(args, view)),
        Command::Start(args) => in_runtime(start::start(args, view)),
        Command::Status(args) => in_runtime(status::status(args, view)),
        Command::Ls(args) => in_runtime(ls::ls(args, view)),
        Command::Logs(args) => in_runtime(logs::logs(args, view)),
        Command::Exec(args) => hand_over(Some(in_runtime(exec::exec(args, view))?)),
        Command::Ssh(args) => hand_over(in_runtime(ssh::ssh(args, view))?),
        Command::Open(args) => hand_over(in_runtime(open::open(args, view))?),
        Command::Kubeconfig(args) => in_runtime(kubeconfig::kubeconfig(args, view)),
        Command::Trace(args) => in_runtime(trace::trace(args, view)),
        Command::Doctor(args) => in_runtime(doctor::doctor(args, view)),
        Command::Watch(args) => in_runtime(watch::watch(args, view)),
        Command::Tunnel(args) => in_runtime(tunnel::run(args, view)),
        Command::Destroy(args) => in_runtime(destroy::destroy(args, view)),
        Command::Graph(args) => in_runtime(graph::run(args, view)),
        Command::Validate(args) => in_runtime(validate::run(args, view)),
        Command::Lock(args) => in_runtime(lock::lock(args, view)),
        Command::Render(args) => in_runtime(render::run(args, view)),
        Command::Schema(args) => schema::run(args, view),
        Command::Init(args) => init::run(args, view),
        Command::Adopt(args) => in_runtime(adopt::adopt(args, view)),
        Command::Completions(args) => Ok(completions::run(args, view)),
        Command::Man(args) => man::run(args, view),
        Command::Version(args) => Ok(version::run(args, view)),
    }
}

/// Runs a command that talks to the world.
fn in_runtime<T>(command: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::because("cannot start", &error))?;
    let done = runtime.block_on(command);
    // What was cut off by an interrupt, a download for one, is not waited for.
    runtime.shutdown_timeout(LEAVE);
    done
}

/// Ends as another program, if there is one: with its terminal, its signals and its exit code. All
/// that topo held has been let go by then.
fn hand_over(program: Option<Program>) -> Result<Exit, Error> {
    match program.map(|program| program.take_over()) {
        Some(error) => Err(Error::because("cannot go on with another program", &error)),
        None => Ok(Exit::Done),
    }
}

/// For what is dropped to let go of what it holds.
const LEAVE: Duration = Duration::from_secs(1);
