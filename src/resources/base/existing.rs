//! A cluster that topo did not make: the way to it, and where topo keeps its list in it.

use serde::{Deserialize, Serialize};

use crate::backend::kube::{Access, Kube, Target};
use crate::engine::Failure;
use crate::manifest::Kinds;
use crate::resources::base::context::Context;
use crate::topology::Topology;

/// Written in the claim, so that the topology can be taken out of the cluster without its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Existing {
    pub context: String,
    pub inventory_namespace: String,
    /// Of the cluster's kube-system: contexts get other names, and names come to mean other clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

impl Existing {
    /// The one that the file names, if it does.
    pub fn named(topology: &Topology) -> Option<Self> {
        let cluster = topology.cluster.as_ref()?;
        Some(Self {
            context: cluster.context.clone()?,
            inventory_namespace: cluster.inventory_namespace().to_owned(),
            uid: None,
        })
    }

    pub fn access(&self, cx: &Context) -> Access {
        let files = match (cx.variable)("KUBECONFIG") {
            Some(list) => std::env::split_paths(&list).collect(),
            None => cx.kubeconfig.iter().map(|file| file.path().to_owned()).collect(),
        };
        Access::Context { files, name: self.context.clone() }
    }

    /// The same with the cluster's own id, for the claim.
    pub async fn identified(&self, cx: &Context) -> Result<Self, Failure> {
        let uid = uid(&cx.kube_ready().await?).await?;
        Ok(Self { uid, ..self.clone() })
    }
}

async fn uid(kube: &Kube) -> Result<Option<String>, Failure> {
    let namespace = Kinds::default().named(&"v1".into(), &"Namespace".into());
    let target = Target { kind: &namespace, namespace: None, name: "kube-system" };
    let found = kube
        .get(&target)
        .await
        .map_err(|error| Failure::because("cannot look into the cluster", &error))?;
    Ok(found.and_then(|found| found.metadata.uid))
}

/// What was applied to one cluster is not left behind in it when the file names another.
pub async fn refuse_another(cx: &Context) -> Result<(), Failure> {
    let Some(before) = cx.claim().await.and_then(|claim| claim.existing) else { return Ok(()) };
    let is_same = match &cx.existing {
        Some(now) if now.context == before.context => true,
        Some(_) => uid(&cx.kube_ready().await?).await? == before.uid,
        None => false,
    };
    if is_same {
        return Ok(());
    }
    let now = match &cx.existing {
        Some(now) => format!("the context `{}`, which is another cluster", now.context),
        None => "no context".to_owned(),
    };
    Err(Failure::new(format!(
        "topology `{}` is applied to the cluster of the context `{}`, and the file names {now}",
        cx.name, before.context
    ))
    .hint(format!("`topo destroy --name {}` takes it out of that cluster first", cx.name)))
}
