//! Address pools of MetalLB: each an `IPAddressPool` and the `L2Advertisement` that announces it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::live::Live;
use super::{Context, marks, metallb, object, service, stages};
use crate::backend::kube::{Apply, Deadline, Kube, KubeError, Target, WaitError};
use crate::engine::{Failure, Turn, Work};
use crate::manifest::{Kind, Kinds};
use crate::plan::{
    Bond, Fields, Id, Item, Origin, Outputs, Record, Resource, Seen, Span, State, Table, Want,
    World,
};
use crate::topology::{AddressRange, Pool, Subnet, Topology};

pub const TABLE: Table = Table::plain("pool");

/// MetalLB's webhook may be away for a moment, while its controller is replaced.
const WEBHOOK: Duration = Duration::from_mins(1);
const GONE: Duration = Duration::from_secs(30);
/// Only one pool may hold an address, whatever the network.
const SPACE: &str = "metallb";

pub fn id(name: &str) -> Id {
    Id::new(TABLE.kind, name)
}

/// The addresses of a pool as the file writes them, as MetalLB reads them.
pub fn written(pool: &Pool) -> Vec<String> {
    pool.addresses.iter().map(ToString::to_string).collect()
}

pub fn desired(topology: &Topology) -> Vec<Resource> {
    let carved = topology.network.ipv4_subnet().map(|subnet| carve(topology, subnet));
    let pools = topology.pools().iter().enumerate();
    pools.map(|(at, pool)| resource(topology, at, pool, carved.as_ref())).collect()
}

fn resource(
    topology: &Topology,
    at: usize,
    pool: &Pool,
    carved: Option<&BTreeMap<String, Vec<AddressRange>>>,
) -> Resource {
    let carved = carved.and_then(|carved| carved.get(pool.name.as_str()));
    let ranges = carved.map_or(pool.addresses.as_slice(), Vec::as_slice);
    let mut resource = Resource::new(id(pool.name.as_str()), &TABLE)
        .field("autoAssign", Want::is(pool.auto_assign))
        .field("avoidBuggyIPs", Want::is(pool.avoid_buggy_ips))
        .field("advertised", Want::is(true))
        .bond(Bond::Uses(metallb::id()))
        .origin(Origin::Key(format!("metallb.pools.{at}").into()));
    if ranges.is_empty() {
        // The network's subnet is not known before it is made.
        let network = Id::new("network", topology.network_name());
        resource = resource
            .field("addresses", Want::Auto)
            .field("size", Want::is(pool.size))
            .field("subnet", Want::After(network.clone(), "subnet"))
            .bond(Bond::Uses(network));
    } else {
        let texts: Vec<String> = ranges.iter().map(ToString::to_string).collect();
        resource = resource.field("addresses", Want::is(texts));
        resource.takes = spans(ranges);
    }
    stages::in_cluster(resource, topology)
}

/// Addresses for the pools that say only how many: from the top of the subnet downwards, past what
/// the file gives to others, never one that ends in .0 or .255.
pub fn carve(topology: &Topology, subnet: Subnet) -> BTreeMap<String, Vec<AddressRange>> {
    let mut taken: Vec<AddressRange> =
        topology.pools().iter().flat_map(|pool| pool.addresses.iter().copied()).collect();
    let gateway = topology.gateway.as_ref().and_then(|gateway| gateway.address);
    let single = |address: IpAddr| AddressRange::new(address, address);
    taken.extend(gateway.and_then(single));
    taken.extend(single(topology.network.gateway_in(subnet)));

    let range = subnet.range();
    let mut free = (0..range.count())
        .rev()
        .filter_map(move |offset| range.nth(offset))
        .filter(|address| !ends_badly(*address) && *address != range.first())
        .filter(|address| !taken.iter().any(|range| range.contains(*address)));
    topology
        .pools()
        .iter()
        .filter_map(|pool| {
            let size = usize::try_from(pool.size?).ok()?;
            let mut picked: Vec<IpAddr> = free.by_ref().take(size).collect();
            picked.reverse();
            Some((pool.name.to_string(), joined(&picked)))
        })
        .collect()
}

