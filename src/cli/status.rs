//! `topo status`: what is up, from one look at the engine and the cluster.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::SystemTime;

use futures::future::join_all;
use serde_json::Value;

use super::StatusArgs;
use super::session::{Planned, Purpose, Session, Wanted, Which};
use crate::backend::host::{self, Reach};
use crate::backend::tunnel::{Standing, Tunnel};
use crate::error::{Error, Exit};
use crate::manifest::Kinds;
use crate::plan::{Action, Id, Item, Owner, Seen, State, World};
use crate::resources::{self, Context, Doing};
use crate::topology::{Port, Proto, Target, Topology};
use crate::view::{
    Health, PoolStatus, PortStatus, ResourceStatus, ShareStatus, Status, TunnelStatus, View,
};

pub async fn status(args: &StatusArgs, view: &mut dyn View) -> Result<Exit, Error> {
    let which = match &args.name {
        Some(name) => Which::Name(name),
        None => Which::File(args.file.path()),
    };
    let session = Session::open(which, Purpose::Look, "topo status", view).await?;
    session.check_claims(true)?;
    let Planned { plan, world, .. } = session.plan(Wanted::default()).await?;
    let services = Services::look(&session).await;
    let ports = match &session.topology {
        Some(topology) => ports(session.cx(), topology, &world, &services).await,
        None => Vec::new(),
    };
    let shares = match &session.topology {
        Some(topology) => resources::healths(session.cx(), topology, &world).await,
        None => Vec::new(),
    };
    view.status(&Status {
        topology: session.name().to_owned(),
        resources: plan
            .items
            .iter()
            .filter(|item| !matches!(item.id.kind(), "port" | "share" | "manifest" | "tunnel"))
            .map(|item| resource(item, world.things.get(&item.id)))
            .collect(),
        ports,
        pools: pools(&world, &services),
        shares: shares.into_iter().map(share).collect(),
        tunnels: plan
            .items
            .iter()
            .filter(|item| item.id.kind() == "tunnel")
            .map(|item| tunnel(session.cx(), item, world.things.get(&item.id)))
            .collect(),
        ..Status::default()
    });
    Ok(Exit::Done)
}

