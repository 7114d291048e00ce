//! The Docker network that everything lives on: made by topo, or used as it is.

mod addresses;
mod overlap;

use ipnet::IpNet;
use serde_json::{Value, json};

use addresses::Addresses;
use overlap::overlap;

pub use overlap::{foreign as foreign_routes, foresee};

use crate::backend::docker::{Container, Error, Network, Snapshot};
use crate::backend::host::{self, Route};
use crate::engine::{Failure, Turn, Work};
use crate::plan::{
    Effect, Fields, Id, Origin, Outputs, Owner, Record, Resource, Seen, State, Table, Want, World,
};
use crate::resources::base::claim::Claims;
use crate::resources::base::context::Context;
use crate::resources::base::docker::ownership::{self, CLUSTER_LABEL, Whose};
use crate::resources::base::kind::{Ingredients, ResourceKind};
use crate::resources::base::objection::Objections;
use crate::resources::base::{ids, marks};
use crate::topology::{AddressRange, GatewayMode, Subnet, Topology, Via};

const TABLE: Table = Table {
    effects: &[
        ("subnet", Effect::Replace),
        ("subnet6", Effect::Replace),
        ("ipRange", Effect::Replace),
        ("gateway", Effect::Replace),
        ("gatewayMode", Effect::Replace),
    ],
    precious: |_| true,
    tells: &["subnet", "subnet6", "gateway"],
    ..Table::plain(ids::NETWORK)
};

/// The bridge driver's option; engines before 27 know none and drop nothing.
const GATEWAY_MODE: &str = "com.docker.network.bridge.gateway_mode_ipv4";

/// Two that choose at the same moment choose the same subnet, and one of them chooses again.
const ATTEMPTS: usize = 5;

pub struct NetworkKind;

impl ResourceKind for NetworkKind {
    const TABLE: Table = TABLE;

    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
        Ok(is_needed(from.topology).then(|| desired(from.topology)).into_iter().collect())
    }

    async fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) -> Result<(), Failure> {
        observe(cx, snapshot, world);
        Ok(())
    }

    async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        change(cx, turn).await
    }

    /// What others need of it, once it is there.
    async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        outputs(cx, turn).await
    }
}

/// Whether anything of the file is on it.
fn is_needed(topology: &Topology) -> bool {
    topology.gateway.is_some()
        || topology.connector.is_some()
        || topology.has_share_by(Via::Server)
        || topology.cluster.as_ref().is_some_and(|cluster| !cluster.exists())
        || topology.pools().iter().any(|pool| pool.size.is_some())
}

fn desired(topology: &Topology) -> Resource {
    let network = &topology.network;
    let given = |text: Option<String>| text.map_or(Want::Auto, Want::is);
    let subnet = network.ipv4_subnet();
    let mut resource = Resource::new(ids::network(topology), &TABLE)
        .field("subnet", given(subnet.map(|subnet| subnet.to_string())))
        .field("ipRange", given(network.ip_range.map(|range| range.to_string())))
        .field("gatewayMode", Want::is(network.gateway_mode.as_str()))
        .origin(Origin::Key("network".into()));
    if let Some(gateway) = network.gateway {
        resource = resource.field("gateway", Want::is(gateway.to_string()));
    }
    if network.has_ipv6() {
        let subnet6 = network.ipv6_subnet().map(|subnet| subnet.to_string());
        resource = resource.field("subnet6", given(subnet6));
    }
    resource.protect = network.protect;
    resource
}

/// By its mark, or as what kind puts before several control planes, which takes none.
fn is_own(container: &Container, topology: &str) -> bool {
    ownership::of_container(topology, container) == Whose::Ours
        || container.labels.get(CLUSTER_LABEL).is_some_and(|of| of == topology)
}

/// What keeps the network from being made as the file has it. Its own network, which would go first,
/// is no obstacle, unless others are on it.
pub fn impossible(topology: &Topology, snapshot: &Snapshot) -> Option<String> {
    let name = topology.network_name();
    let is_own_network = |network: &Network| {
        network.name == *name
            || network.labels.get(marks::TOPOLOGY).is_some_and(|of| *of == topology.name.as_str())
    };
    let others = || snapshot.networks.iter().filter(|network| !is_own_network(network));
    let taken = topology.network.subnets().iter().find_map(|subnet| {
        let other = overlapping(others(), subnet.net())?;
        Some(format!(
            "its subnet {subnet} overlaps the network `{}`: choose another `network.subnet`, or leave it out",
            other.name
        ))
    });
    taken.or_else(|| {
        let guest = snapshot.on_network(&name).find(|one| !is_own(one, topology.name.as_str()))?;
        Some(format!(
            "the container `{0}` is on it and does not belong to this topology: disconnect it with `docker network disconnect {name} {0}`",
            guest.name
        ))
    })
}

