//! What every resource module is handed: the edges, and what is known of this topology.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};

use crate::backend::docker::{Docker, Snapshot};
use crate::backend::download::Downloads;
use crate::backend::host::{Kubeconfig, Lock, StateFolder};
use crate::backend::kube::Kube;
use crate::backend::machine::Machine;
use crate::engine::{Failure, Turn};
use crate::plan::{Fields, Record, SecretKey};
use crate::resources::base::claim::{self, Claim, Claims};
use crate::resources::base::existing::Existing;
use crate::resources::base::kube::inventory::Inventory;
use crate::resources::base::kube::objects::Objects;
use crate::resources::base::run_state::RunState;
use crate::resources::base::variables::Variables;
use crate::templates::Templates;
use crate::topology::Topology;
use crate::topology::gateway::carried_to;

pub struct Context {
    pub name: String,
    /// None when a topology is taken down without its file.
    pub file: Option<Arc<Topology>>,
    pub docker: Docker,
    pub state: StateFolder,
    pub kubeconfig: Option<Kubeconfig>,
    pub key: SecretKey,
    pub variable: Arc<Variables>,
    pub templates: Templates,
    pub downloads: Downloads,
    /// The cluster that the topology is applied to, if topo did not make it.
    pub existing: Option<Existing>,
    pub inventory: Mutex<Inventory>,
    pub held: Held,
}

/// What the steps of a run hand on to one another.
#[derive(Default)]
pub struct Held {
    claim: Mutex<Option<Claim>>,
    pub(super) kube: Mutex<Option<Kube>>,
    objects: OnceCell<Arc<Objects>>,
    force_conflicts: AtomicBool,
    without_cluster: AtomicBool,
    machine: OnceCell<Option<Machine>>,
    /// What kinds keep for themselves.
    run: RunState,
    /// The topology's, while this topo changes it; let go with the context.
    pub(in crate::resources) lock: Option<Lock>,
    /// Addresses are chosen one pool after the other.
    pub(super) choosing: Mutex<()>,
}

impl Held {
    pub fn of(claim: Option<Claim>, lock: Option<Lock>) -> Self {
        Self { claim: Mutex::new(claim), lock, ..Self::default() }
    }
}

impl Context {
    pub fn topology(&self) -> Result<&Topology, Failure> {
        self.file.as_deref().ok_or_else(|| Failure::new("this needs the topology file"))
    }

    /// What a kind keeps for itself during this run: the one of this type.
    pub fn run<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        self.held.run.of()
    }

    pub fn makes_cluster(&self) -> bool {
        self.existing.is_none()
    }

    /// The machine that the engine runs on, where it is not this one.
    pub async fn machine(&self) -> Option<&Machine> {
        let of_the_endpoint = || Machine::of(self.docker.endpoint());
        self.held.machine.get_or_init(of_the_endpoint).await.as_ref()
    }

    /// Under which name this machine reaches a port that the engine's machine publishes at `address`,
    /// if it does: that of a loopback is reached there alone, unless a tunnel carries it here.
    pub async fn door(&self, address: IpAddr) -> Option<String> {
        let carried = self.file.as_ref().is_some_and(|topology| topology.is_exposed());
        if carried && self.machine().await.is_some() {
            return Some(carried_to(address).to_string());
        }
        self.uncarried_door(address).await
    }

    /// The same of a port that no tunnel carries: one of the gateway's own servers.
    pub async fn uncarried_door(&self, address: IpAddr) -> Option<String> {
        match self.machine().await {
            Some(_) if address.is_loopback() => None,
            Some(machine) if address.is_unspecified() => Some(machine.host.clone()),
            None if address.is_unspecified() => Some("localhost".to_owned()),
            Some(_) | None => Some(address.to_string()),
        }
    }

    pub async fn snapshot(&self) -> Result<Snapshot, Failure> {
        self.docker
            .snapshot()
            .await
            .map_err(|error| Failure::because("cannot list what the engine has", &error))
    }

    pub async fn claim(&self) -> Option<Claim> {
        self.held.claim.lock().await.clone()
    }

    /// Changes the claim and writes it, one change at a time.
    pub async fn change_claim(&self, change: impl FnOnce(&mut Claim)) -> Result<(), Failure> {
        let mut held = self.held.claim.lock().await;
        let Some(claim) = held.as_mut() else {
            return Err(Failure::new("this topology has no claim on the engine"));
        };
        let mut next = claim.clone();
        change(&mut next);
        if next != *claim {
            claim::write(&self.docker, &mut next).await?;
            *claim = next;
        }
        Ok(())
    }

    /// Writes down in the claim what was applied, for what can carry no record itself.
    pub async fn remember(&self, turn: &Turn, values: &Fields<Value>) -> Result<(), Failure> {
        let Some(resource) = &turn.resource else { return Ok(()) };
        let record = Record::of(resource, values);
        self.change_claim(|claim| {
            claim.records.insert(turn.id().clone(), record);
        })
        .await
    }

    /// Writes a whole claim in the place of the one that speaks now.
    pub async fn write_claim(&self, mut claim: Claim) -> Result<(), Failure> {
        let mut held = self.held.claim.lock().await;
        claim::write(&self.docker, &mut claim).await?;
        *held = Some(claim);
        Ok(())
    }

    /// Gives the claim up, when nothing is left that it speaks of; those that it overtook go first.
    pub async fn give_up_claim(&self) -> Result<(), Failure> {
        let mut held = self.held.claim.lock().await;
        let Some(claim) = held.as_ref() else { return Ok(()) };
        let claims = Claims::read(&self.snapshot().await?);
        claim::sweep(&self.docker, &self.name, &claims).await?;
        claim::remove(&self.docker, claim).await?;
        *held = None;
        Ok(())
    }

    /// What a run has claimed that then changed nothing else is given back.
    pub async fn go_back_to(&self, before: Option<Claim>) -> Result<(), Failure> {
        let Some(now) = self.claim().await else { return Ok(()) };
        match before {
            None => self.give_up_claim().await,
            Some(before) if before.generation == now.generation => Ok(()),
            Some(before) => self.write_claim(Claim { generation: now.generation, ..before }).await,
        }
    }

    /// From now on, fields of objects are taken over from other managers.
    pub fn force_conflicts(&self) {
        self.held.force_conflicts.store(true, Ordering::Relaxed);
    }

    /// From now on, what is in the cluster is neither looked at nor changed: there is no way to it.
    pub fn go_without_cluster(&self) {
        self.held.without_cluster.store(true, Ordering::Relaxed);
    }

    pub fn goes_without_cluster(&self) -> bool {
        self.held.without_cluster.load(Ordering::Relaxed)
    }

    pub fn forces_conflicts(&self) -> bool {
        self.held.force_conflicts.load(Ordering::Relaxed)
    }

    /// The objects of the topology's manifests, read when they are first asked for.
    pub async fn objects(&self) -> Result<Arc<Objects>, Failure> {
        let read = || async {
            let topology = self.file.as_deref();
            let read = Objects::read(topology, &self.downloads, self.variable.as_ref()).await;
            read.map(Arc::new).map_err(|objections| objections.failure(&|_| None))
        };
        self.held.objects.get_or_try_init(read).await.cloned()
    }

    pub fn context_name(&self) -> String {
        context_name(&self.name)
    }
}

/// The context that the cluster of a topology has in the user's kubeconfig: kind's own way.
pub fn context_name(topology: &str) -> String {
    format!("kind-{topology}")
}
