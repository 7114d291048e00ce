//! What every resource module is handed: the edges, and what is known of this topology.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell};

use super::claim::{self, Claim, Claims, Reservation};
use super::gateway::Writer;
use super::object::Objects;
use super::tunnel::carried_to;
use super::{api_server, cluster, context_name};
use crate::backend::docker::{Docker, Snapshot};
use crate::backend::download::Downloads;
use crate::backend::host::{Kubeconfig, Lock, StateFolder};
use crate::backend::kube::{Access, Kube};
use crate::backend::machine::Machine;
use crate::backend::readiness;
use crate::engine::Failure;
use crate::plan::SecretKey;
use crate::templates::Templates;
use crate::topology::{Cluster, Topology};

/// How long an API server that should be up may take to answer before it counts as not answering.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

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
    /// Writes the gateway's forwards, many at once.
    pub forwards: Writer,
    /// Held by whoever changes the keys that tunnels come in with.
    pub tunnel_keys: Mutex<()>,
    claim: Mutex<Option<Claim>>,
    /// The topology's, while this topo changes it; let go with the context.
    pub lock: Option<Lock>,
    pub downloads: Downloads,
    force_conflicts: AtomicBool,
    kube: Mutex<Option<Kube>>,
    machine: OnceCell<Option<Machine>>,
    objects: OnceCell<Arc<Objects>>,
}

/// What a context is made from.
pub struct Setting {
    pub name: String,
    pub file: Option<Arc<Topology>>,
    pub docker: Docker,
    pub state: StateFolder,
    pub kubeconfig: Option<Kubeconfig>,
    pub key: SecretKey,
    pub variable: Arc<Variables>,
    pub templates: Templates,
    pub claim: Option<Claim>,
    pub lock: Option<Lock>,
}

impl Context {
    pub fn new(setting: Setting) -> Self {
        Self {
            name: setting.name,
            file: setting.file,
            docker: setting.docker,
            state: setting.state,
            kubeconfig: setting.kubeconfig,
            key: setting.key,
            downloads: Downloads::of(setting.variable.as_ref()),
            force_conflicts: AtomicBool::new(false),
            variable: setting.variable,
            templates: setting.templates,
            forwards: Writer::default(),
            tunnel_keys: Mutex::new(()),
            claim: Mutex::new(setting.claim),
            lock: setting.lock,
            kube: Mutex::new(None),
            machine: OnceCell::new(),
            objects: OnceCell::new(),
        }
    }

    pub fn topology(&self) -> Result<&Topology, Failure> {
        self.file.as_deref().ok_or_else(|| Failure::new("this needs the topology file"))
    }

    pub fn makes_cluster(&self) -> bool {
        !self.file.as_ref().and_then(|file| file.cluster.as_ref()).is_some_and(Cluster::exists)
    }

    /// The machine that the engine runs on, where it is not this one.
    pub async fn machine(&self) -> Option<&Machine> {
        let of_the_endpoint = || Machine::of(self.docker.endpoint());
        self.machine.get_or_init(of_the_endpoint).await.as_ref()
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
        self.claim.lock().await.clone()
    }

    /// Changes the claim and writes it, one change at a time.
    pub async fn change_claim(&self, change: impl FnOnce(&mut Claim)) -> Result<(), Failure> {
        let mut held = self.claim.lock().await;
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

    /// Stakes the claim that must be there before anything is changed.
    pub async fn stake(&self, mut claim: Claim) -> Result<(), Failure> {
        let mut held = self.claim.lock().await;
        claim::write(&self.docker, &mut claim).await?;
        *held = Some(claim);
        Ok(())
    }

    /// Refuses addresses that another topology has reserved. Two may write their claims at the same
    /// moment, so this is asked again after writing: whoever then sees the other takes its own back.
    pub async fn check_reservations(&self, wanted: &[Reservation]) -> Result<(), Failure> {
        let claims = Claims::read(&self.snapshot().await?);
        let Some((wanted, other, theirs)) = claims.conflict(&self.name, wanted) else {
            return Ok(());
        };
        Err(Failure::new(format!(
            "`{}` would take {} on the network `{}`, and `{}` of the topology `{}` has {}",
            wanted.by,
            wanted.addresses(),
            wanted.network,
            theirs.by,
            other.topology,
            theirs.addresses()
        ))
        .hint(format!("choose other addresses; the other file is `{}`", other.file)))
    }

    /// Gives the claim up, when nothing is left that it speaks of.
    pub async fn give_up_claim(&self) -> Result<(), Failure> {
        let mut held = self.claim.lock().await;
        if let Some(claim) = held.take() {
            claim::remove(&self.docker, &claim).await?;
        }
        Ok(())
    }

    /// From now on, fields of objects are taken over from other managers.
    pub fn force_conflicts(&self) {
        self.force_conflicts.store(true, Ordering::Relaxed);
    }

    pub fn forces_conflicts(&self) -> bool {
        self.force_conflicts.load(Ordering::Relaxed)
    }

    /// The objects of the topology's manifests, read when they are first asked for.
    pub async fn objects(&self) -> Result<Arc<Objects>, Failure> {
        let read = || async {
            let topology = self.file.as_deref();
            Objects::read(topology, &self.name, &self.downloads, self.variable.as_ref())
                .await
                .map(Arc::new)
        };
        self.objects.get_or_try_init(read).await.cloned()
    }

    /// The API server, as soon as it is known how to reach it.
    pub async fn kube(&self) -> Result<Kube, Failure> {
        let mut held = self.kube.lock().await;
        if let Some(kube) = held.as_ref() {
            return Ok(kube.clone());
        }
        let kube = self.reach_kube().await?;
        *held = Some(kube.clone());
        Ok(kube)
    }

    /// The API server by what is known now of how to reach it.
    pub async fn reach_kube(&self) -> Result<Kube, Failure> {
        Kube::connect(&self.access().await?)
            .await
            .map_err(|error| Failure::because("cannot use the cluster's kubeconfig", &error))
    }

    /// From now on this is the way to the API server.
    pub async fn hold_kube(&self, kube: Kube) {
        *self.kube.lock().await = Some(kube);
    }

    /// The cluster has been made, started or removed: what was known of its API no longer holds.
    pub async fn forget_kube(&self) {
        *self.kube.lock().await = None;
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

    async fn access(&self) -> Result<Access, Failure> {
        let existing =
            self.file.as_ref().and_then(|topology| topology.cluster.as_ref()?.context.clone());
        if let Some(name) = existing {
            let files = match (self.variable)("KUBECONFIG") {
                Some(list) => std::env::split_paths(&list).collect(),
                None => self.kubeconfig.iter().map(|file| file.path().to_owned()).collect(),
            };
            return Ok(Access::Context { files, name });
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

    pub async fn wait_for_nodes(
        &self,
        nodes: &BTreeSet<String>,
        limit: Duration,
        tell: impl FnMut(String),
    ) -> Result<(), Failure> {
        let kube = self.kube().await?;
        readiness::nodes(kube.client(), nodes, limit, tell)
            .await
            .map_err(|error| Failure::because("the nodes did not become Ready", &error))
    }

    /// The nodes are Ready and the system pods are up.
    pub async fn wait_for_cluster(
        &self,
        nodes: &BTreeSet<String>,
        limit: Duration,
        tell: impl FnMut(String) + Clone,
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
