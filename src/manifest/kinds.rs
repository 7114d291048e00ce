//! Which kinds there are: the stable ones by heart, the rest as custom resource definitions and
//! the cluster itself tell.

use std::collections::HashMap;
use std::sync::Arc;

/// A kind as objects are addressed by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Empty for the core group.
    pub group: Box<str>,
    pub version: Box<str>,
    pub name: Box<str>,
    pub plural: Box<str>,
    pub namespaced: bool,
    /// Whether plural and scope are known or a guess, to be asked of the cluster.
    pub certain: bool,
}

impl Kind {
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_string()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    pub fn is(&self, group: &str, name: &str) -> bool {
        *self.group == *group && *self.name == *name
    }
}

/// How a kind is addressed, whatever its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    pub plural: Box<str>,
    pub namespaced: bool,
}

/// All kinds that are known so far.
#[derive(Debug, Default, Clone)]
pub struct Kinds {
    told: HashMap<(Box<str>, Box<str>), Served>,
    named: HashMap<(Arc<str>, Arc<str>), Arc<Kind>>,
}

impl Kinds {
    /// A kind that a definition or the cluster tells of.
    pub fn tell(&mut self, group: &str, kind: &str, served: Served) {
        self.named.retain(|_, known| !known.is(group, kind));
        self.told.insert((group.into(), kind.into()), served);
    }

    /// The kind that an object names; where nobody told, it is guessed as `kubectl` users would.
    pub fn named(&mut self, api_version: &Arc<str>, kind: &Arc<str>) -> Arc<Kind> {
        let key = (api_version.clone(), kind.clone());
        if let Some(known) = self.named.get(&key) {
            return known.clone();
        }
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let served = self.served(group, kind);
        let certain = served.is_some();
        let served = served.unwrap_or_else(|| guess(kind));
        let known = Arc::new(Kind {
            group: group.into(),
            version: version.into(),
            name: (**kind).into(),
            plural: served.plural,
            namespaced: served.namespaced,
            certain,
        });
        self.named.insert(key, known.clone());
        known
    }

    fn served(&self, group: &str, kind: &str) -> Option<Served> {
        let told = self.told.get(&(group.into(), kind.into())).cloned();
        told.or_else(|| {
            let (_, _, plural, scope) =
                STABLE.iter().find(|row| row.0 == group && row.1 == kind)?;
            Some(Served { plural: (*plural).into(), namespaced: matches!(scope, Scope::Namespace) })
        })
    }
}

fn guess(kind: &str) -> Served {
    let lower = kind.to_lowercase();
    let plural = match lower.as_bytes() {
        [.., b's' | b'x' | b'z'] | [.., b'c' | b's', b'h'] => format!("{lower}es"),
        [.., before, b'y'] if !b"aeiou".contains(before) => {
            format!("{}ies", &lower[..lower.len() - 1])
        }
        _ => format!("{lower}s"),
    };
    Served { plural: plural.into(), namespaced: true }
}

/// The API that replaced one which no cluster of today serves.
pub fn replacement(api_version: &str, kind: &str) -> Option<&'static str> {
    GONE.iter()
        .find(|(gone, kinds, _)| *gone == api_version && kinds.split(' ').any(|one| one == kind))
        .map(|(_, _, instead)| *instead)
}

const GONE: &[(&str, &str, &str)] = &[
    ("extensions/v1beta1", "Deployment DaemonSet ReplicaSet", "apps/v1"),
    ("apps/v1beta1", "Deployment StatefulSet", "apps/v1"),
    ("apps/v1beta2", "Deployment DaemonSet ReplicaSet StatefulSet", "apps/v1"),
    ("extensions/v1beta1", "Job", "batch/v1"),
    ("batch/v1beta1", "CronJob", "batch/v1"),
    ("batch/v2alpha1", "CronJob", "batch/v1"),
    ("extensions/v1beta1", "Ingress NetworkPolicy", "networking.k8s.io/v1"),
    ("networking.k8s.io/v1beta1", "Ingress IngressClass", "networking.k8s.io/v1"),
    ("apiextensions.k8s.io/v1beta1", "CustomResourceDefinition", "apiextensions.k8s.io/v1"),
    (
        "rbac.authorization.k8s.io/v1beta1",
        "Role RoleBinding ClusterRole ClusterRoleBinding",
        "rbac.authorization.k8s.io/v1",
    ),
    ("policy/v1beta1", "PodDisruptionBudget", "policy/v1"),
    ("autoscaling/v2beta1", "HorizontalPodAutoscaler", "autoscaling/v2"),
    ("autoscaling/v2beta2", "HorizontalPodAutoscaler", "autoscaling/v2"),
    (
        "storage.k8s.io/v1beta1",
        "StorageClass CSIDriver CSINode VolumeAttachment",
        "storage.k8s.io/v1",
    ),
    ("scheduling.k8s.io/v1beta1", "PriorityClass", "scheduling.k8s.io/v1"),
    ("discovery.k8s.io/v1beta1", "EndpointSlice", "discovery.k8s.io/v1"),
    ("coordination.k8s.io/v1beta1", "Lease", "coordination.k8s.io/v1"),
    (
        "admissionregistration.k8s.io/v1beta1",
        "ValidatingWebhookConfiguration MutatingWebhookConfiguration",
        "admissionregistration.k8s.io/v1",
    ),
    ("apiregistration.k8s.io/v1beta1", "APIService", "apiregistration.k8s.io/v1"),
];

#[derive(Debug, Clone, Copy)]
enum Scope {
    Cluster,
    Namespace,
}

use Scope::{Cluster, Namespace};

