//! Folders of the host in pods: for each a volume and a claim, tried by speaking NFS before they
//! are made.

mod check;
mod choice;
mod exports;
mod health;
mod holders;
mod host;
mod mount;
mod sight;
mod volume;
mod warning;

use std::time::Duration;

use futures::future::try_join;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::backend::kube::{Apply, Deadline, Kube, KubeError, Target, WaitError};
use crate::engine::{Failure, Turn, Work};
use crate::finding::name;
use crate::manifest::Kinds;
use crate::plan::{
    Action, Bond, Effect, Fields, Id, Origin, Outputs, Plan, Record, Resource, Table, Want, World,
};
use crate::resources::base::context::Context;
use crate::resources::base::in_cluster::inside;
use crate::resources::base::kind::{Ingredients, MadeFrom, ResourceKind};
use crate::resources::base::kube::inside::{Inside, Listed, unseen};
use crate::resources::base::kube::{listing, objects};
use crate::resources::base::objection::Objections;
use crate::resources::base::rendered::{Part, Rendered};
use crate::resources::base::{ids, marks};
use crate::resources::server;
use crate::topology::{Share, Topology, Via};
use check::{How, Outcome};
use volume::{Pair, kinds};

pub use choice::{Ground, Settled, settle, ways};
pub use health::{Doing, Health, Scene, health, healths};
pub use sight::held_by;

/// Sources of volumes cannot be changed, nor much of a claim.
const TABLE: Table = Table {
    effects: &[
        ("via", Effect::Replace),
        ("source", Effect::Replace),
        ("server", Effect::Replace),
        ("path", Effect::Replace),
        ("access", Effect::Replace),
        ("size", Effect::Replace),
        ("claim", Effect::Replace),
    ],
    precious: |_| true,
    tells: &["source", "via", "access", "size", "claim"],
    ..Table::plain(ids::SHARE)
};

/// A server that answers at all answers at once; one that is starting may take longer.
const TRIAL: Duration = Duration::from_secs(15);
/// One that has just started first waits for its former clients: Linux's for 90 s.
const GRACE: Duration = Duration::from_secs(100);
const BOUND: Duration = Duration::from_secs(30);
/// Pods end within half a minute, unless they ask for more.
const GONE: Duration = Duration::from_mins(2);

pub struct ShareKind;

impl ResourceKind for ShareKind {
    const TABLE: Table = TABLE;

    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
        Ok(desired(from))
    }

    fn rendered(
        from: &Ingredients,
        part: Part,
        _show_secrets: bool,
    ) -> Result<Vec<Rendered>, Failure> {
        let text = |name: &str, text: Option<String>| {
            text.map(|text| Rendered::text(name, text)).into_iter().collect()
        };
        Ok(match part {
            Part::Shares => Rendered::objects("shares", rendered(from)),
            Part::Exports => text("exports", host::rendered(from)?.0),
            Part::NfsConf => text("nfs.conf", host::rendered(from)?.1),
            _ => Vec::new(),
        })
    }

    fn lists(_: &Context) -> Vec<Listed> {
        kinds().into_iter().map(Listed::own).collect()
    }

    async fn observe_inside(inside: &Inside<'_>, world: &mut World) -> Result<(), Failure> {
        sight::observe(inside.cx, &inside.found, world);
        sight::see_strangers(inside.cx, &inside.kube, world).await.map_err(unseen)
    }

    async fn explain(cx: &Context, plan: &mut Plan, from: &MadeFrom<'_>) -> Result<(), Failure> {
        warning::explain(cx, plan, from).await
    }

    async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        change(cx, turn).await
    }

    async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        wait(cx, turn).await
    }
}

fn desired(from: &Ingredients) -> Vec<Resource> {
    let shares = from.topology.shares.iter().enumerate();
    shares.map(|(at, share)| resource(from, at, share)).collect()
}

fn resource(from: &Ingredients, at: usize, share: &Share) -> Resource {
    let topology = from.topology;
    let name = share.name.as_str();
    let namespace = share.claim.namespace.as_str();
    let mut resource = Resource::new(ids::share(name), &TABLE)
        .field("via", Want::is(share.via.as_str()))
        .field("source", Want::is(source(share)))
        .field("path", Want::is(mounted_path(share)))
        .field("access", Want::Is(json!(share.access)))
        .field("owner", Want::is(share.owner.to_string()))
        .field("size", Want::is(share.claim.size.to_string()))
        .field("claim", Want::is(format!("{namespace}/{}", share.claim_name())))
        .field("mountOptions", Want::is(mount::mount_options(share)))
        .protect(share.protect)
        .origin(Origin::Key(format!("shares.{at}").into()));
    if let Some(server) = server_of(from, share) {
        resource = resource.field("server", server);
    }
    if share.via == Via::Host {
        resource = resource.field("exports", Want::Auto);
    }
    resource.bonds.extend(inside(topology));
    resource.bonds.extend(namespace_of(from, namespace));
    match share.via {
        Via::Server => {
            let server = ids::server(topology.name.as_str());
            resource.bonds.push(Bond::Uses(server));
        }
        Via::Host => {
            let network = ids::network(topology);
            resource.bonds.push(Bond::Uses(network));
        }
        Via::Ssh => resource.bonds.push(Bond::Uses(carrying(topology, share))),
        Via::Auto | Via::Mount | Via::External => {}
    }
    resource.bonds.extend(ids::asked(&share.needs));
    resource
}