fn ends_badly(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if matches!(address.octets()[3], 0 | 255))
}

/// Runs of neighbouring addresses as ranges; the addresses are sorted.
fn joined(addresses: &[IpAddr]) -> Vec<AddressRange> {
    addresses
        .chunk_by(|a, b| number(*b) == number(*a) + 1)
        .filter_map(|run| AddressRange::new(*run.first()?, *run.last()?))
        .collect()
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

fn ranges(value: Option<&Value>) -> Vec<AddressRange> {
    let texts = value.and_then(Value::as_array).into_iter().flatten();
    texts.filter_map(|text| text.as_str()?.parse().ok()).collect()
}

/// Sees the pools of this topology, and those of others that stand in the way of one of them.
pub fn observe(cx: &Context, live: &Live, world: &mut World) {
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
        let mut seen = if marks::is_mine(object, &cx.name) {
            Seen::mine(marks::kube_record(object).unwrap_or_default())
        } else {
            Seen::foreign(object::foreign(object, &target))
        };
        let spec = &object.data["spec"];
        seen.fields = Fields::new()
            .with("addresses", spec["addresses"].clone())
            .with("autoAssign", spec.get("autoAssign").cloned().unwrap_or(json!(true)))
            .with("avoidBuggyIPs", spec.get("avoidBuggyIPs").cloned().unwrap_or(json!(false)))
            .with("advertised", json!(advertised.contains(name)));
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
            world.add(id(name), seen);
        }
    }
}

pub async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    match turn.work {
        Work::Create | Work::Update => apply(cx, turn).await,
        Work::Delete => delete(cx, turn).await,
        Work::Start | Work::Keep => Ok(Outputs::new()),
    }
}

