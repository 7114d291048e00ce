//! Into the cluster, by its API: lists in the Service's namespace and in those of the parts that
//! carry it.

use std::net::IpAddr;
use std::sync::Arc;

use futures::future::join_all;
use kube::api::DynamicObject;
use serde_json::Value;

use super::super::sight::{Cluster, Look, ServicePort, Workload, endpoints};
use super::super::way::{Goal, Way};
use crate::backend::kube::{Kube, KubeError, Target};
use crate::manifest::{Kind, Kinds};
use crate::resources::{self, Context, pods};
use crate::topology::ServiceRef;

const METALLB: &str = "metallb-system";
const SYSTEM: &str = "kube-system";

pub async fn look(cx: &Context, way: &Way) -> Look<Cluster> {
    let kube = cx.kube().await.map_err(|failure| failure.to_string())?;
    let asked = if matches!(way.to, Goal::Address(_)) {
        return Ok(Cluster::default());
    } else {
        ask(&kube, way).await
    };
    asked.map_err(|error| error.to_string())
}

async fn ask(kube: &Kube, way: &Way) -> Result<Cluster, KubeError> {
    let list = |api: &str, name: &str, namespace: Option<&'static str>, labels: &'static str| {
        let kind = kind(api, name);
        async move { kube.list_in(&kind, namespace, labels).await }
    };
    let (service, nodes, metallb, proxies, pools, advertisements) = tokio::try_join!(
        service(kube, way),
        list("v1", "Node", None, ""),
        list("v1", "Pod", Some(METALLB), ""),
        list("v1", "Pod", Some(SYSTEM), "k8s-app=kube-proxy"),
        list("metallb.io/v1beta1", "IPAddressPool", Some(METALLB), ""),
        list("metallb.io/v1beta1", "L2Advertisement", Some(METALLB), ""),
    )?;
    let mut cluster =
        Cluster { service, nodes, metallb, pools, advertisements, proxies, ..Cluster::default() };
    behind(kube, way, &mut cluster).await?;
    Ok(cluster)
}

/// What is behind the Service, and where none of it is ready, why.
async fn behind(kube: &Kube, way: &Way, cluster: &mut Cluster) -> Result<(), KubeError> {
    let Some(service) = &cluster.service else { return Ok(()) };
    let namespace = service.metadata.namespace.clone().unwrap_or_default();
    let name = service.metadata.name.clone().unwrap_or_default();
    let selector = labels(service.data.pointer("/spec/selector"));
    let of_service = format!("kubernetes.io/service-name={name}");
    let (slices, selected, policies, warnings) = tokio::try_join!(
        in_namespace(kube, "discovery.k8s.io/v1", "EndpointSlice", &namespace, &of_service),
        async {
            match &selector {
                Some(labels) => in_namespace(kube, "v1", "Pod", &namespace, labels).await,
                None => Ok(Vec::new()),
            }
        },
        in_namespace(kube, "networking.k8s.io/v1", "NetworkPolicy", &namespace, ""),
        kube.warnings("Service", &namespace, &name),
    )?;
    let port = cluster.port(way);
    let v4 = cluster.addresses().first().is_none_or(IpAddr::is_ipv4);
    cluster.endpoints = endpoints(&slices, port.as_ref(), v4);
    (cluster.pods, cluster.policies, cluster.warnings) = (selected, policies, warnings);
    if cluster.ready().next().is_none() {
        ask_why(kube, &namespace, cluster).await?;
    }
    Ok(())
}

async fn ask_why(kube: &Kube, namespace: &str, cluster: &mut Cluster) -> Result<(), KubeError> {
    if cluster.pods.is_empty() {
        cluster.others = in_namespace(kube, "v1", "Pod", namespace, "").await?;
        for name in ["Deployment", "StatefulSet", "DaemonSet"] {
            let kind = kind("apps/v1", name);
            let found = kube.list_in(&kind, Some(namespace), "").await?;
            let found = found.into_iter().map(|object| Workload { kind: kind.clone(), object });
            cluster.workloads.extend(found);
        }
    }
    let complaints = cluster.pods.iter().map(async |pod| {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let complaint = pods::complaint_or_warning(kube, namespace, name, &pod.data).await;
        let state = || pod.data.pointer("/status/phase").and_then(Value::as_str).map(str::to_owned);
        let words = complaint.or_else(state).unwrap_or_default();
        format!("pod {name}: {words}")
    });
    cluster.complaints = join_all(complaints).await;
    Ok(())
}

/// The Service of the way. One that serves a port of every node is found by that port.
async fn service(kube: &Kube, way: &Way) -> Result<Option<DynamicObject>, KubeError> {
    let kind = kind("v1", "Service");
    match &way.to {
        Goal::Service(service, _) => {
            let (namespace, name) = (service.namespace.as_str(), service.name.as_str());
            kube.get(&Target { kind: &kind, namespace: Some(namespace), name }).await
        }
        Goal::NodePort(number) => {
            let all = kube.list(&kind, "").await?;
            let serves = |service: &DynamicObject| {
                let ports = service.data.pointer("/spec/ports").and_then(Value::as_array);
                ports.into_iter().flatten().any(|port| port["nodePort"] == *number)
            };
            Ok(all.into_iter().find(serves))
        }
        Goal::Address(_) => Ok(None),
    }
}

/// The Services of the cluster that ask for an address.
pub async fn balanced(cx: &Context) -> Look<Vec<ServiceRef>> {
    let kube = cx.kube().await.map_err(|failure| failure.to_string())?;
    let balanced = resources::balanced(&kube).await.map_err(|error| error.to_string())?;
    let names = balanced
        .into_iter()
        .filter_map(|it| format!("{}/{}", it.metadata.namespace?, it.metadata.name?).parse().ok());
    Ok(names.collect())
}

async fn in_namespace(
    kube: &Kube,
    api: &str,
    name: &str,
    namespace: &str,
    labels: &str,
) -> Result<Vec<DynamicObject>, KubeError> {
    kube.list_in(&kind(api, name), Some(namespace), labels).await
}

fn kind(api: &str, name: &str) -> Arc<Kind> {
    Kinds::default().named(&api.into(), &name.into())
}

fn labels(selector: Option<&Value>) -> Option<String> {
    let pairs = selector?.as_object()?.iter();
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

pub fn address_of(node: &Value) -> Option<IpAddr> {
    let addresses = node.pointer("/status/addresses")?.as_array()?;
    let internal = addresses.iter().find(|address| address["type"] == "InternalIP")?;
    internal["address"].as_str()?.parse().ok()
}

impl Cluster {
    /// The port of the Service that the way goes to; the first where it names none.
    pub fn port(&self, way: &Way) -> Option<ServicePort> {
        let mut ports = self.ports().into_iter();
        match &way.to {
            Goal::Service(_, None) => ports.next(),
            Goal::Service(_, Some(key)) => {
                let (named, of_proto): (Vec<_>, Vec<_>) = {
                    let named: Vec<ServicePort> = ports.filter(|port| port.is(key)).collect();
                    let fits =
                        named.iter().filter(|port| port.carries(way.proto)).cloned().collect();
                    (named, fits)
                };
                of_proto.into_iter().next().or(named.into_iter().next())
            }
            Goal::NodePort(number) => ports.find(|port| port.node_port == Some(*number)),
            Goal::Address(_) => None,
        }
    }
}
