//! What every resource module is handed: the edges, and what is known of this topology.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell};

use crate::backend::docker::{Docker, Snapshot};
use crate::backend::download::Downloads;
use crate::backend::host::{Kubeconfig, Lock, StateFolder};
use crate::backend::kube::{Access, Kube};
use crate::backend::machine::Machine;
use crate::backend::readiness;
use crate::engine::Failure;
use crate::plan::SecretKey;
use crate::resources::base::claim::{self, Claim, Claims};
use crate::resources::base::existing::Existing;
use crate::resources::base::kube::inventory::Inventory;
use crate::resources::base::kube::objects::Objects;
use crate::resources::base::marks;
use crate::resources::cluster::{self, api_server};
use crate::resources::context_name;
use crate::resources::gateway::Writer;
use crate::resources::image::Stores;
use crate::resources::pool::Gaps;
use crate::resources::tunnel::carried_to;
use crate::templates::Templates;
use crate::topology::Topology;

/// How long an API server that should be up may take to answer before it counts as not answering.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// How long a pod may take onto a node that has just come.
const FOLLOW_LIMIT: Duration = Duration::from_secs(30);

pub type Variables = dyn Fn(&str) -> Option<String> + Send + Sync;

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
    /// Writes the gateway's forwards, many at once.
    pub forwards: Writer,
    pub gaps: Gaps,
    pub held: Held,
}

