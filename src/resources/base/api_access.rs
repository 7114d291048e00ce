//! The way to the cluster's API server, and whether what it serves is up.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::backend::docker::Snapshot;
use crate::backend::kube::{Access, Kube, Kubeconfig, Proxies};
use crate::backend::readiness;
use crate::engine::Failure;
use crate::resources::base::context::Context;
use crate::resources::base::docker::kind_nodes;
use crate::resources::base::existing::Existing;
use crate::resources::base::marks;

/// How long an API server that should be up may take to answer before it counts as not answering.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// How long a pod may take onto a node that has just come.
const FOLLOW_LIMIT: Duration = Duration::from_secs(30);

impl Context {
    /// The API server, as soon as it is known how to reach it.
    pub async fn kube(&self) -> Result<Kube, Failure> {
        self.held_or(self.reach_kube()).await
    }

    /// The same, found by what the engine has just been seen to have.
    pub async fn kube_of(&self, snapshot: &Snapshot) -> Result<Kube, Failure> {
        self.held_or(self.reach_kube_of(Some(snapshot))).await
    }

    async fn held_or(
        &self,
        reached: impl Future<Output = Result<Kube, Failure>>,
    ) -> Result<Kube, Failure> {
        let mut held = self.held.kube.lock().await;
        if let Some(kube) = held.as_ref() {
            return Ok(kube.clone());
        }
        let kube = reached.await?;
        *held = Some(kube.clone());
        Ok(kube)
    }

    /// The API server by what is known now of how to reach it.
    pub async fn reach_kube(&self) -> Result<Kube, Failure> {
        self.reach_kube_of(None).await
    }

    async fn reach_kube_of(&self, seen: Option<&Snapshot>) -> Result<Kube, Failure> {
        if let Some(context) = self.lost_context()? {
            return Err(lost(context));
        }
        Kube::connect(&self.access(seen).await?, &self.proxies(seen).await?)
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
        let is_there = self
            .access_to(existing)
            .is_there()
            .map_err(|error| Failure::because("cannot read the kubeconfig", &error))?;
        Ok((!is_there).then_some(existing.context.as_str()))
    }

    /// The context under which kubectl knows the cluster.
    pub fn kubectl_context(&self) -> Result<String, Failure> {
        if let Some(existing) = &self.existing {
            return match self.lost_context()? {
                Some(context) => Err(lost(context)),
                None => Ok(existing.context.clone()),
            };
        }
        match self.access_by(self.context_name()).is_there() {
            Ok(true) => Ok(self.context_name()),
            Ok(false) => Err(Failure::new(format!(
                "no kubeconfig has the context `{}`",
                self.context_name()
            ))
            .hint("`topo apply` puts it back; `topo kubeconfig` prints it for use elsewhere")),
            Err(error) => Err(Failure::because("cannot read the kubeconfig", &error)),
        }
    }

    /// What the user's kubeconfig has of a cluster that topo did not make; none of one that it did.
    pub fn existing_alone(&self) -> Result<Option<Kubeconfig>, Failure> {
        if let Some(context) = self.lost_context()? {
            return Err(lost(context));
        }
        let alone = self.existing.as_ref().map(|existing| self.access_to(existing).alone());
        alone.transpose().map_err(|error| Failure::because("cannot read the kubeconfig", &error))
    }

    fn access_to(&self, existing: &Existing) -> Access {
        self.access_by(existing.context.clone())
    }

    /// By what the user's kubeconfig has under this name.
    fn access_by(&self, name: String) -> Access {
        let files = self.kubeconfig.iter().flat_map(|kubeconfig| kubeconfig.files().to_owned());
        Access::Context { files: files.collect(), name }
    }

    /// Between this machine and the API server. One that runs on the engine is reached as the engine
    /// is, and every container of its networks is near.
    async fn proxies(&self, seen: Option<&Snapshot>) -> Result<Proxies, Failure> {
        if self.makes_cluster() {
            return Ok(Proxies::default());
        }
        let proxies = Proxies::read(self.variable.as_ref());
        if proxies.is_empty() {
            return Ok(proxies);
        }
        let snapshot = self.seen_or_listed(seen).await?;
        let subnets = snapshot.networks.iter().flat_map(|network| &network.subnets);
        Ok(proxies.past(subnets.map(|subnet| subnet.net)))
    }

    async fn access(&self, seen: Option<&Snapshot>) -> Result<Access, Failure> {
        if let Some(existing) = &self.existing {
            return Ok(self.access_to(existing));
        }
        let given = serde_yaml::from_value(self.admin_kubeconfig_of(seen).await?)
            .map_err(|error| Failure::because("cannot use the cluster's kubeconfig", &error))?;
        Ok(Access::Given(Box::new(given)))
    }

    async fn seen_or_listed<'a>(
        &self,
        seen: Option<&'a Snapshot>,
    ) -> Result<Cow<'a, Snapshot>, Failure> {
        match seen {
            Some(snapshot) => Ok(Cow::Borrowed(snapshot)),
            None => self.snapshot().await.map(Cow::Owned),
        }
    }

    /// The administrator's kubeconfig of a kind cluster, read from a control plane, with the address
    /// at which this machine reaches it.
    pub async fn admin_kubeconfig(&self) -> Result<serde_yaml::Value, Failure> {
        self.admin_kubeconfig_of(None).await
    }

    async fn admin_kubeconfig_of(
        &self,
        seen: Option<&Snapshot>,
    ) -> Result<serde_yaml::Value, Failure> {
        const ADMIN: &str = "/etc/kubernetes/admin.conf";
        let failed =
            |why: &str| Failure::new(format!("cannot read the cluster's kubeconfig: {why}"));
        let snapshot = self.seen_or_listed(seen).await?;
        let parts = || kind_nodes::containers(&snapshot, &self.name);
        let plane = parts()
            .find(|part| kind_nodes::is_control_plane(part))
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
                return Err(on_remote_loopback(&machine.host));
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
}

fn lost(context: &str) -> Failure {
    Failure::new(format!("no kubeconfig has the context `{context}`")).hint(
        "`kubectl config get-contexts` lists those there are: write one of them in `cluster.context`, or set KUBECONFIG",
    )
}

pub fn on_remote_loopback(machine: &str) -> Failure {
    Failure::new(format!(
        "the API server listens on the loopback of `{machine}`, where this machine does not reach it (api-on-remote-loopback)"
    ))
    .hint("leave `apiServerAddress` out of `cluster.kindConfig.networking`, or write an address of that machine")
}
