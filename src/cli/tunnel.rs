//! `topo tunnel`: the processes that keep ssh to the gateway up.

use std::time::SystemTime;

use clap::Subcommand;
use serde_json::json;

use super::args::NamedOption;
use super::load;
use super::session::{Which, topology_name};
use crate::backend::docker::{Docker, Surroundings};
use crate::backend::host::StateFolder;
use crate::backend::tunnel::{
    Ending, Engine, Standing, System, Tunnel, TunnelError, Unit, supervise,
};
use crate::engine::Failure;
use crate::error::{Error, Exit};
use crate::resources::{Claims, Variables};
use crate::templates::Templates;
use crate::view::{Health, Status, TunnelStatus, View};

/// Show and control the tunnels over ssh
///
/// A share with `via: ssh` and `gateway.expose` need ssh to the gateway. `topo apply` starts a process
/// of yours that keeps it up, and `topo destroy` ends it; these commands look at it, end it, start it
/// again, and have it started with your session.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show whether each tunnel is up, since when, and why not
    Status(WhichArgs),
    /// Start the tunnel's process again; it goes on when the terminal is gone
    Start(WhichArgs),
    /// End the tunnel's process until `topo apply` or `topo tunnel start`
    Stop(WhichArgs),
    /// Keep one tunnel up in this terminal, or for a service manager
    Run(RunArgs),
    /// Write a unit of systemd or an agent of launchd that starts the tunnel with your session
    Install(InstallArgs),
    /// Remove what `install` wrote
    Uninstall(WhichArgs),
}

/// Which tunnels of which topology.
#[derive(Debug, clap::Args)]
struct WhichArgs {
    /// The tunnel: the name of its share, or `gateway`; all of the topology if left out
    #[arg(value_name = "TUNNEL")]
    tunnel: Option<String>,
    #[command(flatten)]
    topology: NamedOption,
}

#[derive(Debug, clap::Args)]
struct RunArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// End the process that keeps it up now, and go on in its place
    #[arg(long)]
    take_over: bool,
    /// Leave the terminal's session
    #[arg(long, hide = true)]
    detached: bool,
}

#[derive(Debug, clap::Args)]
struct InstallArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// Print it instead of writing it
    #[arg(long)]
    print: bool,
}

pub async fn run(args: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    match &args.command {
        Command::Status(which) => status(which, view),
        Command::Start(which) => {
            for tunnel in &which.tunnels(view)? {
                tunnel.start(None).await.map_err(|error| cannot("start", tunnel, &error))?;
                view.note(&format!(
                    "`{}` is kept up; `topo tunnel status` shows how it goes",
                    tunnel.name
                ));
            }
            Ok(Exit::Done)
        }
        Command::Stop(which) => {
            for tunnel in &which.tunnels(view)? {
                tunnel.stop().await.map_err(|error| cannot("stop", tunnel, &error))?;
                view.note(&format!("`{}` is down", tunnel.name));
            }
            Ok(Exit::Done)
        }
        Command::Run(args) => keep_up(args, view).await,
        Command::Install(args) => install(args, view),
        Command::Uninstall(which) => uninstall(which, view),
    }
}

impl WhichArgs {
    fn state(&self, view: &mut dyn View) -> Result<StateFolder, Error> {
        let name = match self.topology.which() {
            Which::Name(name) => topology_name(name)?,
            Which::File(path) => load::load(&path, view)?.topology.name,
        };
        StateFolder::of(name.as_str(), &load::environment)
            .map_err(|error| Error::because("cannot look for tunnels", &error))
    }

    fn tunnels(&self, view: &mut dyn View) -> Result<Vec<Tunnel>, Error> {
        let state = self.state(view)?;
        let all = Tunnel::all(&state);
        let Some(name) = &self.tunnel else { return Ok(all) };
        let named: Vec<Tunnel> =
            all.iter().filter(|tunnel| tunnel.name == *name).cloned().collect();
        if !named.is_empty() {
            return Ok(named);
        }
        let known: Vec<&str> = all.iter().map(|tunnel| tunnel.name.as_str()).collect();
        let failure =
            Failure::new(format!("`{}` has no tunnel `{name}` on this machine", state.topology()));
        Err(Error::refused(if known.is_empty() {
            failure.hint("`topo apply` makes the tunnels of a file")
        } else {
            failure.hint(format!("it has {}", known.join(", ")))
        }))
    }

