//! The one place that knows every kind of resource: the list of them, and what is done to all.

use std::collections::HashSet;

use futures::future::{BoxFuture, join_all};

use crate::backend::docker::{self, Happening, Snapshot};
use crate::engine::{Driver, Failure, Turn};
use crate::plan::{Action, Bond, Id, Item, Outputs, Plan, Resource, Table, World};
use crate::resources::base::claim::Reservation;
use crate::resources::base::context::Context;
use crate::resources::base::docker::ownership::CLUSTER_LABEL;
use crate::resources::base::holdings::Holdings;
use crate::resources::base::kind::{Ingredients, MadeFrom, ResourceKind};
use crate::resources::base::kube::inside::{Inside, Listed};
use crate::resources::base::objection::Objections;
use crate::resources::base::pins::Pin;
use crate::resources::base::rendered::{Part, Rendered};
use crate::resources::base::{ids, marks};
use crate::resources::{conflicts, look, network};
use crate::topology::Topology;

/// What one pair of brackets has seen, and the inside of the cluster if it leads there.
type Look<'a> = BoxFuture<'a, Result<(World, Option<Inside<'a>>), Failure>>;

/// Writes out what is done to all kinds, one after the other as they stand in the list.
macro_rules! kinds {
    ($([$($kind:ty),+ $(,)?]),+ $(,)?) => {
        const TABLES: &[&Table] = &[$($(&<$kind>::TABLE),+),+];

        /// Everything that the file asks for.
        pub fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
            let mut resources = Vec::new();
            let mut objections = Vec::new();
            $($(match <$kind>::desired(from) {
                Ok(more) => resources.extend(more),
                Err(more) => objections.extend(more.0),
            })+)+
            spell_out(&mut resources);
            Objections::or(resources, objections)
        }

        fn holdings(topology: &Topology) -> Holdings {
            let mut all = Holdings::default();
            for one in [$($(<$kind>::holds(topology)),+),+] {
                all.addresses.extend(one.addresses);
                all.ports.extend(one.ports);
            }
            all
        }

        /// What a lock file of it would hold, each thing once.
        pub fn pins(topology: &Topology) -> Result<Vec<Pin>, Failure> {
            let mut pins: Vec<Pin> = Vec::new();
            $($(pins.extend(<$kind>::pins(topology)?);)+)+
            pins.sort_by(|a, b| a.id.cmp(&b.id));
            pins.dedup_by(|a, b| a.id == b.id);
            Ok(pins)
        }

        /// What would be handed to other programs.
        pub fn render(
            from: &Ingredients,
            part: Part,
            show_secrets: bool,
        ) -> Result<Vec<Rendered>, Failure> {
            let mut all = Vec::new();
            $($(all.extend(<$kind>::rendered(from, part, show_secrets)?);)+)+
            Ok(all)
        }

        fn lists(cx: &Context) -> Vec<Listed> {
            [$($(<$kind>::lists(cx)),+),+].into_iter().flatten().collect()
        }

        /// One look at everything, in a few calls: at what does not wait for one another at the same time.
        pub async fn observe(cx: &Context, snapshot: &Snapshot) -> Result<World, Failure> {
            let looks: Vec<Look<'_>> = vec![
                $(Box::pin(async {
                    let mut world = World::default();
                    $(<$kind>::observe(cx, snapshot, &mut world).await?;)+
                    let leads_inside = [$(<$kind>::TABLE.kind),+].contains(&ids::CLUSTER);
                    let inside = if leads_inside {
                        look::inside(cx, snapshot, lists(cx), &world).await?
                    } else {
                        None
                    };
                    Ok::<_, Failure>((world, inside))
                })),+
            ];
            let (mut world, mut inside) = (World::default(), None);
            for look in join_all(looks).await {
                let (part, within) = look?;
                world.extend(part);
                inside = inside.or(within);
            }
            if let Some(inside) = inside {
                $($(<$kind>::observe_inside(&inside, &mut world).await?;)+)+
            }
            Ok(world)
        }

        /// Fills the plan up with what neither the file nor a look at the world tells by itself.
        pub async fn explain(
            cx: &Context,
            plan: &mut Plan,
            desired: &[Resource],
            world: &World,
        ) -> Result<(), Failure> {
            let desired = desired.iter().map(|resource| (&resource.id, resource)).collect();
            let from = MadeFrom { desired, world };
            $($(<$kind>::explain(cx, plan, &from).await?;)+)+
            Ok(())
        }

        fn builds<'a>(resource: &'a Resource, snapshot: &Snapshot) -> Option<&'a str> {
            match resource.id.kind() {
                $($(kind if kind == <$kind>::TABLE.kind => <$kind>::builds(resource, snapshot),)+)+
                _ => None,
            }
        }

        fn tools(cx: &Context, item: &Item) -> Result<(), Failure> {
            match item.id.kind() {
                $($(kind if kind == <$kind>::TABLE.kind => <$kind>::tools(cx, item),)+)+
                _ => Ok(()),
            }
        }

        fn is_gathered(id: &Id) -> bool {
            match id.kind() {
                $($(kind if kind == <$kind>::TABLE.kind => <$kind>::IS_GATHERED,)+)+
                _ => false,
            }
        }

        async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
            match turn.id().kind() {
                $($(kind if kind == <$kind>::TABLE.kind => <$kind>::change(cx, turn).await,)+)+
                kind => Err(unknown(kind, turn.id())),
            }
        }

        async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
            match turn.id().kind() {
                $($(kind if kind == <$kind>::TABLE.kind => <$kind>::wait(cx, turn).await,)+)+
                kind => Err(unknown(kind, turn.id())),
            }
        }
    };
}