/// What holds the files, as a person names it.
fn source(share: &Share) -> String {
    match (&share.volume, &share.path) {
        (Some(volume), _) => format!("the volume {volume}"),
        (None, Some(path)) => path.path().display().to_string(),
        (None, None) => String::new(),
    }
}

/// The path at the server, or in the node.
fn mounted_path(share: &Share) -> String {
    let name = share.name.as_str();
    match share.via {
        Via::Mount => mount::node_folder(name),
        Via::Server => server::mount_path(name),
        Via::Auto | Via::Host | Via::Ssh | Via::External => source(share),
    }
}

/// Who serves it; nobody where it is mounted.
fn server_of(from: &Ingredients, share: &Share) -> Option<Want> {
    let topology = from.topology;
    Some(match share.via {
        Via::Auto | Via::Mount => return None,
        Via::Server => server::address(from).map_or_else(
            || Want::After(ids::server(topology.name.as_str()), "address"),
            |address| Want::is(address.to_string()),
        ),
        Via::Host => host::address(topology),
        Via::Ssh => {
            let address = topology.gateway.as_ref().and_then(|gateway| gateway.address);
            address.map_or_else(
                || Want::After(carrying(topology, share), "address"),
                |address| Want::is(address.to_string()),
            )
        }
        Via::External => Want::is(share.server.as_ref()?.to_string()),
    })
}

/// The tunnel by which a share reaches the gateway.
fn carrying(topology: &Topology, share: &Share) -> Id {
    ids::tunnel(topology.carrier(share).name.as_str())
}

/// A Namespace that the file's manifests make.
fn namespace_of(from: &Ingredients, namespace: &str) -> Option<Bond> {
    let kind = Kinds::default().named(&"v1".into(), &"Namespace".into());
    let id = objects::id(&kind, None, namespace);
    from.objects.get(&id).is_some().then_some(Bond::Holds(id))
}

async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    match turn.work {
        Work::Create | Work::Update => apply(cx, turn).await?,
        Work::Delete => delete(cx, turn).await?,
        Work::Start | Work::Stop | Work::Keep => {}
    }
    Ok(Outputs::new())
}

async fn apply(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let Some(resource) = turn.resource.as_deref() else { return Ok(()) };
    let topology = cx.topology()?;
    let share = share_of(topology, turn.id())?;
    let mut values = turn.values.clone();
    if matches!(share.via, Via::Host | Via::Ssh) {
        host::write(cx, topology).await?;
    }
    if share.via == Via::Host {
        values.set("exports", json!(host::entry(share)));
    }
    verify(cx, turn, share, &values).await?;

    let kube = cx.kube().await?;
    let unusable = || Failure::new(format!("{} has no claim to make", turn.id()));
    let pair = Pair::of(&cx.name, turn.id(), &values).ok_or_else(unusable)?;
    for target in [pair.volume(), pair.claim()] {
        let there = kube.get(&target).await.map_err(|error| failed(turn.id(), &error))?;
        if let Some(there) = there.filter(|there| !marks::is_mine(there, &cx.name)) {
            return Err(Failure::new(listing::foreign(&there, &target)));
        }
    }
    let record = Record::of(resource, &values);
    let [mut volume, mut claim] = pair.bodies(&values);
    for body in [&mut volume, &mut claim] {
        marks::stamp(body, &cx.name, turn.id());
        marks::stamp_record(body, &record);
    }
    let (volume_target, claim_target) = (pair.volume(), pair.claim());
    // Volume and claim are topo's whole: what others changed of them is taken back.
    let how = Apply { force: true, dry_run: false };
    let sent =
        try_join(kube.apply(&volume_target, &volume, how), kube.apply(&claim_target, &claim, how));
    sent.await.map_err(|error| refused(&pair, turn.id(), &error))?;
    Ok(())
}

fn share_of<'a>(topology: &'a Topology, id: &Id) -> Result<&'a Share, Failure> {
    let share = topology.shares.iter().find(|share| share.name.as_str() == id.name());
    share.ok_or_else(|| Failure::new(format!("the file has no {id} any more")))
}

fn failed(id: &Id, error: &KubeError) -> Failure {
    Failure::because(format!("cannot change {id}"), error)
}

