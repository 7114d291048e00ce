//! A tunnel: ssh to the gateway, kept up by a process of the user's.
//!
//! Its records lie on this machine, in the topology's folder: another user of the same topology has
//! tunnels of their own. What the gateway has of it is one line, the key that it comes in with.

mod gate;
mod route;

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::backend::docker::Snapshot;
use crate::backend::host::find_program;
use crate::backend::tunnel::{Spec, Standing, System, Tunnel, TunnelError, Unit};
use crate::engine::{Deadline, Failure, Turn, Work};
use crate::plan::{
    Action, Bond, Fields, Item, Origin, Outputs, Record, Resource, Seen, State, Table, Want, World,
};
use crate::resources::base::context::Context;
use crate::resources::base::docker::own_image::short;
use crate::resources::base::ids;
use crate::resources::base::kind::{Ingredients, ResourceKind};
use crate::resources::base::objection::Objections;
use crate::resources::base::rendered::{Part, Rendered};
use crate::resources::gateway::{self, ADDRESS, HOST_KEY};

use route::{Route, routes};
pub use route::{Way, way};

const TABLE: Table = Table { stops: true, tells: &["through"], ..Table::plain(ids::TUNNEL) };

const UP_DEADLINE: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub struct TunnelKind;

impl ResourceKind for TunnelKind {
    const TABLE: Table = TABLE;

    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
        Ok(desired(from)?)
    }

    fn rendered(
        from: &Ingredients,
        part: Part,
        _show_secrets: bool,
    ) -> Result<Vec<Rendered>, Failure> {
        if part != Part::SshConfig {
            return Ok(Vec::new());
        }
        let named = |(name, text)| Rendered::text(format!("ssh-config/{name}"), text);
        Ok(rendered(from)?.into_iter().map(named).collect())
    }

    async fn observe(cx: &Context, _: &Snapshot, world: &mut World) -> Result<(), Failure> {
        observe(cx, world).await
    }

    fn tools(cx: &Context, item: &Item) -> Result<(), Failure> {
        match item.action {
            Action::Create | Action::Replace | Action::Update | Action::Start => check_programs(cx),
            Action::None | Action::Deferred | Action::Stop | Action::Delete | Action::Blocked => {
                Ok(())
            }
        }
    }

    async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        change(cx, turn).await
    }

    async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        wait(cx, turn).await
    }
}

fn desired(from: &Ingredients) -> Result<Vec<Resource>, Failure> {
    let routes = routes(from.topology, from.machine)?;
    routes.into_iter().map(|route| wanted(&route, from)).collect()
}

fn wanted(route: &Route, from: &Ingredients) -> Result<Resource, Failure> {
    let topology = from.topology;
    let gateway = ids::gateway(topology);
    let settings = route
        .config(topology, from.state, from.templates)
        .map_err(|error| Failure::because("cannot render the tunnel's settings", &error))?;
    let mut resource = Resource::new(ids::tunnel(&route.name), &TABLE)
        .field("forwards", Want::Is(json!(route.forwards())))
        .field("through", Want::is(route.way.to_string()))
        .field("permits", Want::is(route.permits(gateway.name())))
        .field("settings", Want::is(fingerprint(&settings)))
        .field(HOST_KEY, Want::After(gateway.clone(), HOST_KEY))
        .bond(Bond::Uses(gateway))
        .origin(Origin::Key(route.origin.clone().into()));
    let share = topology.shares.iter().find(|share| share.name.as_str() == route.name);
    resource.bonds.extend(ids::asked(share.map_or(&[][..], |share| &share.needs)));
    Ok(resource)
}

fn fingerprint(settings: &str) -> String {
    short(Sha256::new_with_prefix(settings))
}

/// The settings of every tunnel, as they would be written.
fn rendered(from: &Ingredients) -> Result<Vec<(String, String)>, Failure> {
    let render = |route: &Route| {
        let text = route
            .config(from.topology, from.state, from.templates)
            .map_err(|error| Failure::because("cannot render the tunnel's settings", &error))?;
        Ok((route.name.clone(), text))
    };
    routes(from.topology, from.machine)?.iter().map(render).collect()
}