fn resource(item: &Item, seen: Option<&Seen>) -> ResourceStatus {
    let (state, detail) = match (item.action, seen.map(|seen| &seen.state)) {
        (Action::Deferred, _) => (Health::Unknown, item.why.clone()),
        (_, None) => (Health::Missing, None),
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

/// What its process says, beside what the plan makes of it.
fn tunnel(cx: &Context, item: &Item, seen: Option<&Seen>) -> TunnelStatus {
    let ResourceStatus { id, state, detail } = resource(item, seen);
    let standing = Tunnel::of(&cx.state, id.name()).standing();
    let says = seen.map(|_| standing.in_words(SystemTime::now()));
    let detail = if matches!(standing, Standing::Degraded(_)) { says } else { detail.or(says) };
    TunnelStatus { name: id.name().to_owned(), state, detail }
}

/// The ready pods behind each Service and the addresses in use, in two lists.
#[derive(Default)]
struct Services {
    ready_pods: HashMap<String, u32>,
    addresses: Vec<IpAddr>,
}

impl Services {
    /// What cannot be asked is left out, and shown as such.
    async fn look(session: &Session) -> Self {
        let mut services = Self::default();
        let Ok(kube) = session.cx().kube().await else { return services };
        let slices = Kinds::default().named(&"discovery.k8s.io/v1".into(), &"EndpointSlice".into());
        let kind = Kinds::default().named(&"v1".into(), &"Service".into());
        let (slices, all) = tokio::join!(kube.list(&slices, ""), kube.list(&kind, ""));
        for slice in slices.unwrap_or_default() {
            let labels = slice.metadata.labels.as_ref();
            let Some(name) = labels.and_then(|labels| labels.get("kubernetes.io/service-name"))
            else {
                continue;
            };
            let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
            let endpoints = slice.data["endpoints"].as_array().map_or(&[][..], Vec::as_slice);
            let ready = endpoints
                .iter()
                .filter(|endpoint| endpoint["conditions"]["ready"] != false)
                .count();
            *services.ready_pods.entry(format!("{namespace}/{name}")).or_default() +=
                u32::try_from(ready).unwrap_or(u32::MAX);
        }
        for service in all.unwrap_or_default() {
            let ingress = service.data.pointer("/status/loadBalancer/ingress");
            let given = ingress.and_then(Value::as_array).into_iter().flatten();
            let given = given.filter_map(|one| one["ip"].as_str()?.parse::<IpAddr>().ok());
            services.addresses.extend(given);
        }
        services
    }
}

async fn ports(
    cx: &Context,
    topology: &Topology,
    world: &World,
    services: &Services,
) -> Vec<PortStatus> {
    let forwards = topology.ports().iter().map(|port| forward(cx, port, world, services));
    join_all(forwards).await
}

async fn forward(cx: &Context, port: &Port, world: &World, services: &Services) -> PortStatus {
    let listen = port.listen();
    let seen = world.things.get(&Id::new("port", listen));
    let record = seen.and_then(|seen| match &seen.owner {
        Owner::Mine(record) => Some(record),
        Owner::Foreign(_) | Owner::Borrowed => None,
    });
    let target = record.and_then(|record| record.fields.get("target")?.as_str());
    let ready_pods = match &port.to {
        Target::Service { service, .. } => services.ready_pods.get(&service.to_string()).copied(),
        Target::NodePort(_) | Target::Address { .. } => None,
    };
    let door = cx.door(listen.addr).await.filter(|_| listen.proto == Proto::Tcp);
    let tried = match door {
        Some(host) => Some(host::reach(&host, listen.ports.first()).await),
        None => None,
    };
    PortStatus {
        listen: listen.to_string(),
        to: match &port.to {
            Target::Service { .. } => format!("service {}", port.to),
            Target::NodePort(_) | Target::Address { .. } => port.to.to_string(),
        },
        address: target.map(str::to_owned),
        ready_pods,
        reachable: tried.map(|reach| reach == Reach::Answers),
        detail: tried
            .filter(|reach| *reach != Reach::Answers)
            .map(|reach| reach.in_words().to_owned()),
        direct: None,
    }
}

fn share(share: resources::Health) -> ShareStatus {
    let (state, detail) = match share.state {
        Doing::Well => (Health::Ready, None),
        Doing::Badly(why) => (Health::Degraded, Some(why)),
        Doing::Missing => (Health::Missing, None),
        Doing::Unknown(why) => (Health::Unknown, Some(why)),
    };
    ShareStatus {
        name: share.name,
        via: share.via.to_string(),
        source: share.source,
        claim: Some(share.claim),
        state,
        detail,
    }
}

fn pools(world: &World, services: &Services) -> Vec<PoolStatus> {
    let mut pools: Vec<PoolStatus> = world
        .things
        .iter()
        .filter(|(id, _)| id.kind() == "pool")
        .map(|(id, seen)| pool(id, seen, services))
        .collect();
    pools.sort_by(|a, b| a.name.cmp(&b.name));
    pools
}

fn pool(id: &Id, seen: &Seen, services: &Services) -> PoolStatus {
    let written = seen.fields.get("addresses").and_then(Value::as_array);
    let addresses: Vec<String> =
        written.into_iter().flatten().filter_map(|one| Some(one.as_str()?.to_owned())).collect();
    let ranges: Vec<crate::topology::AddressRange> =
        addresses.iter().filter_map(|text| text.parse().ok()).collect();
    let size: u128 = ranges.iter().map(|range| range.count()).sum();
    let used = services
        .addresses
        .iter()
        .filter(|address| ranges.iter().any(|range| range.contains(**address)))
        .count() as u64;
    let free = u64::try_from(size).unwrap_or(u64::MAX).saturating_sub(used);
    PoolStatus { name: id.name().to_owned(), addresses, used, free }
}
