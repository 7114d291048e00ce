//! The gateway's ports on 127.0.0.1, published by rules of the host's kernel and not by the engine.
//!
//! A small container in the host's network puts one table in force when it starts and takes it away
//! when it is stopped; restarted with the engine, it puts it in force again. What it was killed over
//! stays in the kernel, so that there is one is in the claim before it is, and whoever removes it has
//! the table taken away by a container of its own.

mod container;
mod obstacle;

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;

use crate::backend::docker::{Container, ContainerState, Error, Snapshot};
use crate::backend::host::kernel;
use crate::engine::{Failure, Turn, Work};
use crate::plan::{Bond, Id, Origin, Outputs, Record, Resource, Seen, State, Table, Want, World};
use crate::resources::base::context::Context;
use crate::resources::base::docker::own_image;
use crate::resources::base::docker::ownership::{self, Whose};
use crate::resources::base::docker::published::{self, PUBLISH, span};
use crate::resources::base::kind::{Ingredients, ResourceKind};
use crate::resources::base::objection::Objections;
use crate::resources::base::rendered::{Part, Rendered};
use crate::resources::base::{ids, marks};
use crate::resources::gateway;
use crate::topology::PublishBy;

use container::Rules;

pub use obstacle::not_of_this_machine;

const TABLE: Table = Table { tells: &[PUBLISH], stops: true, ..Table::plain(ids::PUBLISHER) };

/// Where the rules lead: the address that the gateway keeps.
const TO: &str = "to";
/// What the bridge's `route_localnet` was before.
const ROUTE_LOCALNET: &str = "routeLocalnet";
const NETWORK: &str = "network";
const IMAGE: &str = "image";

/// The network of the machine that the engine is on.
const HOST: &str = "host";

/// Loading the table takes a few tenths of a second.
const READY_DEADLINE: Duration = Duration::from_secs(15);

pub struct PublisherKind;

impl ResourceKind for PublisherKind {
    const TABLE: Table = TABLE;

    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
        Ok(desired(from)?.into_iter().collect())
    }

    fn rendered(
        from: &Ingredients,
        part: Part,
        _show_secrets: bool,
    ) -> Result<Vec<Rendered>, Failure> {
        if part != Part::Gateway || !from.topology.is_published_by_kernel() {
            return Ok(Vec::new());
        }
        let script = container::example(from.topology, from.templates)?;
        Ok(vec![Rendered::text("gateway/publish", script)])
    }

    async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) -> Result<(), Failure> {
        observe(cx, snapshot, world).await
    }

    async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        change(cx, turn).await.map(|()| Outputs::new())
    }

    async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        wait(cx, turn).await.map(|()| Outputs::new())
    }
}

fn desired(from: &Ingredients) -> Result<Option<Resource>, Failure> {
    let topology = from.topology;
    let Some(gateway) = topology.gateway.as_ref().filter(|_| topology.is_published_by_kernel())
    else {
        return Ok(None);
    };
    let publications = || gateway.publications_by(PublishBy::Kernel);
    let image = gateway::own_image(from.templates, gateway)?;
    let address = gateway.address.filter(IpAddr::is_ipv4);
    let mut resource = Resource::new(ids::publisher(topology), &TABLE)
        .field(IMAGE, Want::is(image.reference()))
        .field("files", Want::is(container::fingerprint(topology.name.as_str(), from.templates)?))
        .field(NETWORK, Want::is(topology.network_name().as_ref()))
        .field(PUBLISH, Want::Is(json!(published::in_words(publications()))))
        .field(TO, address.map_or(Want::Auto, |address| Want::is(address.to_string())))
        .field(ROUTE_LOCALNET, Want::Auto)
        .bond(Bond::Rests(ids::network(topology)))
        .bond(Bond::Uses(ids::gateway(topology)))
        .origin(Origin::Key("gateway".into()));
    resource.takes = publications().map(|(listen, _)| span(listen)).collect();
    Ok(Some(resource))
}

