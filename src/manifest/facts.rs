//! What topo has to know of an object besides its name, read from its canonical JSON.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The few things in a body that edges of the graph are drawn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Facts {
    Plain,
    /// It runs pods: the images they need, and the claims that they mount.
    Runs {
        images: Box<[Box<str>]>,
        claims: Box<[Box<str>]>,
    },
    /// A Service that asks for an address, of one pool or of any.
    Balanced {
        pool: Option<Box<str>>,
    },
    /// It makes a kind known to the cluster.
    Defines(Box<Definition>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    pub group: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
}

/// When Helm applies an object of a chart that is not applied with the others; the lower weight first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    Before(i32),
    After(i32),
    /// At other times than when it installs.
    Elsewhere(String),
}

/// What every object has, and what makes it a list of them, whatever its kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head<'j> {
    pub api_version: Option<String>,
    pub kind: Option<String>,
    #[serde(default)]
    pub metadata: Metadata,
    #[serde(default, borrow, deserialize_with = "present")]
    pub items: Option<&'j RawValue>,
}

/// `null` is a value too.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    pub name: Option<String>,
    pub generate_name: Option<String>,
    pub namespace: Option<String>,
}

/// The facts of a body. One that is not shaped as its kind should be has none: the cluster will say
/// what is wrong with it.
pub fn facts(api_version: &str, kind: &str, json: &[u8]) -> Facts {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let found = match (group, kind) {
        ("", "Service") => service(json),
        ("", "Pod") => read::<Spec<PodSpec>>(json).map(|pod| pod.spec.facts()),
        ("", "ReplicationController")
        | ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job") => read::<Spec<Templated>>(json).map(|it| it.spec.template.spec.facts()),
        ("batch", "CronJob") => {
            read::<Spec<Scheduled>>(json).map(|it| it.spec.job_template.spec.template.spec.facts())
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(json),
        _ => None,
    };
    found.unwrap_or(Facts::Plain)
}

/// A Job with a selector of its own that does not say that it means it is refused by every cluster.
pub fn has_stray_selector(json: &[u8]) -> bool {
    read::<Spec<JobSpec>>(json)
        .is_some_and(|job| job.spec.selector.is_some() && job.spec.manual_selector != Some(true))
}

/// As the annotations say it, of which Helm goes by `helm.sh/hook`.
pub fn hook(json: &[u8]) -> Option<Hook> {
    let notes = read::<Hooked>(json)?.metadata.annotations;
    let events = notes.events?;
    let weight = notes.weight.and_then(|weight| weight.trim().parse().ok()).unwrap_or(0);
    let is_at = |event| events.split(',').any(|it| it.trim().eq_ignore_ascii_case(event));
    Some(if is_at("pre-install") {
        Hook::Before(weight)
    } else if is_at("post-install") {
        Hook::After(weight)
    } else {
        Hook::Elsewhere(events)
    })
}

fn read<'de, T: Deserialize<'de>>(json: &'de [u8]) -> Option<T> {
    serde_json::from_slice(json).ok()
}

fn service(json: &[u8]) -> Option<Facts> {
    let Service { metadata, spec } = read(json)?;
    if spec.kind.as_deref() != Some("LoadBalancer") {
        return None;
    }
    let notes = metadata.annotations;
    Some(Facts::Balanced { pool: notes.pool.or(notes.old_pool).map(String::into_boxed_str) })
}

fn definition(json: &[u8]) -> Option<Facts> {
    let CustomResource { group, scope, names } = read::<Spec<CustomResource>>(json)?.spec;
    Some(Facts::Defines(Box::new(Definition {
        group,
        kind: names.kind,
        plural: names.plural,
        namespaced: scope == "Namespaced",
    })))
}

#[derive(Deserialize)]
struct Spec<T> {
    spec: T,
}

#[derive(Deserialize)]
struct Templated {
    template: Spec<PodSpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Scheduled {
    job_template: Spec<Templated>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobSpec {
    selector: Option<serde::de::IgnoredAny>,
    manual_selector: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    #[serde(default)]
    containers: Vec<Container>,
    #[serde(default)]
    init_containers: Vec<Container>,
    #[serde(default)]
    volumes: Vec<Volume>,
}

#[derive(Deserialize)]
struct Container {
    image: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    persistent_volume_claim: Option<Claim>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claim {
    claim_name: Box<str>,
}

impl PodSpec {
    fn facts(self) -> Facts {
        let containers = self.init_containers.into_iter().chain(self.containers);
        let mut images: Vec<_> = containers.filter_map(|container| container.image).collect();
        images.sort_unstable();
        images.dedup();
        let claims = self.volumes.into_iter().filter_map(|volume| volume.persistent_volume_claim);
        Facts::Runs {
            images: images.into(),
            claims: claims.map(|claim| claim.claim_name).collect(),
        }
    }
}

#[derive(Deserialize)]
struct Service {
    metadata: ServiceMetadata,
    spec: ServiceSpec,
}

#[derive(Deserialize)]
struct ServiceMetadata {
    #[serde(default)]
    annotations: ServiceNotes,
}

#[derive(Deserialize, Default)]
struct ServiceNotes {
    #[serde(rename = "metallb.io/address-pool")]
    pool: Option<String>,
    #[serde(rename = "metallb.universe.tf/address-pool")]
    old_pool: Option<String>,
}

#[derive(Deserialize)]
struct Hooked {
    metadata: HookedMetadata,
}

#[derive(Deserialize)]
struct HookedMetadata {
    annotations: HookNotes,
}

#[derive(Deserialize)]
struct HookNotes {
    #[serde(rename = "helm.sh/hook")]
    events: Option<String>,
    #[serde(rename = "helm.sh/hook-weight")]
    weight: Option<String>,
}

#[derive(Deserialize)]
struct ServiceSpec {
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct CustomResource {
    group: String,
    scope: String,
    names: CustomNames,
}

#[derive(Deserialize)]
struct CustomNames {
    kind: String,
    plural: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_name_their_images_and_claims_wherever_the_template_is() {
        let pod = r#"{"containers":[{"image":"b"},{"image":"a"}],"initContainers":[{"image":"b"}],
            "volumes":[{"persistentVolumeClaim":{"claimName":"docs"}},{"emptyDir":{}}]}"#;
        let runs =
            Facts::Runs { images: ["a".into(), "b".into()].into(), claims: ["docs".into()].into() };
        let cases = [
            ("v1", "Pod", format!(r#"{{"spec":{pod}}}"#)),
            ("apps/v1", "Deployment", format!(r#"{{"spec":{{"template":{{"spec":{pod}}}}}}}"#)),
            (
                "batch/v1",
                "CronJob",
                format!(
                    r#"{{"spec":{{"jobTemplate":{{"spec":{{"template":{{"spec":{pod}}}}}}}}}}}"#
                ),
            ),
        ];
        for (api_version, kind, json) in cases {
            assert_eq!(facts(api_version, kind, json.as_bytes()), runs, "{kind}");
        }
    }

    #[test]
    fn only_load_balancers_ask_for_an_address() {
        let json = br#"{"metadata":{"annotations":{"metallb.io/address-pool":"dev"}},
            "spec":{"type":"LoadBalancer"}}"#;
        assert_eq!(facts("v1", "Service", json), Facts::Balanced { pool: Some("dev".into()) });
        let json = br#"{"metadata":{},"spec":{"type":"NodePort"}}"#;
        assert_eq!(facts("v1", "Service", json), Facts::Plain);
    }

    #[test]
    fn hooks_of_an_installation_have_their_order_and_others_do_not_belong() {
        let hook = |events: &str, weight: &str| {
            let notes = format!(r#""helm.sh/hook":"{events}","helm.sh/hook-weight":"{weight}""#);
            super::hook(format!(r#"{{"metadata":{{"annotations":{{{notes}}}}}}}"#).as_bytes())
        };
        assert_eq!(hook("pre-install, pre-upgrade", "-5"), Some(Hook::Before(-5)));
        assert_eq!(hook("post-upgrade,post-install", "x"), Some(Hook::After(0)));
        assert_eq!(hook("test", "1"), Some(Hook::Elsewhere("test".to_owned())));
        assert_eq!(super::hook(br#"{"metadata":{"annotations":{"a":"b"}}}"#), None);
        assert!(Hook::Before(9) < Hook::After(-9));
    }

    #[test]
    fn a_body_of_another_shape_has_no_facts() {
        assert_eq!(facts("apps/v1", "Deployment", br#"{"spec":{"template":"x"}}"#), Facts::Plain);
        assert_eq!(facts("example.com/v1", "Service", br#"{"spec":{"type":7}}"#), Facts::Plain);
    }

    #[test]
    fn a_job_may_name_a_selector_only_if_it_says_so() {
        assert!(has_stray_selector(br#"{"spec":{"selector":{"matchLabels":{"a":"b"}}}}"#));
        assert!(!has_stray_selector(br#"{"spec":{"selector":{},"manualSelector":true}}"#));
        assert!(!has_stray_selector(br#"{"spec":{}}"#));
    }
}