async fn apply(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let Some(resource) = turn.resource.as_deref() else { return Ok(Outputs::new()) };
    let name = turn.id().name();
    let kube = cx.kube().await?;
    let mut values = turn.values.clone();
    let addresses = addresses(cx, turn)?;
    values.set("addresses", addresses.clone());
    let record = Record::of(resource, &values, &cx.key);

    let [pool_kind, advertisement_kind] = kinds();
    for kind in [&pool_kind, &advertisement_kind] {
        let target = target(kind, name);
        let there = kube.get(&target).await.map_err(|error| failed(turn.id(), &error))?;
        if let Some(there) = there.filter(|there| !marks::is_mine(there, &cx.name)) {
            return Err(Failure::new(object::foreign(&there, &target)));
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

/// The objects of all pools whose addresses are known before the network is made.
pub fn rendered(topology: &Topology) -> Vec<Value> {
    desired(topology)
        .iter()
        .filter(|pool| matches!(pool.fields.get("addresses"), Some(Want::Is(_))))
        .flat_map(|pool| {
            let known = pool.fields.iter().filter_map(|(name, want)| match want {
                Want::Is(value) => Some((name.clone(), value.clone())),
                Want::Secret(_) | Want::Auto | Want::After(..) => None,
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
        .persist(Deadline::after(WEBHOOK), |said| turn.say(said), || kube.apply(&target, body, how))
        .await;
    match sent {
        Ok(_) => Ok(()),
        Err(WaitError::Kube(error)) => Err(failed(turn.id(), &error)),
        Err(error) => Err(Failure::because(format!("MetalLB did not take {}", turn.id()), &error)),
    }
}

/// Those of the file, those that were carved before, or new ones out of the network.
fn addresses(cx: &Context, turn: &Turn) -> Result<Value, Failure> {
    let recorded = turn.record.as_ref().map(|record| &record.fields);
    let same_size = recorded.and_then(|fields| fields.get("size")) == turn.value("size");
    if let Some(addresses) = turn.value("addresses").filter(|_| same_size) {
        return Ok(addresses.clone());
    }
    let subnet: Subnet = turn
        .text("subnet")
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Failure::new("the network has no subnet to take addresses from"))?;
    let carved = carve(cx.topology()?, subnet).remove(turn.id().name()).unwrap_or_default();
    Ok(carved.iter().map(ToString::to_string).collect::<Vec<_>>().into())
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
        kube.until_gone(&target, uid, Deadline::after(GONE))
            .await
            .map_err(|error| Failure::because(format!("{} does not go", turn.id()), &error))?;
    }
    Ok(Outputs::new())
}

#[allow(clippy::unused_async, reason = "the shape that every kind has")]
pub async fn wait(_cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let addresses = turn.value("addresses").filter(|_| turn.work == Work::Keep);
    Ok(addresses.map_or_else(Outputs::new, |all| Outputs::new().with("addresses", all.clone())))
}

fn failed(id: &Id, error: &KubeError) -> Failure {
    Failure::because(format!("cannot change {id}"), error)
}

/// Services that have an address out of these ranges: `default/web (172.22.255.201)`.
pub fn users(services: &[DynamicObject], ranges: &[AddressRange]) -> Vec<String> {
    let mut users: Vec<String> = services
        .iter()
        .filter_map(|service| {
            let address = service::address(&service.data)?;
            let parsed: IpAddr = address.parse().ok()?;
            ranges.iter().any(|range| range.contains(parsed)).then(|| {
                let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
                let name = service.metadata.name.as_deref().unwrap_or_default();
                format!("{namespace}/{name} ({address})")
            })
        })
        .collect();
    users.sort_unstable();
    users
}

/// Asks first where Services would lose the addresses that they have.
pub fn warn_of_losses(
    item: &mut Item,
    wanted: Option<&Resource>,
    seen: &Seen,
    services: &[DynamicObject],
) {
    let kept = wanted.map_or_else(Vec::new, |wanted| match wanted.fields.get("addresses") {
        Some(Want::Is(addresses)) => ranges(Some(addresses)),
        _ => ranges(seen.fields.get("addresses")),
    });
    let had = ranges(seen.fields.get("addresses"));
    let losing: Vec<DynamicObject> = services
        .iter()
        .filter(|service| {
            let address = service::address(&service.data).and_then(|text| text.parse().ok());
            address.is_some_and(|address| !kept.iter().any(|range| range.contains(address)))
        })
        .cloned()
        .collect();
    let users = users(&losing, &had);
    if !users.is_empty() {
        item.asks = Some(format!("takes the addresses of {} away", users.join(", ")));
    }
}

fn target<'a>(kind: &'a Kind, name: &'a str) -> Target<'a> {
    Target { kind, namespace: Some(metallb::NAMESPACE), name }
}

pub fn kinds() -> [Arc<Kind>; 2] {
    let named = |kind: &str| Kinds::default().named(&"metallb.io/v1beta1".into(), &kind.into());
    [named("IPAddressPool"), named("L2Advertisement")]
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn sizes_are_carved_from_the_top_around_what_is_taken() {
        let pools = desired(&topology(
            "[{name: a, size: 3}, {name: b, addresses: [172.22.255.240-172.22.255.250]}, {name: c, size: 300}]",
        ));
        assert_eq!(addresses(&pools[0]), ["172.22.255.251-172.22.255.253"]);
        assert_eq!(
            addresses(&pools[2]),
            ["172.22.254.194-172.22.254.254", "172.22.255.1-172.22.255.239"]
        );
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
            let mut item = Item::new(wanted[0].id.clone(), crate::plan::Action::Update);
            warn_of_losses(&mut item, wanted.first(), &seen, std::slice::from_ref(&service));
            item.asks
        };
        assert_eq!(
            asks("[{name: a, addresses: [172.22.255.200-172.22.255.249]}]").as_deref(),
            Some("takes the addresses of default/web (172.22.255.250) away")
        );
        assert_eq!(asks("[{name: a, addresses: [172.22.255.210-172.22.255.250]}]"), None);
    }
}
