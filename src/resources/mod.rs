//! The kinds of resources, one folder each, and the one place where they are registered.
//!
//! A kind describes ([`Table`], `desired`), sees (`observe`) and does (`change`, `wait`).
//! What is to be done is decided in `plan`.

mod base;
mod cluster;
mod conflicts;
mod connector;
mod copies;
mod gateway;
mod image;
mod look;
mod manifest;
mod metallb;
mod network;
mod node;
mod object;
mod pool;
mod port;
mod render;
mod server;
mod share;
mod tunnel;

use crate::backend::docker::Snapshot;
use crate::backend::host::StateFolder;
use crate::backend::machine::Machine;
use crate::engine::{Driver, Failure, Turn};
use crate::plan::{Action, Bond, Id, Outputs, Plan, Resource, Table, World};
use crate::templates::Templates;
use crate::topology::{AddressRange, NeedId, Topology};

pub use base::claim::{Claim, Claims, Reservation};
pub use base::context::{Context, Held, Variables};
pub use base::existing::Existing;
pub use base::kube::inventory::Inventory;
pub use base::kube::objects::Objects;
pub use conflicts::{held_by_others, named};
pub use gateway::Writer;
pub use pool::Gaps;
pub use port::leads_to;
pub use render::{Content, Part, Rendered, render};
pub use share::{Doing, Ground, Health, Scene, Settled, healths, settle, ways};

/// Registers a kind: its table, and which module carries out its turns.
macro_rules! kinds {
    ($($module:ident),+ $(,)?) => {
        /// What each kind tells the planner about itself.
        pub fn table(kind: &str) -> Option<&'static Table> {
            const TABLES: &[&Table] = &[$(&$module::TABLE),+];
            TABLES.iter().find(|table| table.kind == kind).copied()
        }

        async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
            match turn.id().kind() {
                $(kind if kind == $module::TABLE.kind => $module::change(cx, turn).await,)+
                kind => Err(unknown(kind, turn.id())),
            }
        }

        async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
            match turn.id().kind() {
                $(kind if kind == $module::TABLE.kind => $module::wait(cx, turn).await,)+
                kind => Err(unknown(kind, turn.id())),
            }
        }
    };
}

kinds!(
    network, cluster, node, image, metallb, pool, server, share, manifest, object, gateway, port,
    tunnel, connector,
);

fn unknown(kind: &str, id: &Id) -> Failure {
    Failure::new(format!(
        "`{id}` was made by a topo that knows the kind `{kind}`; this one does not"
    ))
}

/// What the wanted resources are made from. Nothing in it is asked for its state.
pub struct Ingredients<'a> {
    pub topology: &'a Topology,
    pub objects: &'a Objects,
    pub templates: &'a Templates,
    pub claim: Option<&'a Claim>,
    /// For the ids of local images.
    pub snapshot: &'a Snapshot,
    /// Where the engine is, if not here.
    pub machine: Option<&'a Machine>,
    /// The folder of what belongs to this machine's user, where one is known.
    pub state: Option<&'a StateFolder>,
}

/// Everything that the file asks for.
pub fn desired(from: &Ingredients) -> Result<Vec<Resource>, Failure> {
    let topology = from.topology;
    if let Some(machine) = from.machine {
        cluster::elsewhere::refuse_folders(topology, machine)?;
    }
    let mut nodes = cluster::control_plane_names(topology);
    nodes.extend(node::workers(topology, from.claim).into_iter().map(|worker| worker.name));
    nodes.sort();
    let keys = gateway::authorized_keys(topology)?;
    let gateway = gateway::desired(topology, from.templates, &keys)
        .map_err(|error| Failure::because("cannot render the gateway", &error))?;

    let mut resources = Vec::new();
    let needs_network = topology.gateway.is_some()
        || topology.connector.is_some()
        || server::is_wanted(topology)
        || topology.cluster.as_ref().is_some_and(|cluster| !cluster.exists())
        || topology.pools().iter().any(|pool| pool.size.is_some());
    if needs_network {
        resources.push(network::desired(topology));
    }
    resources.extend(cluster::desired(topology));
    resources.extend(node::desired(topology, from.claim));
    resources.extend(image::desired(topology, &nodes, from.snapshot)?);
    resources.extend(metallb::desired(topology)?);
    resources.extend(pool::desired(topology));
    resources.extend(server::desired(from)?);
    resources.extend(share::desired(from));
    resources.extend(object::desired(topology, from.objects));
    resources.extend(manifest::desired(topology, from.objects));
    resources.extend(gateway);
    resources.extend(port::desired(topology, from.objects)?);
    resources.extend(tunnel::desired(from)?);
    resources.extend(connector::desired(topology));
    Ok(resources)
}

