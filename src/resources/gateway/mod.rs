//! The gateway: a container that publishes ports of the host and forwards them into the network.
//!
//! Everything that must outlive the container lies in a volume of its own: the ssh host key, who may
//! log in, the forwards and their records. Root in the container can write there, so it is data.

mod container;
mod image;
mod keys;
mod place;
mod scripts;
mod state;
mod writer;

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::backend::docker::{Container, ContainerState, Error, Snapshot};
use crate::engine::{Failure, Turn, Work};
use crate::plan::{
    Action, Bond, Effect, Fields, Id, Origin, Outputs, Record, Resource, Seen, State, Table, Want,
    World,
};
use crate::resources::base::authorized_keys::authorized_keys;
use crate::resources::base::claim::Reservation;
use crate::resources::base::context::Context;
use crate::resources::base::docker::fixed_address;
use crate::resources::base::docker::own_image::{self, OwnImage};
use crate::resources::base::docker::ownership;
use crate::resources::base::docker::published::{self, span};
use crate::resources::base::holdings::Holdings;
use crate::resources::base::kind::{Ingredients, ResourceKind};
use crate::resources::base::objection::Objections;
use crate::resources::base::pins::Pin;
use crate::resources::base::rendered::{Part, Rendered};
use crate::resources::base::{ids, marks};
use crate::templates::{TemplateError, Templates};
use crate::topology::{AddressRange, Gateway, PublishBy, Topology};

use container::{Ground, UNTIL_HEALTHY};
use scripts::Scripts;

pub use container::put;
pub use image::ROLE;
pub use keys::{host_key as ssh_host_key, read};
pub use state::{Entry, Forward, Live, Saved, leads};
pub use writer::{Edit, Writer};

const TABLE: Table = Table {
    effects: &[
        ("image", Effect::Replace),
        ("files", Effect::Replace),
        ("limits", Effect::Replace),
        ("network", Effect::Replace),
        ("address", Effect::Replace),
        ("mode", Effect::Replace),
        ("publish", Effect::Replace),
    ],
    tells: &["image", "address", "publish", "mode"],
    stops: true,
    ..Table::plain(ids::GATEWAY)
};

/// What it gives: its address on the network, and what tunnels know it by.
pub const ADDRESS: &str = "address";
pub const HOST_KEY: &str = "hostKey";

/// It keeps the address that it was given first, because volumes or the host's rules name it.
const PINNED: &str = "pinned";

/// Loading the rules and starting sshd takes less than a second; squid takes a few.
const READY_DEADLINE: Duration = Duration::from_secs(30);
/// How long the engine may take to notice that a container has ended.
const ENDING: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub struct GatewayKind;

impl ResourceKind for GatewayKind {
    const TABLE: Table = TABLE;

    fn builds<'a>(resource: &'a Resource, snapshot: &Snapshot) -> Option<&'a str> {
        image::ROLE.builds(resource, snapshot)
    }

    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
        let keys = authorized_keys(from.topology)?;
        let gateway = desired(from.topology, from.templates, &keys).map_err(unrendered)?;
        Ok(gateway.into_iter().collect())
    }

    fn pins(topology: &Topology) -> Result<Vec<Pin>, Failure> {
        let image = topology.gateway.as_ref().map(|gateway| gateway.image.reference());
        Ok(image.and_then(|image| Pin::image(image, image::ROLE.key)).into_iter().collect())
    }

    fn holds(topology: &Topology) -> Holdings {
        let named = topology.gateway.as_ref().and_then(|gateway| {
            let address = gateway.address?;
            let range = AddressRange::new(address, address)?;
            Some(Reservation::new(&topology.network_name(), range, &ids::gateway(topology)))
        });
        let publications = topology.gateway.iter().flat_map(Gateway::publications);
        Holdings {
            addresses: named.into_iter().collect(),
            ports: publications.map(|(listen, _)| ("the gateway", listen)).collect(),
        }
    }

    fn rendered(
        from: &Ingredients,
        part: Part,
        _show_secrets: bool,
    ) -> Result<Vec<Rendered>, Failure> {
        if part != Part::Gateway {
            return Ok(Vec::new());
        }
        let files = rendered(from.topology, from.templates).map_err(unrendered)?;
        let named = |(name, text)| Rendered::text(format!("gateway/{name}"), text);
        Ok(files.into_iter().map(named).collect())
    }

    async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) -> Result<(), Failure> {
        observe(cx, snapshot, world).await
    }

    async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        change(cx, turn).await
    }

    async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        wait(cx, turn).await
    }
}

