//! Address pools of MetalLB: each an `IPAddressPool` and the `L2Advertisement` that announces it.

mod carve;
mod gaps;
mod leaving;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::backend::kube::{Apply, Deadline, Kube, KubeError, Target, WaitError};
use crate::engine::{Failure, Turn, Work};
use crate::manifest::{Kind, Kinds};
use crate::plan::{
    Action, Bond, Fields, Id, Item, Origin, Outputs, Plan, Record, Resource, Seen, Span, State,
    Table, Want, World,
};
use crate::resources::base::claim::Reservation;
use crate::resources::base::context::Context;
use crate::resources::base::holdings::Holdings;
use crate::resources::base::in_cluster::in_cluster;
use crate::resources::base::kind::{Ingredients, MadeFrom, ResourceKind};
use crate::resources::base::kube::inside::{Inside, Listed, unseen};
use crate::resources::base::kube::listing::{self, Listing};
use crate::resources::base::kube::service;
use crate::resources::base::objection::Objections;
use crate::resources::base::rendered::{Part, Rendered};
use crate::resources::base::{ids, marks};
use crate::resources::metallb;
use crate::topology::{self, AddressRange, Pool, Subnet, Topology};

use gaps::Gaps;
pub use leaving::{Leaving, Pools};

const TABLE: Table = Table { tells: &["addresses", "size"], ..Table::plain(ids::POOL) };

/// MetalLB's webhook may be away for a moment, while its controller is replaced.
const WEBHOOK: Duration = Duration::from_mins(1);
const GONE: Duration = Duration::from_secs(30);
/// Only one pool may hold an address, whatever the network.
const SPACE: &str = "metallb";

pub struct PoolKind;

impl ResourceKind for PoolKind {
    const TABLE: Table = TABLE;

    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
        Ok(desired(from.topology))
    }

    fn holds(topology: &Topology) -> Holdings {
        let network = topology.network_name();
        let addresses = topology.pools().iter().flat_map(|pool| {
            let by = ids::pool(pool.name.as_str());
            let reserve = |range: &AddressRange| Reservation::new(&network, *range, &by);
            pool.addresses.iter().map(reserve).collect::<Vec<_>>()
        });
        Holdings { addresses: addresses.collect(), ..Holdings::default() }
    }

    fn rendered(
        from: &Ingredients,
        part: Part,
        _show_secrets: bool,
    ) -> Result<Vec<Rendered>, Failure> {
        Ok(match part {
            Part::Metallb => Rendered::objects("metallb", rendered(from.topology)),
            _ => Vec::new(),
        })
    }

    fn lists(_: &Context) -> Vec<Listed> {
        kinds().into_iter().map(Listed::of_all).collect()
    }

    async fn observe_inside(inside: &Inside<'_>, world: &mut World) -> Result<(), Failure> {
        observe(inside.cx, &inside.found, world);
        Ok(())
    }

    async fn explain(cx: &Context, plan: &mut Plan, from: &MadeFrom<'_>) -> Result<(), Failure> {
        explain(cx, plan, from).await
    }

    async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        change(cx, turn).await
    }

    async fn wait(_: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        let addresses = turn.value("addresses").filter(|_| turn.work == Work::Keep);
        Ok(addresses.map_or_else(Outputs::new, |all| Outputs::new().with("addresses", all.clone())))
    }
}

fn desired(topology: &Topology) -> Vec<Resource> {
    topology.pools().iter().enumerate().map(|(at, pool)| resource(topology, at, pool)).collect()
}