async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) -> Result<(), Failure> {
    for container in &snapshot.containers {
        let record = marks::record(&cx.name, &container.labels)
            .filter(|(id, _)| id.kind() == ids::PUBLISHER && id.name() == container.name);
        if let Some(own) = record {
            look_at(cx, container, own, snapshot, world).await;
        }
    }
    for (id, record) in cx.claim().await.into_iter().flat_map(|claim| claim.records) {
        let is_seen = world.things.contains_key(&id) || world.blind.contains_key(&id);
        if id.kind() == ids::PUBLISHER && !is_seen {
            world.leftovers.insert(id.clone());
            world.remembered.insert(id, record);
        }
    }
    let Some(topology) = cx.file.as_deref().filter(|it| it.is_published_by_kernel()) else {
        return Ok(());
    };
    let id = ids::publisher(topology);
    if world.things.contains_key(&id) || world.blind.contains_key(&id) {
        return Ok(());
    }
    let named = snapshot.container(id.name());
    if named.is_some_and(|it| ownership::of_container(&cx.name, it) != Whose::Ours) {
        let name = id.name();
        let why = format!(
            "a container named `{name}` exists that this topology did not make: remove it with `docker rm -f {name}`, or choose another `gateway.name`"
        );
        world.add(id, Seen::foreign(why));
    } else if let Some(why) = obstacle::look(cx, topology, snapshot).await? {
        world.impossible.insert(id, why);
    }
    Ok(())
}

async fn look_at(
    cx: &Context,
    container: &Container,
    (id, record): (Id, Record),
    snapshot: &Snapshot,
    world: &mut World,
) {
    let state = match container.state {
        ContainerState::Created | ContainerState::Gone => State::Partial,
        ContainerState::Exited | ContainerState::Paused => State::Stopped,
        ContainerState::Restarting => State::Unready(container.status.clone()),
        ContainerState::Running => State::Ready,
    };
    let is_in_force = match is_in_force(cx, container).await {
        Ok(is_in_force) => is_in_force,
        Err(why) => {
            world.blind.insert(id.clone(), why);
            world.remembered.insert(id, record);
            return;
        }
    };
    let mut seen =
        Seen::mine(record).state(state).field(IMAGE, own_image::name_of(container, snapshot));
    if container.is_running() && !is_in_force {
        seen.fields.set(PUBLISH, json!([]));
    }
    seen.holds = published::publications(container).iter().map(|it| span(it.listen)).collect();
    world.add(id, seen);
}