// Those in one pair of brackets are looked at in this order, since one is seen with the other's help.
kinds!(
    [super::network::NetworkKind],
    [super::cluster::ClusterKind, super::node::NodeKind],
    [super::image::ImageKind],
    [super::metallb::MetallbKind],
    [super::pool::PoolKind],
    [super::server::ServerKind],
    [super::share::ShareKind],
    [super::object::ObjectKind],
    [super::manifest::ManifestKind],
    [super::port::PortKind],
    [super::gateway::GatewayKind, super::tunnel::TunnelKind],
    [super::publisher::PublisherKind],
    [super::connector::ConnectorKind],
);

/// Puts whole ids in the place of short ones under `needs`. What stands for no resource, or for several,
/// is refused with the graph.
fn spell_out(resources: &mut [Resource]) {
    let ids: Vec<Id> = resources.iter().map(|resource| resource.id.clone()).collect();
    let known: HashSet<&Id> = ids.iter().collect();
    for bond in resources.iter_mut().flat_map(|resource| &mut resource.bonds) {
        if let Bond::Uses(id) = bond
            && !known.contains(id)
            && let Ok(whole) = Id::find(id.as_str(), &ids)
        {
            *id = whole;
        }
    }
}

/// Looks once more, just before anything is removed, whether all that the plan makes can be made:
/// the question to a person may have stood for long.
pub async fn refuse_impossible(cx: &Context, plan: &Plan) -> Result<(), Failure> {
    let Some(topology) = cx.file.as_deref() else { return Ok(()) };
    let id = ids::network(topology);
    let is_replaced = plan.item(&id).is_some_and(|item| item.action == Action::Replace);
    let why = if is_replaced { network::impossible(topology, &cx.snapshot().await?) } else { None };
    why.map_or(Ok(()), |why| {
        Err(Failure::new(format!("`{id}` cannot be recreated, and nothing was changed"))
            .caused_by(why))
    })
}

fn unknown(kind: &str, id: &Id) -> Failure {
    Failure::new(format!(
        "`{id}` was made by a topo that knows the kind `{kind}`; this one does not"
    ))
}