    fn one(&self, view: &mut dyn View) -> Result<Tunnel, Error> {
        let mut tunnels = self.tunnels(view)?;
        match (tunnels.pop(), tunnels.is_empty()) {
            (Some(tunnel), true) => Ok(tunnel),
            (None, _) => Err(Error::refused(
                Failure::new("the topology has no tunnels on this machine")
                    .hint("`topo apply` makes the tunnels of a file"),
            )),
            (Some(last), false) => {
                let names: Vec<&str> =
                    tunnels.iter().chain([&last]).map(|tunnel| tunnel.name.as_str()).collect();
                Err(Error::refused(
                    Failure::new("the topology has more than one tunnel")
                        .hint(format!("name one of {}", names.join(", "))),
                ))
            }
        }
    }
}

fn status(which: &WhichArgs, view: &mut dyn View) -> Result<Exit, Error> {
    let tunnels = which.tunnels(view)?;
    let topology = which.state(view)?.topology().to_owned();
    let tunnel = |tunnel: &Tunnel| {
        let standing = tunnel.standing();
        TunnelStatus {
            name: tunnel.name.clone(),
            state: match standing {
                Standing::Up(_) => Health::Ready,
                Standing::Degraded(_) => Health::Degraded,
                Standing::Stopped => Health::Stopped,
            },
            detail: Some(standing.in_words(SystemTime::now())),
        }
    };
    view.status(&Status {
        topology,
        tunnels: tunnels.iter().map(tunnel).collect(),
        ..Status::default()
    });
    Ok(Exit::Done)
}

async fn keep_up(args: &RunArgs, view: &mut dyn View) -> Result<Exit, Error> {
    let tunnel = args.which.one(view)?;
    if args.take_over {
        tunnel.stop().await.map_err(|error| cannot("take over", &tunnel, &error))?;
    }
    let spec = tunnel.spec().map_err(|error| cannot("keep up", &tunnel, &error))?;
    let engine = spec.map(|spec| spec.engine);
    let gone = async || match &engine {
        Some(engine) => is_gone(engine, &tunnel.topology).await,
        None => false,
    };
    let ending = supervise(&tunnel, args.detached, gone).await;
    match ending.map_err(|error| cannot("keep up", &tunnel, &error))? {
        Ending::Told => {}
        Ending::Abandoned => view.note(&format!("`{}` was removed", tunnel.name)),
        Ending::GatewayGone => {
            view.note(&format!("the topology `{}` is gone from its engine", tunnel.topology));
        }
    }
    Ok(Exit::Done)
}

/// Nothing claims the topology any more. An engine that does not answer says nothing of that.
async fn is_gone(engine: &Engine, topology: &str) -> bool {
    let surroundings = Surroundings {
        docker_host: Some(engine.host.clone()),
        docker_tls_verify: engine.certificates.as_ref().map(|_| "1".to_owned()),
        docker_cert_path: engine.certificates.clone(),
        ..Surroundings::read(load::environment)
    };
    let Ok(docker) = Docker::connect(&surroundings).await else { return false };
    let Ok(snapshot) = docker.snapshot().await else { return false };
    let claims = Claims::read(&snapshot);
    claims.of(topology).is_none()
        && !claims.newer.contains_key(topology)
        && !claims.unreadable.contains_key(topology)
}

