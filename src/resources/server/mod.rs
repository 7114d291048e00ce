//! The NFS server of a topology: one container that serves every share by `via: server`, at an
//! address that outlives it.

mod address;
mod container;
mod handover;
mod image;
mod squash;

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::backend::docker::{
    AbsentIsFine, Container, ContainerState, Docker, Error, Labels, Snapshot,
};
use crate::engine::{Failure, Turn, Work};
use crate::plan::{
    Action, Bond, Drifted, Effect, Id, Item, Origin, Outputs, Plan, Record, Resource, Seen, State,
    Table, Want, World,
};
use crate::resources::base::claim::{Claim, Reservation};
use crate::resources::base::context::Context;
use crate::resources::base::docker::ownership::{self, Whose};
use crate::resources::base::docker::{networks, own_image};
use crate::resources::base::kind::{Ingredients, MadeFrom, ResourceKind};
use crate::resources::base::objection::Objections;
use crate::resources::base::pins::Pin;
use crate::resources::base::rendered::{Part, Rendered};
use crate::resources::base::{ids, marks};
use crate::templates::TemplateError;
use crate::topology::{AddressRange, Topology, Via};

pub use container::mount_path;
pub use squash::squash;

const TABLE: Table = Table {
    effects: &[("network", Effect::Replace), ("address", Effect::Replace)],
    tells: &["address"],
    stops: true,
    ..Table::plain(ids::SERVER)
};

/// Ganesha listens within a second; a machine at work may take longer to start it.
const READY_DEADLINE: Duration = Duration::from_secs(30);

/// The settings that were put into the container, by their digest.
const CONFIG_LABEL: &str = "dev.topo.config";

pub struct ServerKind;

impl ResourceKind for ServerKind {
    const TABLE: Table = TABLE;

    fn builds<'a>(resource: &'a Resource, snapshot: &Snapshot) -> Option<&'a str> {
        image::ROLE.builds(resource, snapshot)
    }

    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
        Ok(desired(from)?.into_iter().collect())
    }

    fn pins(topology: &Topology) -> Result<Vec<Pin>, Failure> {
        let image = is_wanted(topology).then(|| topology.nfs_server.image.reference());
        Ok(image.and_then(|image| Pin::image(image, image::ROLE.key)).into_iter().collect())
    }

    fn rendered(
        from: &Ingredients,
        part: Part,
        _show_secrets: bool,
    ) -> Result<Vec<Rendered>, Failure> {
        if part != Part::Ganesha {
            return Ok(Vec::new());
        }
        let files = rendered(from)?.into_iter();
        Ok(files.map(|(name, text)| Rendered::text(name, text)).collect())
    }

    async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) -> Result<(), Failure> {
        observe(cx, snapshot, world).await
    }

    async fn explain(_: &Context, plan: &mut Plan, _: &MadeFrom<'_>) -> Result<(), Failure> {
        plan.items.iter_mut().for_each(explain);
        Ok(())
    }

    async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        change(cx, turn).await
    }

    async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        wait(cx, turn).await
    }
}

/// Whether any share goes through it.
fn is_wanted(topology: &Topology) -> bool {
    topology.has_share_by(Via::Server)
}

/// Its address, as soon as it can be known.
pub fn address(from: &Ingredients) -> Option<IpAddr> {
    let id = ids::server(from.topology.name.as_str());
    inputs(from.topology, from.claim, from.snapshot, &id).address()
}

fn inputs<'a>(
    topology: &'a Topology,
    claim: Option<&'a Claim>,
    snapshot: &'a Snapshot,
    id: &'a Id,
) -> address::AddressInputs<'a> {
    address::AddressInputs { topology, claim, snapshot, id }
}

fn desired(from: &Ingredients) -> Result<Option<Resource>, Failure> {
    let topology = from.topology;
    if !is_wanted(topology) {
        return Ok(None);
    }
    let id = ids::server(topology.name.as_str());
    let network = ids::network(topology);
    let inputs = inputs(topology, from.claim, from.snapshot, &id);
    let subnet = networks::subnet(topology, from.snapshot).map(|it| Want::is(it.to_string()));
    let address = inputs.address().map_or(Want::Auto, |address| Want::is(address.to_string()));
    let built = image::own_image(&topology.nfs_server, from.templates).map_err(unrendered)?;
    let files = container::fingerprint(from.templates).map_err(unrendered)?;
    let mut resource = Resource::new(id, &TABLE)
        .field("image", Want::is(built.reference()))
        .field("files", Want::is(files))
        .field("network", Want::is(topology.network_name().as_ref()))
        .field("address", address)
        .field("subnet", subnet.unwrap_or_else(|| Want::After(network.clone(), "subnet")))
        .bond(Bond::Rests(network))
        .origin(Origin::Key("shares".into()));
    for (share, value) in container::fields(&container::exports(topology)?) {
        resource.fields.set(share, Want::Is(value));
    }
    Ok(Some(resource))
}