/// What the steps of a run hand on to one another.
#[derive(Default)]
pub struct Held {
    claim: Mutex<Option<Claim>>,
    kube: Mutex<Option<Kube>>,
    objects: OnceCell<Arc<Objects>>,
    force_conflicts: AtomicBool,
    without_cluster: AtomicBool,
    machine: OnceCell<Option<Machine>>,
    pub(in crate::resources) stores: Stores,
    /// The topology's, while this topo changes it; let go with the context.
    pub(in crate::resources) lock: Option<Lock>,
    /// Held by whoever changes the keys that tunnels come in with.
    pub(in crate::resources) tunnel_keys: Mutex<()>,
    /// Addresses are chosen one pool after the other.
    pub(in crate::resources) choosing: Mutex<()>,
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
        match self.machine().await {
            Some(_) if carried => Some(carried_to(address).to_string()),
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
            Objects::read(topology, &self.downloads, self.variable.as_ref()).await.map(Arc::new)
        };
        self.held.objects.get_or_try_init(read).await.cloned()
    }

    /// The API server, as soon as it is known how to reach it.
    pub async fn kube(&self) -> Result<Kube, Failure> {
        let mut held = self.held.kube.lock().await;
        if let Some(kube) = held.as_ref() {
            return Ok(kube.clone());
        }
        let kube = self.reach_kube().await?;
        *held = Some(kube.clone());
        Ok(kube)
    }

    /// The API server by what is known now of how to reach it.
    pub async fn reach_kube(&self) -> Result<Kube, Failure> {
        if let Some(context) = self.lost_context()? {
            return Err(Failure::new(format!("no kubeconfig has the context `{context}`")).hint(
                "`kubectl config get-contexts` lists those there are: write one of them in `cluster.context`, or set KUBECONFIG",
            ));
        }
        Kube::connect(&self.access().await?)
            .await
            .map_err(|error| Failure::because("cannot use the cluster's kubeconfig", &error))
    }

    /// From now on this is the way to the API server.
    pub async fn hold_kube(&self, kube: Kube) {
        *self.held.kube.lock().await = Some(kube);
    }

    /// The cluster has been made, started or removed: what was known of its API no longer holds.
    pub async fn forget_kube(&self) {
        *self.held.kube.lock().await = None;
    }

    /// The API server if it answers now.
    pub async fn kube_ready(&self) -> Result<Kube, Failure> {
        let kube = self.kube().await?;
        match tokio::time::timeout(ANSWER_LIMIT, kube.version()).await {
            Ok(Ok(_)) => Ok(kube),
            Ok(Err(error)) => Err(Failure::because("the API server does not answer", &error)),
            Err(_) => Err(Failure::new(format!(
                "the API server does not answer within {} s",
                ANSWER_LIMIT.as_secs()
            ))),
        }
    }

    /// The context of a cluster that topo did not make, where no kubeconfig has it any more.
    pub fn lost_context(&self) -> Result<Option<&str>, Failure> {
        let Some(existing) = &self.existing else { return Ok(None) };
        let is_there = existing
            .access(self)
            .is_there()
            .map_err(|error| Failure::because("cannot read the kubeconfig", &error))?;
        Ok((!is_there).then_some(existing.context.as_str()))
    }

    async fn access(&self) -> Result<Access, Failure> {
        if let Some(existing) = &self.existing {
            return Ok(existing.access(self));
        }
        let given = serde_yaml::from_value(self.admin_kubeconfig().await?)
            .map_err(|error| Failure::because("cannot use the cluster's kubeconfig", &error))?;
        Ok(Access::Given(Box::new(given)))
    }

    /// The administrator's kubeconfig of a kind cluster, read from a control plane, with the address
    /// at which this machine reaches it.
    pub async fn admin_kubeconfig(&self) -> Result<serde_yaml::Value, Failure> {
        const ADMIN: &str = "/etc/kubernetes/admin.conf";
        let failed =
            |why: &str| Failure::new(format!("cannot read the cluster's kubeconfig: {why}"));
        let snapshot = self.snapshot().await?;
        let parts = || cluster::containers(&snapshot, &self.name);
        let plane = parts()
            .find(|part| cluster::is_control_plane(part))
            .ok_or_else(|| failed("no control plane"))?;
        // With several control planes only the load balancer before them publishes the port.
        let door = parts()
            .flat_map(|part| &part.ports)
            .find(|port| port.inside == 6443)
            .ok_or_else(|| failed("no container publishes the API's port"))?;
        let file = self
            .docker
            .get_file(&plane.id, ADMIN)
            .await
            .map_err(|error| failed(&error.to_string()))?
            .ok_or_else(|| failed(&format!("`{}` has no {ADMIN} yet", plane.name)))?;
        let mut file: serde_yaml::Value =
            serde_yaml::from_slice(&file).map_err(|error| failed(&error.to_string()))?;
        let server = format!("https://{}:{}", self.api_host(door.address).await?, door.port);
        file["clusters"][0]["cluster"]["server"] = server.into();
        Ok(file)
    }

    /// As a URL has it.
    async fn api_host(&self, published: Option<IpAddr>) -> Result<String, Failure> {
        let machine = self.machine().await;
        Ok(match (published.filter(|address| !address.is_unspecified()), machine) {
            (Some(address), Some(machine)) if address.is_loopback() => {
                return Err(api_server::on_remote_loopback(&machine.host));
            }
            (Some(IpAddr::V6(address)), _) => format!("[{address}]"),
            (Some(IpAddr::V4(address)), _) => address.to_string(),
            (None, Some(machine)) => machine.host.clone(),
            (None, None) => "127.0.0.1".to_owned(),
        })
    }

    /// The nodes are Ready, and the topology's own `DaemonSet`s have followed onto them: those were
    /// waited for when the nodes had not come yet. Ones that cannot run are told of by their own steps.
    pub async fn wait_for_nodes(
        &self,
        nodes: &BTreeSet<String>,
        limit: Duration,
        tell: impl FnMut(&str) + Clone,
    ) -> Result<(), Failure> {
        let kube = self.kube().await?;
        readiness::nodes(kube.client(), nodes, limit, tell.clone())
            .await
            .map_err(|error| Failure::because("the nodes did not become Ready", &error))?;
        let own = marks::selector(&self.name);
        let _ = readiness::daemons(kube.client(), &own, FOLLOW_LIMIT.min(limit), tell).await;
        Ok(())
    }

    /// The nodes are Ready and the system pods are up.
    pub async fn wait_for_cluster(
        &self,
        nodes: &BTreeSet<String>,
        limit: Duration,
        tell: impl FnMut(&str) + Clone,
    ) -> Result<(), Failure> {
        self.wait_for_nodes(nodes, limit, tell.clone()).await?;
        let kube = self.kube().await?;
        readiness::system(kube.client(), limit, tell)
            .await
            .map_err(|error| Failure::because("the cluster's own parts did not come up", &error))
    }

    pub fn context_name(&self) -> String {
        context_name(&self.name)
    }
}