fn observe(cx: &Context, snapshot: &Snapshot, world: &mut World) {
    let claims = Claims::read(snapshot);
    for network in &snapshot.networks {
        // One that others use by now is used as it is, and goes with the last of them.
        let is_shared = claimed_by_another(cx, &claims, &network.name).is_some();
        if let Some((id, record)) = own_record(cx, network, &claims).filter(|_| !is_shared) {
            world.add(id, look_at(network, Owner::Mine(record)));
        }
    }
    let Some(topology) = cx.file.as_deref() else { return };
    let id = ids::network(topology);
    if let Some(why) = impossible(topology, snapshot) {
        world.impossible.insert(id.clone(), why);
    }
    if world.things.contains_key(&id) {
        return;
    }
    if let Some(network) = snapshot.network(&topology.network_name()) {
        let stranger = not_asked_for(cx, topology, network);
        let owner = match stranger.or_else(|| unfit(topology, network)) {
            Some(why) => Owner::Foreign(why),
            None => Owner::Borrowed,
        };
        world.add(id, look_at(network, owner));
    }
}

/// The record of a network that this topology made, or that was left to it: the one that made a
/// shared network may go first, and the network goes with the last.
fn own_record(cx: &Context, network: &Network, claims: &Claims) -> Option<(Id, Record)> {
    let maker = network.labels.get(marks::TOPOLOGY)?;
    let wanted = cx.file.as_ref().is_some_and(|file| file.network_name() == network.name);
    let is_ours = ownership::of_network(&cx.name, network, claims) == Whose::Ours;
    if is_ours && (wanted || *maker == cx.name) {
        marks::record(maker, &network.labels).filter(|(id, _)| id.name() == network.name)
    } else {
        None
    }
}

fn look_at(network: &Network, owner: Owner) -> Seen {
    let fields = live_fields(network);
    let outputs = fields.clone();
    Seen { fields, outputs, ..Seen::new(owner, State::Ready) }
}

fn live_fields(network: &Network) -> Fields<Value> {
    let mut fields = Fields::new().with("gatewayMode", json!(gateway_mode(network)));
    if let Some(v4) = network.v4() {
        fields.set("subnet", json!(v4.net));
        fields.set("ipRange", v4.range.map_or(Value::Null, |range| json!(range)));
        fields.set("gateway", v4.gateway.map_or(Value::Null, |gateway| json!(gateway)));
    }
    if let Some(v6) = network.v6() {
        fields.set("subnet6", json!(v6.net));
    }
    fields
}

fn gateway_mode(network: &Network) -> &str {
    network.options.get(GATEWAY_MODE).map_or(GatewayMode::Nat.as_str(), String::as_str)
}

/// A network is shared only by files that name it.
fn not_asked_for(cx: &Context, topology: &Topology, network: &Network) -> Option<String> {
    let name = &network.name;
    let is_own = network.labels.get(marks::TOPOLOGY) == Some(&cx.name);
    (topology.network.name.is_none() && !is_own).then(|| {
        format!(
            "a network named `{name}` exists that this topology did not make: remove it with `docker network rm {name}`, or write `network: {{ name: {name} }}` to use it as it is"
        )
    })
}

/// What an existing network lacks for this topology, and what to do about it.
fn unfit(topology: &Topology, network: &Network) -> Option<String> {
    let name = &network.name;
    if network.driver != "bridge" {
        return Some(format!(
            "the network `{name}` exists and has the driver `{}`: only bridge networks carry a cluster; choose another `network.name`",
            network.driver
        ));
    }
    let Some(v4) = network.v4() else {
        return Some(format!(
            "the network `{name}` exists and has no IPv4 subnet: choose another `network.name`"
        ));
    };
    let asked = topology.network.ipv4_subnet().filter(|asked| asked.net() != v4.net);
    if let Some(asked) = asked {
        return Some(format!(
            "the network `{name}` exists with the subnet {}, not {asked}: write that one or choose another `network.name`",
            v4.net
        ));
    }
    let outside = fixed_addresses(topology)
        .into_iter()
        .find(|(_, range)| range.is_ipv4() && !Subnet::of(v4.net).range().covers(*range));
    outside.map(|(what, range)| {
        let range = if range.count() == 1 { range.first().to_string() } else { range.to_string() };
        format!(
            "{what} is {range}, outside of the network `{name}` ({}): write addresses of that subnet or choose another `network.name`",
            v4.net
        )
    })
}