/// Kinds that every cluster serves, and MetalLB's: their scope and plural do not change between versions.
const STABLE: &[(&str, &str, &str, Scope)] = &[
    ("", "ConfigMap", "configmaps", Namespace),
    ("", "Endpoints", "endpoints", Namespace),
    ("", "Event", "events", Namespace),
    ("", "LimitRange", "limitranges", Namespace),
    ("", "Namespace", "namespaces", Cluster),
    ("", "Node", "nodes", Cluster),
    ("", "PersistentVolume", "persistentvolumes", Cluster),
    ("", "PersistentVolumeClaim", "persistentvolumeclaims", Namespace),
    ("", "Pod", "pods", Namespace),
    ("", "PodTemplate", "podtemplates", Namespace),
    ("", "ReplicationController", "replicationcontrollers", Namespace),
    ("", "ResourceQuota", "resourcequotas", Namespace),
    ("", "Secret", "secrets", Namespace),
    ("", "Service", "services", Namespace),
    ("", "ServiceAccount", "serviceaccounts", Namespace),
    (
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        Cluster,
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        Cluster,
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        Cluster,
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        Cluster,
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", Cluster),
    ("apiregistration.k8s.io", "APIService", "apiservices", Cluster),
    ("apps", "ControllerRevision", "controllerrevisions", Namespace),
    ("apps", "DaemonSet", "daemonsets", Namespace),
    ("apps", "Deployment", "deployments", Namespace),
    ("apps", "ReplicaSet", "replicasets", Namespace),
    ("apps", "StatefulSet", "statefulsets", Namespace),
    ("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers", Namespace),
    ("batch", "CronJob", "cronjobs", Namespace),
    ("batch", "Job", "jobs", Namespace),
    ("certificates.k8s.io", "CertificateSigningRequest", "certificatesigningrequests", Cluster),
    ("coordination.k8s.io", "Lease", "leases", Namespace),
    ("discovery.k8s.io", "EndpointSlice", "endpointslices", Namespace),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema", "flowschemas", Cluster),
    (
        "flowcontrol.apiserver.k8s.io",
        "PriorityLevelConfiguration",
        "prioritylevelconfigurations",
        Cluster,
    ),
    ("gateway.networking.k8s.io", "Gateway", "gateways", Namespace),
    ("gateway.networking.k8s.io", "GatewayClass", "gatewayclasses", Cluster),
    ("gateway.networking.k8s.io", "HTTPRoute", "httproutes", Namespace),
    ("metallb.io", "BFDProfile", "bfdprofiles", Namespace),
    ("metallb.io", "BGPAdvertisement", "bgpadvertisements", Namespace),
    ("metallb.io", "BGPPeer", "bgppeers", Namespace),
    ("metallb.io", "Community", "communities", Namespace),
    ("metallb.io", "IPAddressPool", "ipaddresspools", Namespace),
    ("metallb.io", "L2Advertisement", "l2advertisements", Namespace),
    ("networking.k8s.io", "Ingress", "ingresses", Namespace),
    ("networking.k8s.io", "IngressClass", "ingressclasses", Cluster),
    ("networking.k8s.io", "NetworkPolicy", "networkpolicies", Namespace),
    ("node.k8s.io", "RuntimeClass", "runtimeclasses", Cluster),
    ("policy", "PodDisruptionBudget", "poddisruptionbudgets", Namespace),
    ("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", Cluster),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings", Cluster),
    ("rbac.authorization.k8s.io", "Role", "roles", Namespace),
    ("rbac.authorization.k8s.io", "RoleBinding", "rolebindings", Namespace),
    ("scheduling.k8s.io", "PriorityClass", "priorityclasses", Cluster),
    ("storage.k8s.io", "CSIDriver", "csidrivers", Cluster),
    ("storage.k8s.io", "CSINode", "csinodes", Cluster),
    ("storage.k8s.io", "CSIStorageCapacity", "csistoragecapacities", Namespace),
    ("storage.k8s.io", "StorageClass", "storageclasses", Cluster),
    ("storage.k8s.io", "VolumeAttachment", "volumeattachments", Cluster),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn named(kinds: &mut Kinds, api_version: &str, kind: &str) -> Arc<Kind> {
        kinds.named(&api_version.into(), &kind.into())
    }

    #[test]
    fn stable_kinds_are_known_in_any_version() {
        let kind = named(&mut Kinds::default(), "autoscaling/v2", "HorizontalPodAutoscaler");
        assert!(kind.certain && kind.namespaced);
        assert_eq!((&*kind.group, &*kind.version), ("autoscaling", "v2"));
        assert!(!named(&mut Kinds::default(), "v1", "Namespace").namespaced);
    }

    #[test]
    fn other_kinds_are_guessed_until_somebody_tells() {
        let mut kinds = Kinds::default();
        let guessed = named(&mut kinds, "example.com/v1", "Policy");
        assert_eq!(
            (&*guessed.plural, guessed.namespaced, guessed.certain),
            ("policies", true, false)
        );

        let served = Served { plural: "policys".into(), namespaced: false };
        kinds.tell("example.com", "Policy", served);
        let told = named(&mut kinds, "example.com/v1", "Policy");
        assert_eq!((&*told.plural, told.namespaced, told.certain), ("policys", false, true));
    }

    #[test]
    fn what_is_gone_has_a_replacement() {
        assert_eq!(replacement("extensions/v1beta1", "DaemonSet"), Some("apps/v1"));
        assert_eq!(replacement("extensions/v1beta1", "Job"), Some("batch/v1"));
        assert_eq!(replacement("apps/v1", "DaemonSet"), None);
    }
}
