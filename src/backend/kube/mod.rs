//! The Kubernetes API: few calls, all narrow, every one with an end.

mod changes;
mod config;
mod error;
mod proxy;
#[cfg(test)]
mod tests;
mod wait;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams,
    Preconditions, PropagationPolicy, ValidationDirective,
};
use kube::core::DynamicResourceScope;
use kube::discovery::{ApiGroup, Discovery, Scope};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use super::log::{Extent, Lines, lines};
use crate::manifest::Kind;

pub use changes::Watched;
pub use error::{Conflict, KubeError};
pub use kube::config::Kubeconfig;
pub use proxy::{Proxies, shown as shown_proxy};
pub use wait::{Deadline, Verdict, WaitError, until_all};

/// Server-side apply knows topo by this name.
pub const MANAGER: &str = "topo";

/// A call that takes longer than this is not slow but stuck.
const CALL: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);
const TRY_AGAIN: Duration = Duration::from_millis(100);
const PAGE: u32 = 500;

/// Which cluster to talk to.
#[derive(Debug, Clone)]
pub enum Access {
    /// A kubeconfig of topo's own.
    Given(Box<Kubeconfig>),
    /// A named context of the user's kubeconfig files, later ones filling up earlier ones.
    Context { files: Vec<PathBuf>, name: String },
}

/// A cluster's API. Cheap to clone.
#[derive(Clone)]
pub struct Kube {
    client: Client,
    server: String,
    /// For how long a call that does not reach the server is tried again.
    patience: Duration,
}

/// What a cluster serves, by group and name.
pub type ServedKinds = BTreeMap<(Box<str>, Box<str>), Arc<Kind>>;

/// One object as the API addresses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'a> {
    pub kind: &'a Kind,
    pub namespace: Option<&'a str>,
    pub name: &'a str,
}

/// How an object is applied.
#[derive(Debug, Clone, Copy, Default)]
pub struct Apply {
    /// Take fields over from other managers.
    pub force: bool,
    /// Ask what would come of it and change nothing.
    pub dry_run: bool,
}

impl Kube {
    pub fn connect(access: &Access, proxies: &Proxies) -> Result<Self, KubeError> {
        let config = match access {
            Access::Given(kubeconfig) => config::config(kubeconfig, None, proxies),
            Access::Context { files, name } => config::config(&merged(files)?, Some(name), proxies),
        }?;
        let url = &config.cluster_url;
        let server = match &config.proxy_url {
            Some(proxy) => {
                format!("{url} (through the proxy {})", proxy::shown(&proxy.to_string()))
            }
            None => url.to_string(),
        };
        let client =
            Client::try_from(config).map_err(|error| KubeError::from_call(&server, error))?;
        Ok(Self { client, server, patience: Duration::ZERO })
    }

    /// Tries again for so long where the server is not reached. Every call here may be repeated.
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The version that the API server says it has: `v1.34.4`.
    pub async fn version(&self) -> Result<String, KubeError> {
        let version = self.call(|| self.client.apiserver_version()).await?;
        Ok(version.git_version)
    }

    /// Every kind that the cluster serves, by group and name, in the version it prefers; two calls.
    pub async fn served(&self) -> Result<ServedKinds, KubeError> {
        let discovery = self.call(|| Discovery::new(self.client.clone()).run_aggregated()).await?;
        let resources = discovery.groups().flat_map(ApiGroup::recommended_resources);
        let kinds = resources.map(|(resource, capabilities)| Kind {
            group: resource.group.into(),
            version: resource.version.into(),
            name: resource.kind.into(),
            plural: resource.plural.into(),
            namespaced: capabilities.scope == Scope::Namespaced,
            certain: true,
        });
        Ok(kinds.map(|kind| ((kind.group.clone(), kind.name.clone()), Arc::new(kind))).collect())
    }

    /// Every object of a kind with these labels, in all namespaces; none if the kind is not served.
    pub async fn list(&self, kind: &Kind, labels: &str) -> Result<Vec<DynamicObject>, KubeError> {
        self.list_in(kind, None, labels).await
    }