fn check_programs(cx: &Context) -> Result<(), Failure> {
    for program in ["ssh", "ssh-keygen"] {
        if find_program(program, cx.variable.as_ref()).is_none() {
            return Err(Failure::new(format!("a tunnel needs the program `{program}`"))
                .hint("install OpenSSH's client, or put it on PATH"));
        }
    }
    Ok(())
}

/// From this machine's files, and one file of each gateway that a tunnel comes in at.
async fn observe(cx: &Context, world: &mut World) -> Result<(), Failure> {
    let tunnels = Tunnel::all(&cx.state);
    if tunnels.is_empty() {
        return Ok(());
    }
    let gateway = cx.file.as_deref().map(ids::gateway).filter(|id| world.record(id).is_some());
    let lines = match &gateway {
        Some(id) => Some(gate::lines(cx, id.name()).await?),
        None => None,
    };
    let address = gateway.as_ref().and_then(|id| world.output(id, ADDRESS)).cloned();
    for tunnel in tunnels {
        let mut seen = look_at(&tunnel, lines.as_deref());
        if let Some(address) = &address {
            seen.outputs.set(ADDRESS, address.clone());
        }
        world.add(ids::tunnel(&tunnel.name), seen);
    }
    Ok(())
}

fn look_at(tunnel: &Tunnel, lines: Option<&[String]>) -> Seen {
    let spec = tunnel.spec().ok().flatten();
    let record: Option<Record> = spec.and_then(|spec| serde_json::from_value(spec.record).ok());
    let Some(record) = record else {
        return Seen { state: State::Partial, ..Seen::mine(Record::default()) };
    };
    let mut seen = Seen::mine(record);
    seen.fields = live_fields(tunnel, lines);
    seen.state = match tunnel.standing() {
        Standing::Up(_) => State::Ready,
        Standing::Stopped => State::Stopped,
        standing @ Standing::Degraded(_) => State::Unready(standing.in_words(SystemTime::now())),
    };
    seen
}

fn live_fields(tunnel: &Tunnel, lines: Option<&[String]>) -> Fields<Value> {
    let settings = tunnel.config_text().as_deref().map(fingerprint);
    let mut fields = Fields::new()
        .with("settings", json!(settings))
        .with(HOST_KEY, json!(tunnel.pinned_host_key()));
    // Without the gateway it cannot be known.
    if let Some(lines) = lines {
        let key = tunnel.public_key().ok().flatten().unwrap_or_default();
        fields.set("permits", json!(gate::permits(lines, &tunnel.host(), &key)));
    }
    fields
}

async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let tunnel = Tunnel::of(&cx.state, turn.id().name());
    match turn.work {
        Work::Create | Work::Update => set_up(cx, turn, &tunnel).await?,
        Work::Start => start(cx, &tunnel).await?,
        Work::Stop => stop(&tunnel).await?,
        Work::Delete => take_down(cx, turn, &tunnel).await?,
        Work::Keep => {}
    }
    Ok(Outputs::new())
}

async fn set_up(cx: &Context, turn: &Turn, tunnel: &Tunnel) -> Result<(), Failure> {
    let failed = |error: &TunnelError| cannot("set up", tunnel, error);
    let topology = cx.topology()?;
    let routes = routes(topology, cx.machine().await)?;
    let (Some(route), Some(resource)) =
        (routes.iter().find(|route| route.name == tunnel.name), &turn.resource)
    else {
        return Err(Failure::new("the file has no such tunnel any more"));
    };
    let host_key = turn
        .text(HOST_KEY)
        .ok_or_else(|| Failure::new("the gateway has no host key: its sshd has not started yet"))?;
    let settings = route
        .config(topology, Some(&cx.state), &cx.templates)
        .map_err(|error| Failure::because("cannot render the tunnel's settings", &error))?;

    let key = tunnel.ensure_key().await.map_err(|error| failed(&error))?;
    let gateway = ids::gateway(topology);
    let permits = route.permits(gateway.name());
    let line = gate::line(&permits, &key, &tunnel.host());
    gate::admit(cx, gateway.name(), &tunnel.host(), line).await?;

    let record = Record::of(resource, &turn.values);
    let record = serde_json::to_value(record)
        .map_err(|error| Failure::because("cannot write the tunnel's record", &error))?;
    let spec = Spec::new(cx.docker.endpoint(), record);
    tunnel.stop().await.map_err(|error| failed(&error))?;
    tunnel.write(&spec, &settings, host_key).map_err(|error| failed(&error))?;
    start(cx, tunnel).await
}

