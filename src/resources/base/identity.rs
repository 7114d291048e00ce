//! Whether a context still means the cluster that a topology was applied to: contexts get other names,
//! and names come to mean other clusters.

use crate::backend::kube::{Kube, Target};
use crate::engine::Failure;
use crate::manifest::Kinds;
use crate::resources::base::context::Context;
use crate::resources::base::existing::Existing;

impl Context {
    /// The cluster that topo did not make with its own id, for the claim.
    pub async fn identified(&self) -> Result<Option<Existing>, Failure> {
        let Some(existing) = &self.existing else { return Ok(None) };
        let uid = uid(&self.kube_ready().await?).await?;
        Ok(Some(Existing { uid, ..existing.clone() }))
    }

    /// What was applied to one cluster is not left behind in it when the file names another.
    pub async fn refuse_another_cluster(&self) -> Result<(), Failure> {
        let Some(before) = self.claim().await.and_then(|claim| claim.existing) else {
            return Ok(());
        };
        let is_same = match &self.existing {
            Some(now) if now.context == before.context => true,
            Some(_) => uid(&self.kube_ready().await?).await? == before.uid,
            None => false,
        };
        if is_same {
            return Ok(());
        }
        let now = match &self.existing {
            Some(now) => format!("the context `{}`, which is another cluster", now.context),
            None => "no context".to_owned(),
        };
        Err(Failure::new(format!(
            "topology `{}` is applied to the cluster of the context `{}`, and the file names {now}",
            self.name, before.context
        ))
        .hint(format!("`topo destroy --name {}` takes it out of that cluster first", self.name)))
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
