//! `topo status`: what is up, from one look at the engine and the cluster; again and again, if asked.

use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::StatusArgs;
use super::doors;
use super::listening::Listening;
use super::ports::{self, ReadyPods};
use super::session::{Planned, Purpose, Session, WATCH, Wanted};
use crate::backend::tunnel::{Standing, Tunnel};
use crate::error::{Error, Exit};
use crate::plan::{Action, Bond, Id, Item, Seen, State, World};
use crate::resources::{self, Context, Doing, Scene};
use crate::view::{
    Health, Hushed, PoolStatus, ResourceStatus, ShareStatus, Status, TunnelStatus, View,
};

/// Between two looks, where nothing is heard that would be a reason for one.
const AGAIN: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(5);

pub async fn status(args: &StatusArgs, view: &mut dyn View) -> Result<Exit, Error> {
    if args.watch {
        return follow(args, view).await;
    }
    let deadline = args.wait.map(|limit| Instant::now() + limit);
    let mut status = look(&open(args, view).await?, args).await?;
    while !status.is_healthy() && deadline.is_some_and(|deadline| Instant::now() < deadline) {
        tokio::time::sleep(AGAIN).await;
        status = look(&open(args, &mut Hushed(view)).await?, args).await?;
    }
    view.status(&status);
    Ok(if status.is_healthy() { Exit::Done } else { Exit::Differs })
}

/// Until somebody ends it. What cannot be looked at is said once, and tried again.
async fn follow(args: &StatusArgs, view: &mut dyn View) -> Result<Exit, Error> {
    let mut listening = Listening::default();
    let mut shown: Option<Result<Status, String>> = None;
    while !view.is_unread() {
        let seen = if shown.is_none() {
            hear_and_look(args, &mut listening, view).await
        } else {
            hear_and_look(args, &mut listening, &mut Hushed(view)).await
        };
        let seen = match seen {
            Ok(status) => Ok(status),
            Err(error) if shown.is_none() => return Err(error),
            Err(error) => Err(error.failure.map_or_else(String::new, |why| why.to_string())),
        };
        if shown.as_ref() != Some(&seen) {
            match &seen {
                Ok(status) => {
                    if shown.is_some() {
                        view.wipe();
                    }
                    view.status(status);
                }
                Err(why) => view.warning(why),
            }
            shown = Some(seen);
        }
        listening.news(IDLE).await;
    }
    Ok(Exit::Done)
}

async fn hear_and_look(
    args: &StatusArgs,
    listening: &mut Listening,
    view: &mut dyn View,
) -> Result<Status, Error> {
    let session = open(args, view).await?;
    listening.hear_engine(&session);
    let status = look(&session, args).await?;
    listening.hear_cluster(&session).await;
    Ok(status)
}

async fn open(args: &StatusArgs, view: &mut dyn View) -> Result<Session, Error> {
    let session = Session::open(args.which.which(), Purpose::Look, "topo status", view).await?;
    session.check_claims(true)?;
    Ok(session)
}

async fn look(session: &Session, args: &StatusArgs) -> Result<Status, Error> {
    let Planned { plan, world, .. } = session.plan(Wanted::default()).await?;
    let cx = session.cx();
    let touched = plan.touched();
    // Nothing that was seen tells of what no pods are counted for.
    let is_tried =
        |id: &Id, pods: Option<u32>| args.probe || pods.is_none() || touched.contains(id);
    let shares = async {
        let Some(topology) = &session.topology else { return Vec::new() };
        let scene = Scene { topology, snapshot: session.snapshot(), world: &world };
        resources::healths(cx, scene).await
    };
    // Whoever asks for every forward to be tried waits for what is slow, too.
    let patience = if args.probe { ports::PATIENCE } else { Duration::ZERO };
    let forwards = async {
        let ready_pods = ReadyPods::look(cx).await;
        ports::look(session, &world, &ready_pods, &is_tried, patience).await
    };
    let (mut ports, doors, shares, addresses) = tokio::join!(
        forwards,
        doors::look(session, &world, args.probe),
        shares,
        ports::addresses_in_use(cx),
    );
    ports.extend(doors);
    let items = if session.topology.is_some() { plan.items } else { as_it_is(&world) };
    if args.which.name.is_some() && items.is_empty() && !session.is_known() {
        return Err(session.not_found("status"));
    }
    Ok(Status {
        topology: session.name().to_owned(),
        at_work: cx.state.holder().filter(|holder| !holder.ends_with(WATCH)),
        context: context(cx, &world),
        resources: items
            .iter()
            .filter(|item| !matches!(item.id.kind(), "port" | "share" | "manifest" | "tunnel"))
            .map(|item| resource(item, &world))
            .collect(),
        ports,
        pools: pools(&world, addresses.as_deref()),
        shares: shares.into_iter().map(share).collect(),
        tunnels: items
            .iter()
            .filter(|item| item.id.kind() == "tunnel")
            .map(|item| tunnel(cx, item, &world))
            .collect(),
    })
}