/// Addresses that the file names, and what it calls them.
fn fixed_addresses(topology: &Topology) -> Vec<(String, AddressRange)> {
    let gateway = topology.gateway.as_ref().and_then(|gateway| {
        let address = gateway.address?;
        Some(("`gateway.address`".to_owned(), AddressRange::new(address, address)?))
    });
    let pools = topology.pools().iter().flat_map(|pool| {
        pool.addresses.iter().map(|range| (format!("the pool `{}`", pool.name), *range))
    });
    gateway.into_iter().chain(pools).collect()
}

async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    match turn.work {
        Work::Create => create(cx, turn).await,
        Work::Delete => delete(cx, turn).await,
        Work::Update | Work::Start | Work::Stop | Work::Keep => outputs(cx, turn).await,
    }
}

async fn outputs(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let snapshot = cx.snapshot().await?;
    Ok(snapshot.network(turn.id().name()).map(live_fields).unwrap_or_default())
}

async fn create(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let topology = cx.topology()?;
    let name = turn.id().name();
    let mut refused: Vec<IpNet> = Vec::new();
    loop {
        let snapshot = cx.snapshot().await?;
        if let Some(network) = shared(topology, &snapshot) {
            turn.say("another topology has made it just now");
            return Ok(live_fields(network));
        }
        let mut taken = taken_nets(&snapshot, &host::routes().await);
        taken.extend(&refused);
        let reserved = reserved(cx, name).await;
        let addresses = Addresses::new(topology, &turn.values, &taken, reserved)?;
        turn.say(format!("with the subnet {}", addresses.subnet));
        match cx.docker.create_network(addresses.request(cx, turn)).await {
            Ok(_) => return outputs(cx, turn).await,
            Err(Error::SubnetTaken(_)) if !addresses.was_asked_for && refused.len() < ATTEMPTS => {
                refused.push(addresses.subnet.into());
            }
            Err(_) if shared(topology, &cx.snapshot().await?).is_some() => {}
            Err(error) => {
                let why = format!("cannot make the network `{name}`");
                let failure = Failure::because(why, &error);
                return Err(match (&error, overlapping(snapshot.networks.iter(), addresses.subnet.into())) {
                    (Error::SubnetTaken(_), Some(other)) => failure.hint(format!(
                        "the network `{}` has {}: choose another `network.subnet`, or leave it out",
                        other.name,
                        other.v4().map_or_else(String::new, |v4| v4.net.to_string()),
                    )),
                    _ => failure,
                });
            }
        }
    }
}

/// A network that the file names and that is there by now: two who share one may come together.
fn shared<'a>(topology: &Topology, snapshot: &'a Snapshot) -> Option<&'a Network> {
    let name = topology.network.name.as_ref()?;
    snapshot.network(name.as_str()).filter(|network| unfit(topology, network).is_none())
}

/// Every subnet that is in use: the engine's own networks and this machine's routes.
fn taken_nets(snapshot: &Snapshot, routes: &[Route]) -> Vec<IpNet> {
    let live = snapshot.networks.iter().flat_map(|network| &network.subnets);
    live.map(|subnet| subnet.net).chain(routes.iter().map(|route| route.net)).collect()
}

fn overlapping<'a>(
    mut networks: impl Iterator<Item = &'a Network>,
    wanted: IpNet,
) -> Option<&'a Network> {
    networks.find(|network| network.subnets.iter().any(|subnet| overlap(&subnet.net, &wanted)))
}

/// What this topology has claimed on a network, so that the engine does not hand it out.
async fn reserved(cx: &Context, network: &str) -> Vec<AddressRange> {
    let claim = cx.claim().await;
    let reserved = claim.iter().flat_map(|claim| &claim.reserved);
    let here = reserved.filter(|one| one.network == network);
    here.filter_map(|one| AddressRange::new(one.first, one.last)).collect()
}

/// A shared network goes with whoever leaves last.
async fn delete(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    let name = turn.id().name();
    let snapshot = cx.snapshot().await?;
    let Some(network) = snapshot.network(name) else { return Ok(Outputs::new()) };
    let claims = Claims::read(&snapshot);
    if let Some(other) = claimed_by_another(cx, &claims, name) {
        turn.keep(format!("kept: the topology `{other}` uses it, and removes it when it goes"));
        return Ok(Outputs::new());
    }
    let is_of_another = |container: &&Container| {
        matches!(ownership::of_container(&cx.name, container), Whose::Topology(_))
    };
    let (others, guests): (Vec<&Container>, Vec<&Container>) =
        snapshot.on_network(name).partition(is_of_another);
    if let Some(first) = guests.first().map(|guest| &guest.name) {
        let why = format!("cannot remove the network `{name}`: {} still on it", listed(&guests));
        return Err(Failure::new(why).hint(format!(
            "`docker network disconnect --force {name} {first}` takes it off; then run the command again"
        )));
    }
    if !others.is_empty() {
        turn.keep(format!("kept: {} still on it, and it goes with the last", listed(&others)));
        return Ok(Outputs::new());
    }
    cx.remove_network(network, &claims).await?;
    Ok(Outputs::new())
}

