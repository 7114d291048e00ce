//! `topo exec`: a command where a topology runs.

use std::ffi::OsString;
use std::io::{IsTerminal, stdin, stdout};

use super::args::NamedOption;
use super::session::{Purpose, Session};
use super::{load, sites};
use crate::backend::host::{Program, find_program};
use crate::engine::Failure;
use crate::error::Error;
use crate::resources::{Container, Site, Workload};
use crate::view::View;

/// Whichever of the two there is.
const SHELL: [&str; 3] = ["sh", "-c", "exec \"$(command -v bash || echo sh)\""];

/// Run a command, or a shell, in a container or pod
///
/// In gateway, node, NFS server or connector by `docker exec`, in a pod of a Deployment, StatefulSet,
/// DaemonSet, ReplicaSet or Job by `kubectl exec`. Ends with the exit code of the command. Options of
/// topo's come before the ID: `topo exec -f edge.yaml gateway nft list ruleset`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: NamedOption,
    /// Where to run it, in any short form: `gateway`, `dev-worker`, `Deployment/web`
    #[arg(value_name = "ID")]
    id: String,
    /// The command and its arguments; a shell if left out
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

pub async fn exec(args: &Args, view: &mut dyn View) -> Result<Program, Error> {
    let session = Session::open(args.which.which(), Purpose::Look, "topo exec", view).await?;
    session.check_claims(true)?;
    if !session.is_known() {
        return Err(session.not_found("exec"));
    }
    let command = match args.command.as_slice() {
        [] => SHELL.map(OsString::from).to_vec(),
        command => command.to_vec(),
    };
    match sites::find(&session, &args.id).await? {
        Site::Container(container) => in_container(&session, &container, &command),
        Site::Workload(workload) => in_pod(&session, &workload, command),
    }
}

fn in_container(
    session: &Session,
    container: &Container,
    command: &[OsString],
) -> Result<Program, Error> {
    if !container.is_running {
        return Err(sites::stopped(container));
    }
    let docker = &session.cx().docker;
    docker.exec_program(&container.name, is_terminal(), command).map_err(|error| {
        let mut failure =
            Failure::because(format!("cannot run a command in `{}`", container.id), &error);
        failure.hint = error.hint();
        Error::refused(failure)
    })
}

fn in_pod(
    session: &Session,
    workload: &Workload,
    command: Vec<OsString>,
) -> Result<Program, Error> {
    let cx = session.cx();
    let cannot = |why: &str| {
        Failure::new(format!("cannot run a command in `{}`", workload.id)).caused_by(why)
    };
    let kubectl = find_program("kubectl", &load::environment).ok_or_else(|| {
        cannot("cannot find the `kubectl` program on PATH")
            .hint("install it: https://kubernetes.io/docs/tasks/tools")
    })?;
    let context = cx.kubectl_context()?;
    let program = Program::new(kubectl).args([
        "--context",
        &context,
        "--namespace",
        &workload.namespace,
        "exec",
        "--stdin",
    ]);
    let program = if is_terminal() { program.arg("--tty") } else { program };
    Ok(program.args([&workload.typed(), "--"]).args(command))
}

fn is_terminal() -> bool {
    stdin().is_terminal() && stdout().is_terminal()
}