/// By which kubectl reaches the cluster.
fn context(cx: &Context, world: &World) -> Option<String> {
    let existing = cx.existing.as_ref().map(|existing| existing.context.clone());
    let is_made = world.things.keys().any(|id| id.kind() == "cluster");
    existing.or_else(|| is_made.then(|| cx.context_name()))
}

/// Without the file nothing can differ from it: what was made is told by how it was seen.
fn as_it_is(world: &World) -> Vec<Item> {
    let seen = world.records().map(|(id, _)| Item::new(id.clone(), Action::None));
    let unseen = world.remembered.keys().filter(|id| !world.things.contains_key(*id));
    let unseen = unseen.filter_map(|id| {
        let place = world.hidden_in(id)?;
        let why = world.blind.get(place).map_or("it is stopped", String::as_str);
        let why = Some(format!("cannot be inspected: {why}"));
        Some(Item { why, ..Item::new(id.clone(), Action::Deferred) })
    });
    let mut items: Vec<Item> = seen.chain(unseen).collect();
    items.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    items
}

/// How one resource is now.
pub fn resource(item: &Item, world: &World) -> ResourceStatus {
    let (state, detail) = match (item.action, world.things.get(&item.id).map(|seen| &seen.state)) {
        (Action::Deferred, _) => (Health::Unknown, item.why.clone()),
        (_, None) => match closed_place(item, world) {
            Some(place) => (Health::Unknown, Some(format!("`{place}` cannot be inspected"))),
            None => (Health::Missing, None),
        },
        (_, Some(State::Stopped)) => (Health::Stopped, None),
        (_, Some(State::Unready(last))) => (Health::Degraded, Some(last.clone())),
        (_, Some(State::Partial)) => (Health::Degraded, Some("half-made".to_owned())),
        (Action::Blocked, Some(_)) => (Health::Degraded, item.why.clone()),
        (Action::None, Some(State::Ready)) => (Health::Ready, None),
        (action, Some(State::Ready)) => {
            (Health::Degraded, Some(format!("`topo diff` shows what to {action}")))
        }
    };
    ResourceStatus { id: item.id.clone(), state, detail }
}

/// What it would be in, where nothing that is in there can be seen.
fn closed_place<'a>(item: &'a Item, world: &'a World) -> Option<&'a Id> {
    let mut places = item.bonds.iter().filter_map(|bond| match bond {
        Bond::Inside(place) | Bond::Holds(place) => Some(place),
        Bond::Uses(_) | Bond::Rests(_) => None,
    });
    places.find(|place| world.is_closed(place)).or_else(|| world.hidden_in(&item.id))
}

/// What its process says, beside what the plan makes of it.
fn tunnel(cx: &Context, item: &Item, world: &World) -> TunnelStatus {
    let ResourceStatus { id, state, detail } = resource(item, world);
    let standing = Tunnel::of(&cx.state, id.name()).standing();
    let is_there = world.things.contains_key(&id);
    let says = is_there.then(|| standing.in_words(SystemTime::now()));
    let detail = if matches!(standing, Standing::Degraded(_)) { says } else { detail.or(says) };
    TunnelStatus { name: id.name().to_owned(), state, detail }
}

fn share(share: resources::Health) -> ShareStatus {
    let (state, detail, finding) = match share.state {
        Doing::Well => (Health::Ready, None, None),
        Doing::Badly(why) => (Health::Degraded, Some(why), None),
        Doing::Fails(finding) => {
            (Health::Degraded, Some(format!("{}: {}", finding.name, finding.saw)), Some(finding))
        }
        Doing::Missing => (Health::Missing, None, None),
        Doing::Unknown(why) => (Health::Unknown, Some(why), None),
    };
    ShareStatus {
        name: share.name,
        via: share.via.to_string(),
        source: share.source,
        claim: Some(share.claim),
        state,
        detail,
        finding: finding.as_ref().map(|finding| finding.name.to_owned()),
        hint: finding.map(|finding| finding.fix),
    }
}

fn pools(world: &World, in_use: Option<&[IpAddr]>) -> Vec<PoolStatus> {
    let mut pools: Vec<PoolStatus> = world
        .things
        .iter()
        .filter(|(id, _)| id.kind() == "pool")
        .map(|(id, seen)| pool(id, seen, in_use))
        .collect();
    pools.sort_by(|a, b| a.name.cmp(&b.name));
    pools
}

fn pool(id: &Id, seen: &Seen, in_use: Option<&[IpAddr]>) -> PoolStatus {
    let written = seen.fields.get("addresses").and_then(Value::as_array);
    let addresses: Vec<String> =
        written.into_iter().flatten().filter_map(|one| Some(one.as_str()?.to_owned())).collect();
    let ranges: Vec<crate::topology::AddressRange> =
        addresses.iter().filter_map(|text| text.parse().ok()).collect();
    let size: u128 = ranges.iter().map(|range| range.count()).sum();
    let is_in_it = |address: &&IpAddr| ranges.iter().any(|range| range.contains(**address));
    let used = in_use.map(|all| all.iter().filter(is_in_it).count() as u64);
    let free = used.map(|used| u64::try_from(size).unwrap_or(u64::MAX).saturating_sub(used));
    PoolStatus { name: id.name().to_owned(), addresses, used, free }
}