fn resource(topology: &Topology, at: usize, pool: &Pool) -> Resource {
    let mut resource = Resource::new(ids::pool(pool.name.as_str()), &TABLE)
        .field("autoAssign", Want::is(pool.auto_assign))
        .field("avoidBuggyIPs", Want::is(pool.avoid_buggy_ips))
        .field("advertised", Want::is(true))
        .bond(Bond::Uses(ids::metallb()))
        .origin(Origin::Key(format!("metallb.pools.{at}").into()));
    resource = in_cluster(resource, topology);
    if let Some(size) = pool.size {
        // Chosen when its turn comes, away from what others have reserved by then, and kept.
        let network = ids::network(topology);
        let subnet = topology
            .network
            .ipv4_subnet()
            .map_or(Want::After(network.clone(), "subnet"), |subnet| Want::is(subnet.to_string()));
        resource
            .field("addresses", Want::Auto)
            .field("size", Want::is(size))
            .field("subnet", subnet)
            .bond(Bond::Uses(network))
    } else {
        resource.takes = spans(&pool.addresses);
        resource.field("addresses", Want::is(pool.written()))
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn spans(ranges: &[AddressRange]) -> Vec<Span> {
    let span = |range: &AddressRange| Span {
        space: SPACE.into(),
        first: number(range.first()),
        last: number(range.last()),
    };
    ranges.iter().map(span).collect()
}

fn hold(ranges: &[AddressRange], address: IpAddr) -> bool {
    ranges.iter().any(|range| range.contains(address))
}

fn ranges(value: Option<&Value>) -> Vec<AddressRange> {
    let texts = value.and_then(Value::as_array).into_iter().flatten();
    texts.filter_map(|text| text.as_str()?.parse().ok()).collect()
}

/// Sees the pools of this topology, and those of others that stand in the way of one of them.
fn observe(cx: &Context, live: &Listing, world: &mut World) {
    let [pool_kind, advertisement_kind] = kinds();
    let advertised: BTreeSet<&str> = live
        .of(&advertisement_kind)
        .filter(|object| marks::is_mine(object, &cx.name))
        .filter_map(|object| object.data.pointer("/spec/ipAddressPools")?.as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for object in live.of(&pool_kind) {
        let Some(name) = object.metadata.name.as_deref() else { continue };
        let target = target(&pool_kind, name);
        let mut is_advertised = advertised.contains(name);
        let mut seen = if marks::is_mine(object, &cx.name) {
            Seen::mine(marks::kube_record(object).unwrap_or_default())
        } else {
            let mut own = live.of(&advertisement_kind);
            let own = own.find(|one| one.metadata.name.as_deref() == Some(name));
            let own = own.filter(|one| !marks::is_mine(one, &cx.name));
            is_advertised |= own.is_some();
            stranger(object, &target, own)
        };
        let spec = &object.data["spec"];
        seen.fields = Fields::new()
            .with("addresses", spec["addresses"].clone())
            .with("autoAssign", spec.get("autoAssign").cloned().unwrap_or(json!(true)))
            .with("avoidBuggyIPs", spec.get("avoidBuggyIPs").cloned().unwrap_or(json!(false)))
            .with("advertised", json!(is_advertised));
        seen.outputs = Outputs::new().with("addresses", spec["addresses"].clone());
        seen.holds = spans(&ranges(spec.get("addresses")));
        if object.metadata.deletion_timestamp.is_some() {
            seen.state = State::Unready("it is being deleted".to_owned());
        }
        let wanted_or_mine = marks::is_mine(object, &cx.name)
            || cx
                .file
                .as_ref()
                .is_some_and(|file| file.pools().iter().any(|pool| pool.name.as_str() == name));
        if wanted_or_mine {
            world.add(ids::pool(name), seen);
        }
    }
}

/// A pool that topo did not make. It is taken over with the advertisement of its name, which must
/// announce it alone: others would lose theirs.
fn stranger(pool: &DynamicObject, target: &Target<'_>, own: Option<&DynamicObject>) -> Seen {
    let mut seen = listing::stranger(pool, target, &ids::pool(target.name));
    let Some(own) = own.filter(|_| !seen.uids.is_empty()) else { return seen };
    let is_free = marks::topology(own).is_none();
    match &own.metadata.uid {
        Some(uid) if is_free && own.data["spec"] == json!({"ipAddressPools": [target.name]}) => {
            seen.uids.push(uid.clone());
            seen
        }
        _ => Seen::foreign(format!(
            "{}; its L2Advertisement `{}` is not for this pool alone, so topo cannot take it over",
            listing::foreign(pool, target),
            target.name
        )),
    }
}

async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    match turn.work {
        Work::Create | Work::Update => apply(cx, turn).await,
        Work::Delete => delete(cx, turn).await,
        Work::Start | Work::Stop | Work::Keep => Ok(Outputs::new()),
    }
}

async fn apply(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let Some(resource) = turn.resource.as_deref() else { return Ok(Outputs::new()) };
    let name = turn.id().name();
    let kube = cx.kube().await?;
    let mut values = turn.values.clone();
    let ranges = addresses(cx, turn).await?;
    let addresses: Value = ranges.iter().map(ToString::to_string).collect();
    values.set("addresses", addresses.clone());
    let record = Record::of(resource, &values);

    let [pool_kind, advertisement_kind] = kinds();
    for kind in [&pool_kind, &advertisement_kind] {
        let target = target(kind, name);
        let there = kube.get(&target).await.map_err(|error| failed(turn.id(), &error))?;
        if let Some(there) = there.filter(|it| !marks::may_write(it, &cx.name, &turn.item)) {
            return Err(Failure::new(listing::foreign(&there, &target)));
        }
    }
    let [mut pool, mut advertisement] = bodies(name, &values);
    marks::stamp(&mut pool, &cx.name, turn.id());
    marks::stamp_record(&mut pool, &record);
    marks::stamp(&mut advertisement, &cx.name, turn.id());
    try_join(
        send(&kube, turn, &pool_kind, &pool),
        send(&kube, turn, &advertisement_kind, &advertisement),
    )
    .await?;
    if let Some(away) = cx.run::<Gaps>().end(&ranges) {
        turn.warn(format!(
            "addresses of it were in no pool for {:.1} s; Services that asked for none may have others now",
            away.as_secs_f64()
        ));
    }
    Ok(Outputs::new().with("addresses", addresses))
}

/// The pool and its advertisement.
fn bodies(name: &str, values: &Fields<Value>) -> [Value; 2] {
    let metadata = json!({"name": name, "namespace": metallb::NAMESPACE});
    [
        json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
            "metadata": metadata,
            "spec": {
                "addresses": values.get("addresses"),
                "autoAssign": values.get("autoAssign"),
                "avoidBuggyIPs": values.get("avoidBuggyIPs"),
            },
        }),
        json!({
            "apiVersion": "metallb.io/v1beta1", "kind": "L2Advertisement",
            "metadata": metadata,
            "spec": {"ipAddressPools": [name]},
        }),
    ]
}