/// Whether the rules are as they were put in force: nobody has flushed or changed them, or turned
/// `route_localnet` off.
pub async fn is_in_force(cx: &Context, container: &Container) -> Result<bool, String> {
    if !container.is_running() {
        return Ok(false);
    }
    match cx.docker.look(&container.id, &container::CHECK).await {
        Ok(_) => Ok(true),
        Err(Error::Exec { .. }) => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

async fn change(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let name = turn.id().name();
    match turn.work {
        Work::Create | Work::Update => put_up(cx, turn).await,
        Work::Start => cx.start_container(name).await,
        Work::Stop => cx.stop_container(name).await,
        Work::Delete => take_down(cx, turn).await,
        Work::Keep => Ok(()),
    }
}

/// The container before it is killed, and so its rules stay until these are in their place, in one
/// transaction.
async fn put_up(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let topology = cx.topology()?;
    let gone = || Failure::new("the file has no gateway any more");
    let gateway = topology.gateway.as_ref().ok_or_else(gone)?;
    let resource = turn.resource.as_ref().ok_or_else(gone)?;
    let name = turn.id().name();
    let snapshot = cx.snapshot().await?;
    let cannot = || format!("cannot publish the ports of `{}`", topology.gateway_name());
    if let Some(why) = obstacle::ports(topology, &snapshot) {
        return Err(Failure::new(cannot()).caused_by(why));
    }
    let bridge = snapshot.network(&topology.network_name()).map(container::bridge);
    let bridge = bridge.transpose().map_err(|why| Failure::new(cannot()).caused_by(why))?;
    let running = snapshot.container(&topology.gateway_name()).map(gateway::outputs_of);
    let to = running.as_ref().and_then(|outputs| outputs.get(gateway::ADDRESS)?.as_str());
    let (Some(bridge), Some(to)) = (bridge, to.and_then(|to| to.parse().ok())) else {
        return Err(Failure::new(cannot()).caused_by("the gateway has no IPv4 address"));
    };
    let before = match known_before(cx, turn).await {
        Some(before) => before,
        None => kernel::route_localnet(&bridge)
            .map_err(|error| Failure::because(format!("{} on `{bridge}`", cannot()), &error))?,
    };
    let publications = gateway.publications_by(PublishBy::Kernel).collect();
    let rules = Rules { bridge: &bridge, before, to, publications };
    let script = container::script(&cx.name, &rules, &cx.templates)?;
    let mut values = turn.values.clone();
    values.set(TO, json!(to));
    values.set(ROUTE_LOCALNET, json!(before));
    let image = gateway::own_image(&cx.templates, gateway)?;
    image.ensure(cx, turn).await?;
    cx.remember(turn, &values).await?;

    cx.remove_container(name).await?;
    let labels = marks::labels(&cx.name, turn.id(), &Record::of(resource, &values));
    let body = container::publishing(&image.reference(), script, labels);
    let made = image.make(cx, turn, name, body, HOST, None).await?;
    made.map_err(|error| Failure::because(format!("cannot make `{name}`"), &error))?;
    if let Err(failure) = cx.start_container(name).await {
        return Err(cx.undo_container(name, failure).await);
    }
    let before = turn.record.as_ref().and_then(|record| record.fields.get(IMAGE)?.as_str());
    gateway::ROLE.forget(cx, before.filter(|before| **before != image.reference())).await
}

/// As it was before any publisher on this bridge: after the first, the kernel no longer tells.
async fn known_before(cx: &Context, turn: &Turn) -> Option<u64> {
    before(cx.claim().await?.records.get(turn.id())?)
}

fn before(record: &Record) -> Option<u64> {
    record.fields.get(ROUTE_LOCALNET)?.as_u64()
}

/// Whether or not the container is still there, the table may be.
async fn take_down(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let name = turn.id().name();
    let claim = cx.claim().await;
    let claimed = claim.as_ref().and_then(|claim| claim.records.get(turn.id()));
    if let Some(record) = claimed.or(turn.record.as_ref()) {
        let text = |field: &str| record.fields.get(field)?.as_str();
        let snapshot = cx.snapshot().await?;
        let network = text(NETWORK).and_then(|network| snapshot.network(network));
        let bridge = network.and_then(|network| container::bridge(network).ok());
        let mut rules = Rules { before: before(record).unwrap_or_default(), ..Rules::NONE };
        if let Some(bridge) = &bridge {
            rules.bridge = bridge;
        }
        let script = container::script(&cx.name, &rules, &cx.templates)?;
        cx.remove_container(name).await?;
        clean(cx, name, text(IMAGE).unwrap_or_default(), script).await?;
    }
    cx.remove_container(name).await?;
    if claimed.is_some() {
        cx.change_claim(|claim| {
            claim.records.remove(turn.id());
        })
        .await?;
    }
    Ok(())
}

async fn clean(cx: &Context, name: &str, image: &str, script: String) -> Result<(), Failure> {
    let table = container::table(&cx.name);
    let failed = |error: Error| {
        Failure::because(format!("cannot take the rules of `{name}` away"), &error).hint(format!(
            "if the image is gone, `sudo nft delete table ip {table}` does it; then run the command again"
        ))
    };
    let labels = [(marks::TOPOLOGY.to_owned(), cx.name.clone())].into();
    let body = container::idle(image, script, labels);
    cx.create_container(name, body, HOST, None).await.map_err(failed)?;
    cx.start_container(name).await?;
    let cleaned = cx.docker.exec(name, &container::DOWN).await;
    cleaned.map(drop).map_err(failed)
}

async fn wait(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let name = turn.id().name();
    let limit = turn.patience(READY_DEADLINE);
    let ready = cx.docker.exec(name, &container::UNTIL_IN_FORCE);
    if let Ok(Ok(_)) = tokio::time::timeout(limit, ready).await {
        return Ok(());
    }
    let said = cx.docker.last_lines(name, 20).await.unwrap_or_default();
    let failure = Failure::new(format!("the rules of `{name}` are not in force"));
    Err(if said.trim().is_empty() { failure } else { failure.caused_by(said.trim().to_owned()) })
}