fn refused(pair: &Pair, id: &Id, error: &KubeError) -> Failure {
    let failure = failed(id, error);
    match (error, pair.claim().namespace) {
        (KubeError::NotFound(_), Some(namespace)) => failure.hint(format!(
            "the namespace `{namespace}` must be there first: make it in a manifest of this file, or with `kubectl create namespace {namespace}`"
        )),
        _ => failure,
    }
}

/// Nothing is promised that has not been tried.
async fn verify(
    cx: &Context,
    turn: &Turn,
    share: &Share,
    values: &Fields<Value>,
) -> Result<(), Failure> {
    turn.say("speaking NFS to it");
    let how = How { write: true, limit: turn.patience(TRIAL) };
    let (snapshot, until) = (cx.snapshot().await?, Instant::now() + turn.patience(GRACE));
    loop {
        match check::try_out(cx, &snapshot, share, values, how).await? {
            Outcome::Works => return Ok(()),
            Outcome::Fails(finding) if finding.name == name::BUSY && Instant::now() < until => {
                turn.say("waiting for its server, which waits for its former clients");
                sleep(Duration::from_secs(1)).await;
            }
            Outcome::Fails(finding) => return Err(check::failure(share, finding)),
            Outcome::NotTried(finding) => {
                turn.warn(format!(
                    "share `{}` could not be tried from this machine ({}: {}); its nodes may reach it",
                    share.name, finding.name, finding.saw
                ));
                return Ok(());
            }
        }
    }
}

/// The claim goes once no pod holds it, and the volume after it; what is in the folder stays.
///
/// Where both are made anew, pods that something makes again are ended: since the claim is going by
/// then, those that come in their place wait for the new one.
async fn delete(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let recorded = turn.record.as_ref().map(|record| &record.fields);
    let Some(pair) = recorded.and_then(|fields| Pair::of(&cx.name, turn.id(), fields)) else {
        return Ok(());
    };
    let id = turn.id();
    let kube = cx.kube().await?;
    let failed = |error: KubeError| failed(id, &error);
    let deadline = Deadline::after(turn.patience(GONE));
    let (claim, volume) = (pair.claim(), pair.volume());

    if let Some(uid) = own(cx, &kube, &claim).await.map_err(failed)? {
        kube.delete(&claim, Some(&uid)).await.map_err(failed)?;
        let held = holders::holders(&kube, &pair).await.map_err(failed)?;
        if turn.action() == Action::Replace {
            holders::restart(&kube, &held).await.map_err(failed)?;
        }
        if !held.is_empty() {
            turn.say(format!("waiting for {} to end", holders::listed(&held)));
        }
        if let Err(error) = kube.until_gone(&claim, Some(&uid), deadline).await {
            return Err(still_held(&kube, &pair, id, &error).await);
        }
    }
    if let Some(uid) = own(cx, &kube, &volume).await.map_err(failed)? {
        kube.delete(&volume, Some(&uid)).await.map_err(failed)?;
        let gone = kube.until_gone(&volume, Some(&uid), deadline).await;
        gone.map_err(|error| Failure::because(format!("the volume of {id} does not go"), &error))?;
    }
    Ok(())
}

/// Which object it is, if it is there and this topology's.
async fn own(cx: &Context, kube: &Kube, target: &Target<'_>) -> Result<Option<String>, KubeError> {
    let there = kube.get(target).await?;
    let there = there.filter(|there| marks::is_mine(there, &cx.name));
    Ok(there.and_then(|there| there.metadata.uid))
}

async fn still_held(kube: &Kube, pair: &Pair, id: &Id, error: &WaitError) -> Failure {
    let failure = Failure::because(format!("the claim of {id} does not go"), error);
    match holders::holders(kube, pair).await {
        Ok(held) if !held.is_empty() => failure.hint(format!(
            "these pods hold it: {}; delete them, and run the command again",
            holders::listed(&held)
        )),
        _ => failure,
    }
}

async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let Some(pair) = Pair::of(&cx.name, turn.id(), &turn.values) else {
        return Ok(Outputs::new());
    };
    let kube = cx.kube().await?;
    let deadline = Deadline::after(turn.patience(BOUND));
    kube.until(&pair.claim(), deadline, volume::bound, |said| turn.say(said)).await.map_err(
        |error| Failure::because(format!("the claim of {} is not bound", turn.id()), &error),
    )?;
    if turn.work == Work::Keep {
        let share = share_of(cx.topology()?, turn.id())?;
        verify(cx, turn, share, &turn.values).await?;
    }
    Ok(Outputs::new())
}

/// The objects of all shares whose servers are known before anything is made.
fn rendered(from: &Ingredients) -> Vec<Value> {
    desired(from)
        .iter()
        .filter(|share| !matches!(share.fields.get("server"), Some(Want::After(..))))
        .filter_map(|share| {
            let fields = share.stated();
            Pair::of(from.topology.name.as_str(), &share.id, &fields).map(|it| it.bodies(&fields))
        })
        .flatten()
        .collect()
}