fn unrendered(error: TemplateError) -> Failure {
    Failure::because("cannot render the NFS server", &error)
}

/// What its image is built from, and the settings that it would have on this network.
fn rendered(from: &Ingredients) -> Result<Vec<(String, String)>, Failure> {
    let topology = from.topology;
    if !is_wanted(topology) {
        return Ok(Vec::new());
    }
    let subnet = networks::subnet(topology, from.snapshot).ok_or_else(|| {
        Failure::new("the exports name the network's subnet, which topo has not chosen yet")
            .hint("write `network: { subnet: … }` to see them before the network is made")
    })?;
    let built = image::own_image(&topology.nfs_server, from.templates).map_err(unrendered)?;
    let exports = container::exports(topology)?;
    let files =
        container::files(&exports, &subnet.to_string(), from.templates).map_err(unrendered)?;
    let recipe = built.files().into_iter().map(|(name, text)| (name.to_owned(), text));
    Ok(recipe.chain(files).collect())
}

async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) -> Result<(), Failure> {
    let claim = cx.claim().await;
    let reserved = claim.iter().flat_map(|claim| &claim.reserved);
    for reservation in reserved.filter(|one| one.by.kind() == TABLE.kind) {
        world.remembered.insert(reservation.by.clone(), Record::default());
    }
    for container in &snapshot.containers {
        let Some((id, record)) = own_record(cx, container) else { continue };
        let mut seen = look_at(container, record, own_image::name_of(container, snapshot));
        if container.name == id.name() {
            seen.drift = drift(&cx.docker, container).await?;
        }
        // One that was to take over is left where a run was cut off.
        let cut_off = container.name != id.name() || world.things.contains_key(&id);
        if cut_off {
            seen.state = State::Partial;
        }
        world.add(id, seen);
    }
    let id = ids::server(&cx.name);
    if world.things.contains_key(&id) {
        return Ok(());
    }
    let volume = snapshot.volume(&container::clients_volume(id.name()));
    if volume.is_some_and(|it| ownership::by_labels(&cx.name, &it.labels) == Whose::Ours) {
        world.leftovers.insert(id.clone());
    }
    if cx.file.as_deref().is_some_and(is_wanted)
        && let Some(why) = in_the_way(cx, snapshot, &id)
    {
        world.add(id, Seen::foreign(why));
    }
    Ok(())
}

/// What has a name that the server needs, and is not this topology's.
fn in_the_way(cx: &Context, snapshot: &Snapshot, id: &Id) -> Option<String> {
    if snapshot.container(id.name()).is_some() {
        return Some(format!(
            "a container named `{0}` exists that this topology did not make: remove it with `docker rm -f {0}`",
            id.name()
        ));
    }
    if let Some(why) =
        ownership::volume_in_the_way(&cx.name, snapshot, &container::clients_volume(id.name()))
    {
        return Some(why);
    }
    let topology = cx.file.as_deref()?;
    image::own_image(&topology.nfs_server, &cx.templates).ok()?.in_the_way(snapshot)
}

fn own_record(cx: &Context, container: &Container) -> Option<(Id, Record)> {
    let names = |id: &Id| [id.name().to_owned(), handover::next(id.name())];
    marks::record(&cx.name, &container.labels)
        .filter(|(id, _)| id.kind() == TABLE.kind && names(id).contains(&container.name))
}

fn look_at(container: &Container, record: Record, image: &str) -> Seen {
    let state = match (container.state, container.health()) {
        // Made, and never started: the run that made it was cut off.
        (ContainerState::Created | ContainerState::Gone, _) => State::Partial,
        (ContainerState::Exited | ContainerState::Paused, _) => State::Stopped,
        (ContainerState::Restarting, _) => State::Unready(container.status.clone()),
        (ContainerState::Running, Some("unhealthy")) => {
            State::Unready("nothing listens on its NFS port".to_owned())
        }
        (ContainerState::Running, _) => State::Ready,
    };
    let mut seen = Seen::mine(record).state(state).field("image", image);
    let network = container.addresses.keys().next();
    seen = seen.field("network", json!(network));
    if let Some(address) = address_of(container) {
        seen = seen.field("address", json!(address));
        seen.outputs = outputs(address);
    }
    seen
}

fn address_of(container: &Container) -> Option<IpAddr> {
    container.addresses.values().next().and_then(|address| address.fixed.or(address.v4))
}

fn outputs(address: IpAddr) -> Outputs {
    Outputs::new().with("address", json!(address))
}

/// Whether somebody edited the settings in the container.
async fn drift(docker: &Docker, container: &Container) -> Result<Vec<Drifted>, Failure> {
    let Some(put) = container.labels.get(CONFIG_LABEL) else { return Ok(Vec::new()) };
    let there = docker.get_file(&container.id, container::CONFIG).await.if_present();
    let there = there
        .map_err(|error| {
            Failure::because(format!("cannot look into `{}`", container.name), &error)
        })?
        .flatten();
    let live = there.map(|config| container::digest(&config));
    if live.as_ref() == Some(put) {
        return Ok(Vec::new());
    }
    let drifted =
        Drifted { path: "settings".to_owned(), live: json!(live), applied: json!(put), by: None };
    Ok(vec![drifted])
}