    pub async fn list_in(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Vec<DynamicObject>, KubeError> {
        self.pages(&self.api(kind, namespace), ListParams::default().labels(labels)).await
    }

    /// Every object of a kind of which this holds: `spec.type=LoadBalancer`.
    pub async fn list_where(
        &self,
        kind: &Kind,
        fields: &str,
    ) -> Result<Vec<DynamicObject>, KubeError> {
        self.pages(&self.api(kind, None), ListParams::default().fields(fields)).await
    }

    async fn pages(
        &self,
        api: &Api<DynamicObject>,
        params: ListParams,
    ) -> Result<Vec<DynamicObject>, KubeError> {
        let mut params = params.limit(PAGE);
        let mut found = Vec::new();
        loop {
            let page = match self.call(|| api.list(&params)).await {
                Err(KubeError::NotFound(_)) => return Ok(found),
                page => page?,
            };
            found.extend(page.items);
            match page.metadata.continue_ {
                Some(token) if !token.is_empty() => params = params.continue_token(&token),
                _ => return Ok(found),
            }
        }
    }

    /// The metadata of every object of a kind, without what they hold.
    pub async fn marks_in(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
    ) -> Result<Vec<DynamicObject>, KubeError> {
        let api = self.api(kind, namespace);
        let mut params = ListParams::default().limit(PAGE);
        let mut found = Vec::new();
        loop {
            let page = match self.call(|| api.list_metadata(&params)).await {
                Err(KubeError::NotFound(_)) => return Ok(found),
                page => page?,
            };
            found.extend(page.items.into_iter().map(|object| DynamicObject {
                types: None,
                metadata: object.metadata,
                data: Value::Null,
            }));
            match page.metadata.continue_ {
                Some(token) if !token.is_empty() => params = params.continue_token(&token),
                _ => return Ok(found),
            }
        }
    }

    /// None if it is not there, or its kind is not served.
    pub async fn get(&self, target: &Target<'_>) -> Result<Option<DynamicObject>, KubeError> {
        let api = self.api(target.kind, target.namespace);
        match self.call(|| api.get(target.name)).await {
            Ok(object) => Ok(Some(object)),
            Err(KubeError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub async fn apply(
        &self,
        target: &Target<'_>,
        body: &Value,
        how: Apply,
    ) -> Result<DynamicObject, KubeError> {
        let mut params = PatchParams::apply(MANAGER);
        params.force = how.force;
        params.dry_run = how.dry_run;
        params.field_validation = Some(ValidationDirective::Strict);
        let api = self.api(target.kind, target.namespace);
        let patch = Patch::Apply(body);
        self.call(|| api.patch(target.name, &params, &patch)).await
    }

    /// Changes what a merge patch names, without becoming the owner of more.
    pub async fn patch(&self, target: &Target<'_>, patch: &Value) -> Result<(), KubeError> {
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let api = self.api(target.kind, target.namespace);
        let patch = Patch::Merge(patch);
        self.call(|| api.patch(target.name, &params, &patch)).await.map(drop)
    }

    /// Deletes this very object and not one that has taken its name since. One that is gone is fine.
    pub async fn delete(&self, target: &Target<'_>, uid: Option<&str>) -> Result<(), KubeError> {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: uid
                .map(|uid| Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..Default::default()
        };
        let api = self.api(target.kind, target.namespace);
        match self.call(|| api.delete(target.name, &params)).await {
            Ok(_) | Err(KubeError::NotFound(_)) => Ok(()),
            // Another object has the name by now: the one that was meant is gone.
            Err(KubeError::Conflict { conflicts, .. }) if conflicts.is_empty() && uid.is_some() => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The last lines of a container, or of the run of it before this one.
    pub async fn log_tail(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
        lines: i64,
    ) -> Result<Vec<String>, KubeError> {
        let pods: Api<k8s_openapi::api::core::v1::Pod> =
            Api::namespaced(self.client.clone(), namespace);
        let params = LogParams {
            container: Some(container.to_owned()),
            previous,
            tail_lines: Some(lines),
            ..Default::default()
        };
        let text = self.call(|| pods.logs(pod, &params)).await?;
        Ok(text.lines().map(ToOwned::to_owned).collect())
    }

    /// The log of a container of a pod: of the run that is, or else of the last one that was.
    pub async fn log(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        extent: Extent,
    ) -> Result<Lines, KubeError> {
        let pods: Api<k8s_openapi::api::core::v1::Pod> =
            Api::namespaced(self.client.clone(), namespace);
        let seconds = |since: Duration| i64::try_from(since.as_secs()).unwrap_or(i64::MAX).max(1);
        let params = LogParams {
            container: Some(container.to_owned()),
            follow: extent.follow,
            tail_lines: extent.tail.map(i64::from),
            since_seconds: extent.since.map(seconds),
            ..Default::default()
        };
        Ok(lines(self.call(|| pods.log_stream(pod, &params)).await?))
    }

    /// What the cluster warned of about an object, the latest last: `FailedMount: …`.
    pub async fn warnings(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Vec<String>, KubeError> {
        let events: Api<k8s_openapi::api::core::v1::Event> =
            Api::namespaced(self.client.clone(), namespace);
        let fields = format!("involvedObject.kind={kind},involvedObject.name={name},type=Warning");
        let params = ListParams::default().fields(&fields);
        let listed = self.call(|| events.list(&params)).await?;
        let mut warnings = listed.items;
        warnings.sort_by_key(|event| event.last_timestamp.clone().map(|time| time.0));
        Ok(warnings
            .into_iter()
            .map(|event| {
                let reason = event.reason.unwrap_or_default();
                format!("{reason}: {}", event.message.unwrap_or_default().trim())
            })
            .collect())
    }

    fn api(&self, kind: &Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        self.api_of(kind, namespace)
    }

    /// Of whole objects, or of their metadata alone.
    fn api_of<K>(&self, kind: &Kind, namespace: Option<&str>) -> Api<K>
    where
        K: kube::Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
    {
        let resource = ApiResource {
            group: kind.group.to_string(),
            version: kind.version.to_string(),
            api_version: kind.api_version(),
            kind: kind.name.to_string(),
            plural: kind.plural.to_string(),
        };
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    async fn call<T, F>(&self, call: impl Fn() -> F) -> Result<T, KubeError>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let since = Instant::now();
        loop {
            let answer = match timeout(CALL, call()).await {
                Ok(answer) => answer.map_err(|error| self.error(error)),
                Err(_) => Err(KubeError::Stuck { server: self.server.clone(), after: CALL }),
            };
            match answer {
                Err(KubeError::Unreachable { .. }) if since.elapsed() < self.patience => {
                    sleep(TRY_AGAIN).await;
                }
                answer => return answer,
            }
        }
    }

    fn error(&self, error: kube::Error) -> KubeError {
        KubeError::from_call(&self.server, error)
    }
}

impl Access {
    /// Whether the kubeconfig has what is to be used.
    pub fn is_there(&self) -> Result<bool, KubeError> {
        match self {
            Self::Given(_) => Ok(true),
            Self::Context { files, name } => {
                Ok(merged(files)?.contexts.iter().any(|context| context.name == *name))
            }
        }
    }

    /// A kubeconfig of nothing but what is to be used.
    pub fn alone(&self) -> Result<Kubeconfig, KubeError> {
        match self {
            Self::Given(kubeconfig) => Ok((**kubeconfig).clone()),
            Self::Context { files, name } => Ok(config::alone(merged(files)?, name)),
        }
    }
}

fn read_kubeconfig(path: &Path) -> Result<Kubeconfig, KubeError> {
    Kubeconfig::read_from(path).map_err(KubeError::Kubeconfig)
}

fn merged(files: &[PathBuf]) -> Result<Kubeconfig, KubeError> {
    files.iter().filter(|path| path.exists()).try_fold(Kubeconfig::default(), |merged, path| {
        merged.merge(read_kubeconfig(path)?).map_err(KubeError::Kubeconfig)
    })
}