/// What each kind tells the planner about itself.
pub fn table(kind: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.kind == kind).copied()
}

/// Everything that runs, to be stopped.
pub fn halt(cx: &Context, world: &World) -> Plan {
    crate::plan::halt(&cx.name, world, &table)
}

/// Looks for the programs that this plan will need, before anything is changed.
pub fn check_tools(
    cx: &Context,
    plan: &Plan,
    desired: &[Resource],
    snapshot: &Snapshot,
) -> Result<(), Failure> {
    let is_made =
        |item: &&Item| matches!(item.action, Action::Create | Action::Replace | Action::Update);
    let made = plan.items.iter().filter(is_made);
    let mut made = made.filter_map(|item| desired.iter().find(|resource| resource.id == item.id));
    let built = made.find_map(|resource| builds(resource, snapshot));
    if let Some(image) = built.filter(|_| !cx.docker.has_program()) {
        let missing = docker::Error::NoProgram;
        let mut failure = Failure::because(format!("cannot build `{image}`"), &missing);
        failure.hint = missing.hint();
        return Err(failure);
    }
    plan.items.iter().try_for_each(|item| tools(cx, item))
}

/// The addresses that the file itself names, which no other topology on the network may have.
pub fn named(topology: &Topology) -> Vec<Reservation> {
    holdings(topology).addresses
}

/// What containers of others hold of that which this topology is about to take.
pub fn held_by_others(
    topology: &Topology,
    wanted: &[Reservation],
    snapshot: &Snapshot,
) -> Vec<String> {
    let ports = holdings(topology).ports;
    conflicts::held_by_others(topology.name.as_str(), wanted, &ports, snapshot)
}

/// The gateway and the forwards that it knows now.
pub async fn observe_ports(cx: &Context) -> Result<World, Failure> {
    let snapshot = cx.snapshot().await?;
    let (mut world, mut forwards) = (World::default(), World::default());
    tokio::try_join!(
        super::gateway::GatewayKind::observe(cx, &snapshot, &mut world),
        super::port::PortKind::observe(cx, &snapshot, &mut forwards),
    )?;
    world.extend(forwards);
    Ok(world)
}

/// What on the engine is this topology's.
pub struct Belongings {
    topology: String,
    network: Option<String>,
}

impl Belongings {
    pub fn of(cx: &Context) -> Self {
        let network = cx.file.as_ref().map(|topology| ids::network(topology).name().to_owned());
        Self { topology: cx.name.clone(), network }
    }

    /// Whether what happened may be drift of it.
    pub fn are_met_by(&self, happening: &Happening) -> bool {
        let has = |label: &str| happening.attributes.get(label) == Some(&self.topology);
        let is_network = self.network.as_ref() == Some(&happening.name);
        is_network || has(marks::TOPOLOGY) || has(CLUSTER_LABEL)
    }
}

/// Carries out what the engine asks for.
pub struct Hands(pub Context);

impl Driver for Hands {
    async fn change(&self, turn: &Turn) -> Result<Outputs, Failure> {
        Box::pin(change(&self.0, turn)).await
    }

    async fn wait(&self, turn: &Turn) -> Result<Outputs, Failure> {
        Box::pin(wait(&self.0, turn)).await
    }

    fn gathers(&self, turn: &Turn) -> bool {
        is_gathered(turn.id())
    }

    async fn look(&self) -> Result<World, Failure> {
        observe(&self.0, &self.0.snapshot().await?).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::name::RESOURCE_KINDS;

    #[test]
    fn a_file_may_name_resources_of_every_kind_as_needs() {
        let mut kinds: Vec<&str> = TABLES.iter().map(|table| table.kind).collect();
        let mut named = RESOURCE_KINDS.to_vec();
        kinds.sort_unstable();
        named.sort_unstable();
        assert_eq!(kinds, named);
    }
}