async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    match turn.work {
        Work::Create => handover::make(cx, turn).await?,
        Work::Update => {
            handover::take_over(cx, turn).await?;
            forget_image(cx, turn).await?;
        }
        Work::Start => cx.start_container(turn.id().name()).await?,
        Work::Stop => cx.stop_container(turn.id().name()).await?,
        Work::Delete => delete(cx, turn).await?,
        Work::Keep => {}
    }
    Ok(Outputs::new())
}

/// Folders and volumes that it served stay as they are.
async fn delete(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let name = turn.id().name();
    cx.remove_container(name).await?;
    cx.remove_container(&handover::next(name)).await?;
    if turn.action() == Action::Replace {
        return forget_image(cx, turn).await;
    }
    let fields = turn.record.as_ref().map(|record| &record.fields);
    let exports = fields.map(container::exports_of).unwrap_or_default();
    for export in exports.values() {
        if let container::Source::Volume(volume) = &export.source {
            turn.warn(format!(
                "the volume `{volume}` stays, with what is in it: `docker volume rm {volume}` removes it"
            ));
        }
    }
    cx.remove_volume(&container::clients_volume(name)).await?;
    forget_image(cx, turn).await
}

/// Of the container that is gone; nothing where its image serves the next one too.
async fn forget_image(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let fields = turn.record.as_ref().map(|record| &record.fields);
    let image = fields.and_then(|fields| fields.get("image")?.as_str());
    image::ROLE.forget(cx, image.filter(|image| turn.text("image") != Some(image))).await
}

async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let name = turn.id().name();
    turn.say("waiting for it to listen");
    handover::until_healthy(cx, name, turn.patience(READY_DEADLINE)).await?;
    let snapshot = cx.snapshot().await?;
    Ok(snapshot.container(name).and_then(address_of).map(outputs).unwrap_or_default())
}

/// The address of a server on a network that had no subnet when the plan was made; reserved before
/// it is used.
async fn settle_address(cx: &Context, turn: &Turn) -> Result<Value, Failure> {
    if let Some(address) = turn.value("address") {
        return Ok(address.clone());
    }
    let topology = cx.topology()?;
    let (claim, snapshot) = (cx.claim().await, cx.snapshot().await?);
    let chosen = inputs(topology, claim.as_ref(), &snapshot, turn.id()).address();
    let address = chosen.ok_or_else(|| {
        Failure::new(format!(
            "the network `{}` has no address left for the NFS server",
            topology.network_name()
        ))
        .hint("a larger `network.subnet`, or smaller pools")
    })?;
    let range = AddressRange::new(address, address);
    let network = topology.network_name();
    let reserved = range.map(|range| Reservation::new(&network, range, turn.id()));
    cx.hold(turn.id(), reserved.into_iter().collect()).await?;
    Ok(json!(address))
}

/// The server's own volume, and those that shares name, made where they are not there yet. Those of
/// the user's stay theirs.
async fn ensure_volumes(
    cx: &Context,
    server: &str,
    exports: &container::Exports,
) -> Result<(), Failure> {
    let labels: Labels = [(marks::TOPOLOGY.to_owned(), cx.name.clone())].into();
    cx.claim_volume(&container::clients_volume(server), labels).await?;
    for export in exports.values() {
        if let container::Source::Volume(volume) = &export.source {
            let labels: Labels = [(marks::TOPOLOGY.to_owned(), cx.name.clone())].into();
            cx.docker.create_volume(volume, labels).await.map_err(|error: Error| {
                Failure::because(format!("cannot make the volume `{volume}`"), &error)
            })?;
        }
    }
    Ok(())
}

/// Why a share's folder is not served though the server is told to: what it said of it.
pub async fn complaint(cx: &Context, share: &str) -> Option<String> {
    const LINES: u16 = 2000;
    let log = cx.docker.last_lines(ids::server(&cx.name).name(), LINES).await.ok()?;
    let about = format!("path {}, error ", container::folder(share));
    let line = log.lines().rev().find(|line| line.contains(&about))?;
    line.split_once("error ").map(|(_, error)| error.trim().to_owned())
}

/// What a new server means for files that are opened or locked from then on.
fn new_opens_wait() -> String {
    format!(
        "files opened or locked from then on wait up to {} s, until clients have reclaimed their locks",
        container::NEW_OPENS_WAIT
    )
}

/// What an update means for whoever is at work on a share.
fn explain(item: &mut Item) {
    if item.id.kind() == TABLE.kind && item.action == Action::Update && item.why.is_none() {
        item.why = Some(format!(
            "a new server takes its address: shares pause for about a second; {}",
            new_opens_wait()
        ));
    }
}