fn unrendered(error: TemplateError) -> Failure {
    Failure::because("cannot render the gateway", &error)
}

/// `keys` are the public keys that may log in, as [`authorized_keys`] reads them.
fn desired(
    topology: &Topology,
    templates: &Templates,
    keys: &[String],
) -> Result<Option<Resource>, TemplateError> {
    let Some(gateway) = &topology.gateway else { return Ok(None) };
    let network = topology.network_name();
    let scripts = Scripts::of(topology, gateway, templates)?;
    let mut resource = Resource::new(ids::gateway(topology), &TABLE)
        .field("image", Want::is(image::own_image(gateway, templates)?.reference()))
        .field("files", Want::is(scripts.fingerprint(gateway)))
        .field("limits", Want::is(container::limits()))
        .field("network", Want::is(network.as_ref()))
        .field("mode", Want::Is(json!(gateway.mode)))
        .bond(Bond::Rests(ids::network(topology)))
        .origin(Origin::Key("gateway".into()));
    let published = container::publications(gateway);
    if !published.is_empty() || gateway.publish_by == PublishBy::Engine {
        resource = resource.field("publish", Want::Is(json!(published)));
    }
    if let Some(address) = gateway.address {
        resource = resource.field("address", Want::is(address.to_string()));
    } else if topology.is_gateway_in_volumes() || topology.is_published_by_kernel() {
        resource = resource.field("address", Want::Auto).field(PINNED, Want::is(true));
    }
    if gateway.expose.is_some() {
        resource = resource.field("expose", Want::Is(json!(gateway.expose)));
    }
    if gateway.ssh.is_some() {
        resource = resource.field("authorizedKeys", Want::Is(json!(keys)));
    }
    let published = gateway.publications_by(PublishBy::Engine);
    resource.takes = published.map(|(listen, _)| span(listen)).collect();
    Ok(Some(resource))
}

/// What its image is built from, where topo builds it, and the files that are put into it.
fn rendered(
    topology: &Topology,
    templates: &Templates,
) -> Result<Vec<(&'static str, String)>, TemplateError> {
    let Some(gateway) = &topology.gateway else { return Ok(Vec::new()) };
    let mut files = image::own_image(gateway, templates)?.files();
    files.extend(Scripts::of(topology, gateway, templates)?.files());
    Ok(files)
}

async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) -> Result<(), Failure> {
    for container in &snapshot.containers {
        let Some((id, labelled)) = own_record(cx, container) else { continue };
        let reads = tokio::try_join!(Saved::read(cx, &container.id), host_key(cx, &container.id));
        let (saved, host_key) = reads?;
        let record = saved.and_then(|saved| saved.gateway).unwrap_or(labelled);
        let mut seen = look_at(container, record, snapshot);
        seen.outputs.extend(host_key);
        world.add(id, seen);
    }
    let volume = snapshot.volume(&volume_name(&cx.name));
    if let Some((id, record)) = volume.and_then(|volume| marks::record(&cx.name, &volume.labels)) {
        // The volume outlives a gateway that is renamed, and then belongs to the one of the file.
        let of_the_file =
            cx.file.as_deref().filter(|file| file.gateway.is_some()).map(ids::gateway);
        let is_there = world.things.keys().any(|id| id.kind() == TABLE.kind);
        if !is_there {
            let owner = of_the_file.unwrap_or_else(|| id.clone());
            world.remembered.entry(owner.clone()).or_insert_with(|| record.clone());
            world.leftovers.insert(owner);
        }
        world.remembered.insert(id, record);
    }
    let Some(topology) = cx.file.as_deref().filter(|topology| topology.gateway.is_some()) else {
        return Ok(());
    };
    let id = ids::gateway(topology);
    if !world.things.contains_key(&id)
        && let Some(why) = in_the_way(cx, snapshot, &id)
    {
        world.add(id, Seen::foreign(why));
    }
    Ok(())
}