/// What a person says a resource needs, beside what follows from it.
fn asked(needs: &[NeedId]) -> impl Iterator<Item = Bond> {
    needs.iter().filter_map(|need| need.as_str().parse().ok()).map(Bond::Uses)
}

/// The addresses that topo has chosen, as far as they are known before anything is made.
pub fn settled(topology: &Topology, desired: &[Resource]) -> Vec<Reservation> {
    let network = topology.network_name();
    let servers = desired.iter().filter(|resource| resource.id.kind() == server::TABLE.kind);
    servers
        .filter_map(|resource| {
            let address = resource.stated().get("address")?.as_str()?.parse().ok()?;
            let range = AddressRange::new(address, address)?;
            Some(Reservation::new(&network, range, &resource.id))
        })
        .collect()
}

/// Fills the plan up with what neither the file nor a look at the world tells by itself.
pub async fn explain(
    cx: &Context,
    plan: &mut Plan,
    desired: &[Resource],
    world: &World,
) -> Result<(), Failure> {
    let claim = cx.claim().await;
    for item in &mut plan.items {
        server::explain(item);
        if let Some(topology) = cx.file.as_deref() {
            share::explain_mounts(item, topology, claim.as_ref());
        }
    }
    look::explain(cx, plan, desired, world).await
}

/// Looks for the programs that this plan will need, before anything is changed.
pub fn check_tools(cx: &Context, plan: &Plan) -> Result<(), Failure> {
    let makes_cluster = plan.items.iter().any(|item| {
        item.id.kind() == cluster::TABLE.kind
            && matches!(item.action, Action::Create | Action::Replace)
    });
    if makes_cluster {
        cluster::find_kind(cx)?;
    }
    let works_on_tunnels = plan.items.iter().any(|item| {
        item.id.kind() == tunnel::TABLE.kind
            && matches!(
                item.action,
                Action::Create | Action::Replace | Action::Update | Action::Start
            )
    });
    if works_on_tunnels { tunnel::check_programs(cx) } else { Ok(()) }
}

/// One look at everything, in a few calls.
pub async fn observe(cx: &Context, snapshot: &Snapshot) -> Result<World, Failure> {
    let mut world = World::default();
    network::observe(cx, snapshot, &mut world);
    let roster = cluster::observe(cx, snapshot, &mut world).await?;
    node::observe(cx, snapshot, &roster, &mut world).await;
    look::observe(cx, &mut world).await?;
    image::observe(cx, snapshot, &mut world).await;
    server::observe(cx, snapshot, &mut world).await?;
    gateway::observe(cx, snapshot, &mut world).await?;
    port::observe(cx, snapshot, &mut world).await?;
    tunnel::observe(cx, &mut world).await?;
    connector::observe(cx, snapshot, &mut world).await;
    Ok(world)
}

/// The gateway and the forwards that it knows now.
pub async fn observe_ports(cx: &Context) -> Result<World, Failure> {
    let mut world = World::default();
    let snapshot = cx.snapshot().await?;
    gateway::observe(cx, &snapshot, &mut world).await?;
    port::observe(cx, &snapshot, &mut world).await?;
    Ok(world)
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

    /// All forwards of a gateway are written in one transaction.
    fn gathers(&self, turn: &Turn) -> bool {
        turn.id().kind() == port::TABLE.kind
    }

    async fn look(&self) -> Result<World, Failure> {
        observe(&self.0, &self.0.snapshot().await?).await
    }
}

/// The context that the cluster of a topology has in the user's kubeconfig: kind's own way.
pub fn context_name(topology: &str) -> String {
    format!("kind-{topology}")
}