/// The objects of all pools whose addresses the file writes out.
fn rendered(topology: &Topology) -> Vec<Value> {
    desired(topology)
        .iter()
        .filter(|pool| matches!(pool.fields.get("addresses"), Some(Want::Is(_))))
        .flat_map(|pool| {
            let known = pool.fields.iter().filter_map(|(name, want)| match want {
                Want::Is(value) => Some((name.clone(), value.clone())),
                Want::Auto | Want::After(..) => None,
            });
            let values: Fields<Value> = known.collect();
            bodies(pool.id.name(), &values)
        })
        .collect()
}

/// A pool is topo's whole: what others changed of it is taken back.
async fn send(kube: &Kube, turn: &Turn, kind: &Kind, body: &Value) -> Result<(), Failure> {
    let target = target(kind, turn.id().name());
    let how = Apply { force: true, dry_run: false };
    let sent = kube
        .persist(
            Deadline::after(turn.patience(WEBHOOK)),
            |said| turn.say(said),
            || kube.apply(&target, body, how),
        )
        .await;
    match sent {
        Ok(_) => Ok(()),
        Err(WaitError::Kube(error)) => Err(failed(turn.id(), &error)),
        Err(error) => Err(Failure::because(format!("MetalLB did not take {}", turn.id()), &error)),
    }
}

/// Those of the file, or as many as it asks for out of the network; reserved either way.
async fn addresses(cx: &Context, turn: &Turn) -> Result<Vec<AddressRange>, Failure> {
    let topology = cx.topology()?;
    let network = topology.network_name();
    let Some(size) = turn.value("size").and_then(Value::as_u64) else {
        let written = ranges(turn.value("addresses"));
        let reserved = written.iter().map(|range| Reservation::new(&network, *range, turn.id()));
        cx.hold(turn.id(), reserved.collect()).await?;
        return Ok(written);
    };
    let subnet: Subnet = turn
        .text("subnet")
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Failure::new("the network has no subnet to take addresses from"))?;
    let recorded = turn.record.as_ref().map(|record| &record.fields);
    let same_subnet = recorded.and_then(|fields| fields.get("subnet")) == turn.value("subnet");
    let had = recorded.filter(|_| same_subnet).and_then(|fields| fields.get("addresses"));
    let had = ranges(had);
    let named = topology::reserved(topology);
    let choose = |taken: &[AddressRange]| {
        let taken = [taken, &named].concat();
        carve::resized(subnet, &had, size, &taken).map_err(|no_room| {
            Failure::because(format!("{subnet} has no room for {size} addresses"), &no_room)
                .hint("write a smaller `size`, or `addresses` of your own choice")
        })
    };
    cx.reserve(turn.id(), &network, choose).await
}