/// What has a name that the gateway needs, and is not this topology's.
fn in_the_way(cx: &Context, snapshot: &Snapshot, id: &Id) -> Option<String> {
    let name = id.name();
    if snapshot.container(name).is_some() {
        return Some(format!(
            "a container named `{name}` exists that this topology did not make: remove it with `docker rm -f {name}`, or choose another `gateway.name`"
        ));
    }
    let gateway = cx.file.as_deref().and_then(|file| file.gateway.as_ref())?;
    let image = image::own_image(gateway, &cx.templates).ok();
    if let Some(why) = image.and_then(|image| image.in_the_way(snapshot)) {
        return Some(why);
    }
    ownership::volume_in_the_way(&cx.name, snapshot, &volume_name(&cx.name))
}

pub fn own_record(cx: &Context, container: &Container) -> Option<(Id, Record)> {
    marks::record(&cx.name, &container.labels)
        .filter(|(id, _)| id.kind() == ids::GATEWAY && id.name() == container.name)
}

fn look_at(container: &Container, record: Record, snapshot: &Snapshot) -> Seen {
    let state = match (container.state, container.health()) {
        // Made, and never started: the run that made it was cut off.
        (ContainerState::Created | ContainerState::Gone, _) => State::Partial,
        (ContainerState::Exited | ContainerState::Paused, _) => State::Stopped,
        (ContainerState::Restarting, _) => State::Unready(container.status.clone()),
        (ContainerState::Running, Some("unhealthy")) => {
            State::Unready("its health check fails: a service or the rules are missing".to_owned())
        }
        (ContainerState::Running, _) => State::Ready,
    };
    let mut seen = Seen::mine(record);
    seen.fields = live_fields(container, snapshot);
    seen.outputs = outputs_of(container);
    seen.holds = published::publications(container).iter().map(|it| span(it.listen)).collect();
    seen.state = state;
    seen
}

fn live_fields(container: &Container, snapshot: &Snapshot) -> Fields<Value> {
    let image = own_image::name_of(container, snapshot);
    let mut fields = Fields::new().with("image", json!(image));
    if let Some((network, address)) = container.addresses.iter().next() {
        fields.set("network", json!(network));
        fields.set("address", json!(address.fixed.or(address.v4)));
        fields.set(PINNED, json!(address.fixed.is_some()));
    }
    // A stopped container publishes nothing at the moment.
    if container.is_running() {
        fields.set("publish", json!(container::publications_live(container)));
    }
    fields
}

pub fn outputs_of(container: &Container) -> Outputs {
    let address = container.addresses.values().find_map(|address| address.v4.or(address.fixed));
    let mut outputs = Outputs::new();
    if let Some(address) = address {
        outputs.set(ADDRESS, json!(address));
    }
    outputs
}

/// What tunnels know the gateway by, where the file has any.
async fn host_key(cx: &Context, name: &str) -> Result<Outputs, Failure> {
    if !cx.file.as_deref().is_some_and(Topology::has_tunnels) {
        return Ok(Outputs::new());
    }
    let key = keys::host_key(cx, name).await?;
    Ok(key.map(|key| (HOST_KEY, json!(key))).into_iter().collect())
}

async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let name = turn.id().name();
    match turn.work {
        Work::Create => create(cx, turn).await?,
        Work::Update => update(cx, turn).await?,
        Work::Start => start(cx, name).await?,
        Work::Stop => cx.stop_container(name).await?,
        Work::Delete => delete(cx, turn).await?,
        Work::Keep => {}
    }
    Ok(Outputs::new())
}

const NEEDS_SUBNET: &str = "the engine gives fixed addresses only on a network that was made with a subnet: leave `gateway.address` out, or choose another `network.name` and let topo make it";