async fn start(cx: &Context, tunnel: &Tunnel) -> Result<(), Failure> {
    let started = tunnel.start(cx.held.lock.as_ref()).await;
    started.map_err(|error| cannot("start", tunnel, &error))
}

async fn stop(tunnel: &Tunnel) -> Result<(), Failure> {
    tunnel.stop().await.map_err(|error| cannot("stop", tunnel, &error))
}

async fn take_down(cx: &Context, turn: &Turn, tunnel: &Tunnel) -> Result<(), Failure> {
    let failed = |error: &TunnelError| cannot("take down", tunnel, error);
    stop(tunnel).await?;
    let gateway = turn.item.bonds.iter().map(Bond::id).find(|id| id.kind() == ids::GATEWAY);
    if let Some(gateway) = gateway {
        gate::dismiss(cx, gateway.name(), &tunnel.host()).await?;
    }
    if let Some(unit) = Unit::of(tunnel, System::here(), cx.variable.as_ref()) {
        unit.remove().map_err(|error| failed(&error))?;
    }
    tunnel.remove().map_err(|error| failed(&error))
}

fn cannot(what: &str, tunnel: &Tunnel, error: &TunnelError) -> Failure {
    Failure::because(format!("cannot {what} the tunnel `{}`", tunnel.name), error)
}

async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let tunnel = Tunnel::of(&cx.state, turn.id().name());
    let deadline = Deadline::new(turn, UP_DEADLINE, "ssh to reach the gateway");
    let up = async {
        loop {
            match tunnel.standing() {
                Standing::Up(_) => return Ok(()),
                Standing::Degraded(report) => {
                    deadline.saw(report.last_error.unwrap_or_else(|| "connecting".to_owned()));
                }
                Standing::Stopped => {
                    return Err(Failure::new(format!("`{}` is not running any more", turn.id()))
                        .hint(format!("`topo tunnel run {}` shows why", tunnel.name)));
                }
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    deadline.until(up).await.map_err(|failure| advise(failure, &tunnel))?;
    let topology = cx.topology()?;
    let snapshot = cx.snapshot().await?;
    let container = snapshot.container(ids::gateway(topology).name());
    Ok(container.map(gateway::outputs_of).unwrap_or_default())
}

/// What to do about ssh's own words.
fn advise(failure: Failure, tunnel: &Tunnel) -> Failure {
    let said = failure.causes.join(" ");
    let known = [
        (
            "Address already in use",
            "a program on this machine has that port: stop it, or publish another",
        ),
        (
            "remote port forwarding failed",
            "another person's tunnel, or another machine's, listens on that port of the gateway already",
        ),
        (
            "Permission denied",
            "for a jump host: `ssh` must get there without asking for anything, by a key or an agent",
        ),
        (
            "Connection refused",
            "nothing listens there: does the engine's machine publish `gateway.ssh.listen` on an address that this machine reaches?",
        ),
        (
            "Connection timed out",
            "a firewall may be in between: open `gateway.ssh.listen` of the engine's machine, or name a `gateway.ssh.jump`",
        ),
        ("Host key verification failed", "another sshd answers there than the gateway's"),
        ("Could not resolve hostname", "write an address, or a host of your ssh configuration"),
    ];
    let advice = known.into_iter().find(|(words, _)| said.contains(words));
    match advice {
        Some((_, advice)) => failure.hint(advice),
        None => failure.hint(format!(
            "try it yourself: `ssh -F {} {}`",
            tunnel.config().display(),
            tunnel.host()
        )),
    }
}