async fn delete(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let kube = cx.kube().await?;
    let [pool_kind, advertisement_kind] = kinds();
    for kind in [&advertisement_kind, &pool_kind] {
        let target = target(kind, turn.id().name());
        let there = kube.get(&target).await.map_err(|error| failed(turn.id(), &error))?;
        let Some(there) = there.filter(|there| marks::is_mine(there, &cx.name)) else { continue };
        let uid = there.metadata.uid.as_deref();
        kube.delete(&target, uid).await.map_err(|error| failed(turn.id(), &error))?;
        kube.until_gone(&target, uid, Deadline::after(turn.patience(GONE)))
            .await
            .map_err(|error| Failure::because(format!("{} does not go", turn.id()), &error))?;
    }
    let recorded = turn.record.as_ref().and_then(|record| record.fields.get("addresses"));
    cx.run::<Gaps>().begin(ranges(recorded));
    cx.hold(turn.id(), Vec::new()).await?;
    Ok(Outputs::new())
}

fn failed(id: &Id, error: &KubeError) -> Failure {
    Failure::because(format!("cannot change {id}"), error)
}

/// Services that have such an address: `default/web (172.22.255.201)`.
fn users(services: &[DynamicObject], is_meant: impl Fn(IpAddr) -> bool) -> Vec<String> {
    let mut users: Vec<String> = services
        .iter()
        .flat_map(|service| service::addresses(&service.data).map(move |at| (service, at)))
        .filter(|(_, address)| address.parse().is_ok_and(&is_meant))
        .map(|(service, address)| {
            let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
            let name = service.metadata.name.as_deref().unwrap_or_default();
            format!("{namespace}/{name} ({address})")
        })
        .collect();
    users.sort_unstable();
    users
}

/// What Services lose by it, and which of them wait for another address.
async fn explain(cx: &Context, plan: &mut Plan, from: &MadeFrom<'_>) -> Result<(), Failure> {
    let changes = |item: &Item| {
        item.id.kind() == ids::POOL && matches!(item.action, Action::Update | Action::Delete)
    };
    if !plan.items.iter().any(changes) {
        return Ok(());
    }
    let kube = cx.kube().await?;
    let kind = Kinds::default().named(&"v1".into(), &"Service".into());
    let services = kube.list(&kind, "").await.map_err(unseen)?;
    for item in plan.items.iter_mut().filter(|item| changes(item)) {
        if let Some(seen) = from.world.things.get(&item.id) {
            warn_of_losses(item, from.desired.get(&item.id).copied(), seen, &services);
        }
    }
    let losers = Leaving::of(cx.file.as_deref(), from.world).losers(&services, &cx.name);
    for item in plan.items.iter_mut().filter(|item| item.action == Action::None) {
        if let Some(address) = losers.get(&item.id) {
            item.waits = Some(format!("{address} leaves its pool"));
        }
    }
    Ok(())
}

/// Asks first where Services would lose the addresses that they have.
fn warn_of_losses(
    item: &mut Item,
    wanted: Option<&Resource>,
    seen: &Seen,
    services: &[DynamicObject],
) {
    let had = ranges(seen.fields.get("addresses"));
    let kept = wanted.map_or_else(Vec::new, |wanted| kept_by(wanted, &had));
    let losers = users(services, |address| hold(&had, address) && !hold(&kept, address));
    if !losers.is_empty() {
        let lost = format!("takes the addresses of {} away", losers.join(", "));
        item.asks = Some(match item.asks.take() {
            Some(asks) => format!("{asks}; {lost}"),
            None => lost,
        });
    }
}

/// The addresses that a pool will have of those that it has.
fn kept_by(wanted: &Resource, had: &[AddressRange]) -> Vec<AddressRange> {
    match (wanted.fields.get("addresses"), wanted.fields.get("size")) {
        (Some(Want::Is(addresses)), _) => ranges(Some(addresses)),
        (_, Some(Want::Is(size))) => carve::highest(had, size.as_u64().unwrap_or_default()),
        _ => had.to_vec(),
    }
}

fn target<'a>(kind: &'a Kind, name: &'a str) -> Target<'a> {
    Target { kind, namespace: Some(metallb::NAMESPACE), name }
}