async fn create(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let topology = cx.topology()?;
    let name = turn.id().name();
    let Some(gateway) = &topology.gateway else {
        return Err(Failure::new("the file has no gateway any more"));
    };
    let own = own_image(&cx.templates, gateway)?;
    own.ensure(cx, turn).await?;

    let record = record(turn)?;
    let labels = marks::labels(&cx.name, turn.id(), &record);
    let volume = volume_name(&cx.name);
    cx.claim_volume(&volume, labels.clone()).await?;

    turn.say("making the container");
    let network = topology.network_name();
    let snapshot = cx.snapshot().await?;
    let scripts = Scripts::of(topology, gateway, &cx.templates)
        .map_err(|error| Failure::because("cannot make the gateway's scripts", &error))?;
    let ground = Ground {
        entrypoint: scripts.entrypoint(),
        image: turn.text("image"),
        labels,
        volume: &volume,
        network: snapshot.network(&network),
    };
    let body = container::body(topology, gateway, ground);
    let address = place::address(cx, turn, topology, gateway).await?;
    let kept = turn.text("address").and_then(|address| address.parse().ok());
    let made = own.make(cx, turn, name, body, &network, address.or(kept)).await?;
    made.map_err(|error| {
        let failure = Failure::because(format!("cannot make `{name}`"), &error);
        if error.is_for_want_of_a_subnet() { failure.hint(NEEDS_SUBNET) } else { failure }
    })?;
    let started = async {
        furnish(cx, turn, topology, record).await?;
        start(cx, name).await
    };
    match started.await {
        Ok(()) => pin(cx, turn).await,
        Err(failure) => Err(cx.undo_container(name, failure).await),
    }
}

/// Gives it the address that it has for good, where that is asked for, and writes it down.
async fn pin(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    if turn.value(PINNED).is_none() {
        return Ok(());
    }
    let name = turn.id().name();
    let network = cx.topology()?.network_name();
    if !fixed_address::keeps_address(cx, name, &network).await? {
        return Err(Failure::new(format!("`{name}` cannot keep its address on `{network}`"))
            .hint(NEEDS_SUBNET));
    }
    let snapshot = cx.snapshot().await?;
    let given = snapshot.container(name).map(outputs_of).unwrap_or_default();
    let mut record = record(turn)?;
    record.fields.extend(given);
    cx.run::<Writer>().record(cx, name, record).await
}

pub fn own_image(templates: &Templates, gateway: &Gateway) -> Result<OwnImage, Failure> {
    image::own_image(gateway, templates)
        .map_err(|error| Failure::because("cannot make the gateway's image", &error))
}

/// Puts into its volume who may log in, and keeps of the forwards that a container before
/// it had those that the file still names.
async fn furnish(
    cx: &Context,
    turn: &Turn,
    topology: &Topology,
    record: Record,
) -> Result<(), Failure> {
    let name = turn.id().name();
    let mut saved = Saved::read(cx, name).await?.unwrap_or_default();
    let named: HashSet<Id> = topology.ports().iter().map(ids::port).collect();
    saved.forwards.retain(|id, _| named.contains(id));
    saved.gateway = Some(record);
    if topology.gateway.as_ref().is_some_and(|gateway| gateway.ssh.is_some()) {
        container::write_keys(cx, name, &authorized_keys_of(turn)).await?;
    }
    saved.write(cx, name, topology).await
}