fn listed(containers: &[&Container]) -> String {
    let names: Vec<String> =
        containers.iter().map(|container| format!("`{}`", container.name)).collect();
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

fn claimed_by_another(cx: &Context, claims: &Claims, network: &str) -> Option<String> {
    let uses = |record: &Record| {
        record.fields.get("network").and_then(Value::as_str).is_some_and(|used| used == network)
    };
    let others = claims.current.values().filter(|claim| claim.topology != cx.name);
    let user = others.into_iter().find(|claim| {
        claim.reserved.iter().any(|reserved| reserved.network == network)
            || claim.records.values().any(uses)
    });
    user.map(|claim| claim.topology.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::docker::{Address, ContainerState};

    fn net(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    fn topology(extra: Value) -> Topology {
        let mut file = json!({ "apiVersion": "topo/v1alpha1", "kind": "Topology", "name": "dev" });
        file.as_object_mut().expect("a map").extend(extra.as_object().expect("a map").clone());
        serde_json::from_value(file).expect("a topology")
    }

    #[test]
    fn what_the_file_leaves_open_is_chosen_and_kept() {
        let resource = desired(&topology(json!({ "network": { "ipv6": true } })));
        assert_eq!(resource.id.as_str(), "network/topo-dev");
        assert_eq!(resource.fields.get("subnet"), Some(&Want::Auto));
        assert_eq!(resource.fields.get("subnet6"), Some(&Want::Auto));
        assert_eq!(resource.fields.get("gatewayMode"), Some(&Want::is("nat")));
    }

    #[test]
    fn what_keeps_a_network_from_being_made_is_known_before_the_old_one_goes() {
        let wants = topology(json!({ "network": { "subnet": "172.22.0.0/16" } }));
        let network = |name: &str, subnet: &str| Network {
            name: name.to_owned(),
            subnets: vec![crate::backend::docker::Subnet {
                net: net(subnet),
                range: None,
                gateway: None,
            }],
            ..Network::default()
        };
        let with = |network: Network| Snapshot { networks: vec![network], ..Snapshot::default() };
        assert_eq!(impossible(&wants, &with(network("topo-dev", "172.22.0.0/24"))), None);
        assert_eq!(impossible(&wants, &with(network("other", "172.23.0.0/16"))), None);
        let why = impossible(&wants, &with(network("other", "172.22.7.0/24"))).expect("overlaps");
        assert!(why.starts_with("its subnet 172.22.0.0/16 overlaps the network `other`"), "{why}");

        let guest = |label: &str| {
            let guest = Container {
                id: "1".to_owned(),
                name: "db".to_owned(),
                image: "postgres".to_owned(),
                image_id: String::new(),
                state: ContainerState::Running,
                status: String::new(),
                labels: [(marks::TOPOLOGY.to_owned(), label.to_owned())].into(),
                addresses: [("topo-dev".to_owned(), Address::default())].into(),
                ports: Vec::new(),
                mounts: Vec::default(),
            };
            Snapshot { containers: vec![guest], ..Snapshot::default() }
        };
        assert_eq!(impossible(&wants, &guest("dev")), None);
        let why = impossible(&wants, &guest("another")).expect("a stranger is on it");
        assert!(why.contains("`docker network disconnect topo-dev db`"), "{why}");
    }

    #[test]
    fn an_existing_network_is_used_only_if_it_serves() {
        let existing = |subnet: &str| Network {
            name: "kind".to_owned(),
            driver: "bridge".to_owned(),
            subnets: vec![crate::backend::docker::Subnet {
                net: net(subnet),
                range: None,
                gateway: None,
            }],
            ..Network::default()
        };
        let wants = topology(json!({
            "network": { "name": "kind" },
            "gateway": { "address": "172.22.0.12" },
        }));
        assert_eq!(unfit(&wants, &existing("172.22.0.0/16")), None);
        let why = unfit(&wants, &existing("172.18.0.0/16")).expect("it does not");
        assert!(why.starts_with("`gateway.address` is 172.22.0.12, outside of"), "{why}");
        let wants = topology(json!({ "network": { "name": "kind", "subnet": "172.22.0.0/16" } }));
        let why = unfit(&wants, &existing("172.18.0.0/16")).expect("it does not");
        assert!(why.contains("with the subnet 172.18.0.0/16, not 172.22.0.0/16"), "{why}");
        let overlay = Network { driver: "overlay".to_owned(), ..existing("172.22.0.0/16") };
        assert!(unfit(&wants, &overlay).is_some());
    }
}