fn kinds() -> [Arc<Kind>; 2] {
    let named = |kind: &str| Kinds::default().named(&"metallb.io/v1beta1".into(), &kind.into());
    [named("IPAddressPool"), named("L2Advertisement")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Owner;

    fn topology(pools: &str) -> Topology {
        serde_yaml::from_str(&format!(
            "name: dev\nnetwork: {{subnet: 172.22.0.0/16}}\ngateway: {{address: 172.22.255.254}}\n\
             metallb: {{pools: {pools}}}\n"
        ))
        .expect("a topology")
    }

    fn addresses(resource: &Resource) -> Vec<String> {
        match resource.fields.get("addresses") {
            Some(Want::Is(value)) => {
                serde_json::from_value(value.clone()).expect("a list of addresses")
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn written_addresses_are_taken_as_they_are() {
        let pools = desired(&topology("[{name: a, addresses: [172.22.255.200-172.22.255.250]}]"));
        assert_eq!(addresses(&pools[0]), ["172.22.255.200-172.22.255.250"]);
        assert_eq!(pools[0].takes.len(), 1);
        assert_eq!(pools[0].takes[0].last - pools[0].takes[0].first, 50);
    }

    #[test]
    fn a_size_is_chosen_when_the_network_is_known() {
        let pools = desired(&topology("[{name: a, size: 3}]"));
        assert_eq!(pools[0].fields.get("addresses"), Some(&Want::Auto));
        assert_eq!(pools[0].fields.get("subnet"), Some(&Want::is("172.22.0.0/16")));
    }

    #[test]
    fn a_pool_is_taken_over_only_with_an_advertisement_of_its_own() {
        let object = |uid: &str, labels: Value, spec: Value| -> DynamicObject {
            let metadata = json!({"name": "a", "uid": uid, "labels": labels});
            serde_json::from_value(json!({"metadata": metadata, "spec": spec})).expect("an object")
        };
        let [kind, _] = kinds();
        let seen = |pool: &DynamicObject, own: Option<&DynamicObject>| {
            let seen = stranger(pool, &target(&kind, "a"), own);
            let Owner::Foreign(whose) = seen.owner else { panic!("{:?}", seen.owner) };
            assert_eq!(whose.contains("`--take pool/a`"), !seen.uids.is_empty(), "{whose}");
            seen.uids
        };
        let pool = object("1", json!({}), json!({}));
        let own = |spec| object("2", json!({}), spec);
        assert_eq!(seen(&pool, None), ["1"]);
        assert_eq!(seen(&pool, Some(&own(json!({"ipAddressPools": ["a"]})))), ["1", "2"]);
        for spec in [
            json!({}),
            json!({"ipAddressPools": ["a", "b"]}),
            json!({"ipAddressPools": ["a"], "interfaces": ["eth1"]}),
        ] {
            assert!(seen(&pool, Some(&own(spec.clone()))).is_empty(), "{spec}");
        }
        let others = json!({marks::KUBE_TOPOLOGY: "other"});
        let theirs = object("2", others.clone(), json!({"ipAddressPools": ["a"]}));
        assert!(seen(&pool, Some(&theirs)).is_empty());
        assert!(seen(&object("1", others, json!({})), None).is_empty());
    }

    #[test]
    fn services_that_lose_their_address_are_named() {
        let service: DynamicObject = serde_json::from_value(json!({
            "metadata": {"namespace": "default", "name": "web"},
            "status": {"loadBalancer": {"ingress": [{"ip": "172.22.255.250"}]}},
        }))
        .expect("a Service");
        let mut seen = Seen::mine(Record::default());
        seen.fields.set("addresses", json!(["172.22.255.200-172.22.255.250"]));
        let asks = |pools: &str| {
            let wanted = desired(&topology(pools));
            let mut item = Item::new(wanted[0].id.clone(), Action::Update);
            warn_of_losses(&mut item, wanted.first(), &seen, std::slice::from_ref(&service));
            item.asks
        };
        assert_eq!(
            asks("[{name: a, addresses: [172.22.255.200-172.22.255.249]}]").as_deref(),
            Some("takes the addresses of default/web (172.22.255.250) away")
        );
        assert_eq!(asks("[{name: a, addresses: [172.22.255.210-172.22.255.250]}]"), None);
        assert_eq!(asks("[{name: a, size: 1}]"), None, "the highest address stays");
        assert!(asks("[{name: a, size: 0}]").is_some());
    }
}