fn authorized_keys_of(turn: &Turn) -> Vec<String> {
    let keys = turn.value("authorizedKeys").and_then(Value::as_array);
    keys.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn record(turn: &Turn) -> Result<Record, Failure> {
    let resource =
        turn.resource.as_ref().ok_or_else(|| Failure::new("the file has no gateway any more"))?;
    Ok(Record::of(resource, &turn.values))
}

fn volume_name(topology: &str) -> String {
    format!("topo-{topology}-gateway")
}

async fn start(cx: &Context, name: &str) -> Result<(), Failure> {
    let Err(error) = cx.docker.start_container(name).await else { return Ok(()) };
    let failure = Failure::because(format!("cannot start `{name}`"), &error);
    let Error::PortTaken { port, .. } = error else { return Err(failure) };
    let snapshot = cx.snapshot().await?;
    let holder = snapshot.containers.iter().find(|container| {
        container.name != name && container.ports.iter().any(|published| published.port == port)
    });
    Err(failure.hint(match holder {
        Some(holder) => format!(
            "the container `{}` publishes port {port}: stop it, or publish another",
            holder.name
        ),
        None => format!("`lsof -i :{port}` on the engine's machine shows who listens there"),
    }))
}

/// What changes in a gateway that stays: who may log in, and whether it keeps its address. One that
/// stands still loads what is saved when it starts.
async fn update(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let name = turn.id().name();
    container::write_keys(cx, name, &authorized_keys_of(turn)).await?;
    let record = record(turn)?;
    if turn.state == Some(State::Stopped) {
        cx.run::<Writer>().record(cx, name, record).await?;
        start(cx, name).await?;
    } else {
        cx.run::<Writer>().commit(cx, name, Edit::Gateway(record)).await?;
    }
    pin(cx, turn).await
}

/// A gateway that is replaced keeps its volume, so that the new one is the same host to ssh.
async fn delete(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let name = turn.id().name();
    let image = turn.record.as_ref().and_then(|record| record.fields.get("image")?.as_str());
    if turn.action() == Action::Replace {
        // What takes long comes before the forwards are away.
        if let Some(gateway) = &cx.topology()?.gateway {
            own_image(&cx.templates, gateway)?.ensure(cx, turn).await?;
        }
        cx.remove_container(name).await?;
        cx.run::<Writer>().interrupt();
        let replaced = image.filter(|image| turn.text("image") != Some(image));
        return image::ROLE.forget(cx, replaced).await;
    }
    cx.remove_container(name).await?;
    cx.hold(turn.id(), Vec::new()).await?;
    cx.remove_volume(&volume_name(&cx.name)).await?;
    image::ROLE.forget(cx, image).await
}

async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let name = turn.id().name();
    turn.say("waiting for its services");
    let limit = turn.patience(READY_DEADLINE);
    let ready = cx.docker.exec(name, &["sh", "-c", UNTIL_HEALTHY]);
    match tokio::time::timeout(limit, ready).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            let _ = tokio::time::timeout(ENDING, until_ended(cx, name)).await;
            return Err(explain(cx, name, &error.to_string()).await);
        }
        Err(_) => {
            let late = format!("timed out after {} s waiting for its services", limit.as_secs());
            return Err(explain(cx, name, &late).await);
        }
    }
    if let Some(away) = cx.run::<Writer>().resume() {
        turn.warn(format!("the forwards were away for {:.1} s", away.as_secs_f64()));
    }
    if let Some(why) = out_of_reach(cx).await {
        turn.warn(why);
    }
    let snapshot = cx.snapshot().await?;
    let mut outputs = snapshot.container(name).map(outputs_of).unwrap_or_default();
    outputs.extend(host_key(cx, name).await?);
    Ok(outputs)
}

/// What was run in it ends before its time with the container alone, which the engine may take a
/// moment to notice.
async fn until_ended(cx: &Context, name: &str) {
    let runs = async || {
        let snapshot = cx.snapshot().await.unwrap_or_default();
        snapshot.container(name).is_some_and(Container::is_running)
    };
    while runs().await {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Forwards that nobody on this machine can use, since another machine publishes them on its loopback.
async fn out_of_reach(cx: &Context) -> Option<String> {
    let topology = cx.file.as_deref().filter(|topology| !topology.is_exposed())?;
    let machine = cx.machine().await?;
    let hidden = topology.ports().iter().filter(|port| port.listen().addr.is_loopback()).count();
    (hidden > 0).then(|| {
        format!(
            "{hidden} of its forwards listen on the loopback of `{}` alone: publish them on an address of that machine, or have them carried here with `gateway: {{ expose: {{ via: ssh }} }}`",
            machine.host
        )
    })
}

/// What the gateway itself said last: more than the engine, whose own words are only that it is not
/// running.
async fn explain(cx: &Context, name: &str, why: &str) -> Failure {
    let snapshot = cx.snapshot().await.unwrap_or_default();
    let ended = snapshot.container(name).filter(|container| !container.is_running());
    let failure = match ended {
        Some(container) => Failure::new(format!("`{name}` does not stay up: {}", container.status)),
        None => Failure::new(format!("`{name}` does not work: {why}")),
    };
    let said = cx.docker.last_lines(name, 20).await.unwrap_or_default();
    if said.trim().is_empty() { failure } else { failure.caused_by(said.trim().to_owned()) }
}