fn install(args: &InstallArgs, view: &mut dyn View) -> Result<Exit, Error> {
    let tunnel = args.which.one(view)?;
    let unit = unit_of(&tunnel)?;
    let text = unit_text(&unit, &tunnel, &load::environment)?;
    if args.print {
        view.data(&text);
        return Ok(Exit::Done);
    }
    unit.write(&text).map_err(|error| cannot("install", &tunnel, &error))?;
    view.note(&format!("wrote `{}`", unit.path.display()));
    view.note(&format!("to start it now and with every session: `{}`", unit.to_enable()));
    if unit.system == System::Systemd {
        view.note("to have it run while you are logged out too: `loginctl enable-linger`");
    }
    Ok(Exit::Done)
}

fn uninstall(which: &WhichArgs, view: &mut dyn View) -> Result<Exit, Error> {
    for tunnel in &which.tunnels(view)? {
        let unit = unit_of(tunnel)?;
        if !unit.exists() {
            view.note(&format!("nothing was installed for `{}`", tunnel.name));
            continue;
        }
        unit.remove().map_err(|error| cannot("uninstall", tunnel, &error))?;
        view.note(&format!("removed `{}`", unit.path.display()));
        view.note(&format!("if it is loaded still: `{}`", unit.to_disable()));
    }
    Ok(Exit::Done)
}

fn unit_of(tunnel: &Tunnel) -> Result<Unit, Error> {
    Unit::of(tunnel, System::here(), &load::environment).ok_or_else(|| {
        Error::refused(Failure::new("no home folder is known to write it to").hint("set HOME"))
    })
}

fn unit_text(unit: &Unit, tunnel: &Tunnel, variable: &Variables) -> Result<String, Error> {
    let topo = std::env::current_exe()
        .map_err(|error| Error::because("cannot tell where topo is", &error))?;
    let (template, quote): (_, fn(&str) -> String) = match unit.system {
        System::Systemd => ("tunnel/systemd.service", for_systemd),
        System::Launchd => ("tunnel/launchd.plist", for_xml),
    };
    // Of the environment it needs where ssh is, and where topo keeps its state.
    let variables: Vec<(&str, String)> = ["PATH", "XDG_STATE_HOME"]
        .into_iter()
        .filter_map(|name| Some((name, quote(&variable(name)?))))
        .collect();
    let values = json!({
        "topology": tunnel.topology,
        "name": tunnel.name,
        "label": unit.name,
        "topo": quote(&topo.display().to_string()),
        "variables": variables,
    });
    Templates::new(None)
        .render(template, values)
        .map_err(|error| Error::because("cannot write the unit", &error))
}

/// Inside double quotes of a unit, where percent signs begin what systemd fills in.
fn for_systemd(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%")
}

fn for_xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn cannot(what: &str, tunnel: &Tunnel, error: &TunnelError) -> Error {
    let failure = Failure::because(format!("cannot {what} the tunnel `{}`", tunnel.name), error);
    Error::refused(match error {
        TunnelError::Running { .. } => failure.hint(
            "`topo tunnel stop` ends that one; `--take-over` does so and goes on in its place",
        ),
        _ => failure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(system: System) -> String {
        let variable = |name: &str| match name {
            "HOME" => Some("/home/me".to_owned()),
            "PATH" => Some("/usr/bin:/opt/a&b".to_owned()),
            _ => None,
        };
        let state = StateFolder::of("dev", &variable).expect("a home");
        let tunnel = Tunnel::of(&state, "docs");
        let unit = Unit::of(&tunnel, system, &variable).expect("a home");
        let text = unit_text(&unit, &tunnel, &variable).expect("renders");
        let here = std::env::current_exe().expect("is known").display().to_string();
        text.replace(&here, "/usr/bin/topo")
    }

    #[test]
    fn units_run_one_tunnel_and_take_it_over() {
        insta::assert_snapshot!("systemd", text(System::Systemd));
        insta::assert_snapshot!("launchd", text(System::Launchd));
    }

    #[test]
    fn what_would_mean_something_in_a_unit_is_quoted() {
        assert_eq!(for_systemd(r#"/opt/100%/"x"\y"#), r#"/opt/100%%/\"x\"\\y"#);
        assert_eq!(for_xml("a<b>&c"), "a&lt;b&gt;&amp;c");
    }
}
