//! MetalLB: its released manifest with topo's few changes, applied whole, and waited for until it
//! really takes pools.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::DynamicObject;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::found::{self, Found};
use super::{Context, drift, marks, pods, ready, stages};
use crate::backend::kube::{Apply, Deadline, Kube, KubeError, Target, Verdict, WaitError};
use crate::engine::{Amount, Failure, Tally, Turn, Work};
use crate::manifest::{self, Kind, Kinds, Manifests, Source, Syntax};
use crate::plan::{
    Bond, Effect, Fields, Id, Origin, Outputs, Record, Resource, Seen, State, Table, Want, World,
};
use crate::topology::{Metallb, Topology};

pub const TABLE: Table =
    Table { effects: &[("version", Effect::InPlace)], ..Table::plain("metallb") };

pub const NAMESPACE: &str = "metallb-system";
const NAME: &str = "metallb";

/// Releases whose manifests were read, with the checksum of the file that was.
const RELEASES: &[(&str, &str)] = &[
    ("v0.16.1", "bf25feebb7582ca7df845efd52ffbc2960d6cbf4cfc972f47fded9f788b67f0b"),
    ("v0.15.3", "84b4e102f2b65f5d69085f5816c29362b74641873d8ac3de996e5f86a8219176"),
];

/// Counts up when `rendered` changes what it makes of the same manifest.
const RENDERING: u32 = 1;

const WAIT: Duration = Duration::from_mins(3);
const PASSING: Duration = Duration::from_secs(30);
const GONE: Duration = Duration::from_mins(2);
const AT_ONCE: usize = 16;

pub fn id() -> Id {
    Id::new(TABLE.kind, NAME)
}

/// The images that a release runs, for loading them onto the nodes ahead.
pub fn images(metallb: &Metallb) -> [String; 2] {
    ["controller", "speaker"]
        .map(|part| format!("quay.io/metallb/{part}:{}", metallb.version.as_str()))
}

/// Where the manifest comes from, and what tells one from another.
enum Origins {
    Pinned { url: String, sha256: &'static str },
    File { path: std::path::PathBuf, text: String },
}

impl Origins {
    fn of(metallb: &Metallb) -> Result<Self, Failure> {
        if let Some(file) = &metallb.manifest {
            let text = std::fs::read_to_string(file.path()).map_err(|error| {
                Failure::because(format!("cannot read `{}`", file.written()), &error)
            })?;
            return Ok(Self::File { path: file.path().to_owned(), text });
        }
        let version = metallb.version.as_str();
        let Some((_, sha256)) = RELEASES.iter().find(|(known, _)| *known == version) else {
            let known: Vec<&str> = RELEASES.iter().map(|(version, _)| *version).collect();
            return Err(Failure::new(format!("the manifest of MetalLB {version} is not pinned in this topo"))
                .hint(format!(
                    "write `version: {}`, or download that release's metallb-native.yaml and name it with `manifest:`",
                    known.join("` or `")
                )));
        };
        let url = format!(
            "https://raw.githubusercontent.com/metallb/metallb/{version}/config/manifests/metallb-native.yaml"
        );
        Ok(Self::Pinned { url, sha256 })
    }

    fn fingerprint(&self) -> String {
        let content = match self {
            Self::Pinned { sha256, .. } => (*sha256).to_owned(),
            Self::File { text, .. } => format!("{:x}", Sha256::digest(text)),
        };
        format!("sha256:{content}+{RENDERING}")
    }

    fn name(&self) -> String {
        match self {
            Self::Pinned { url, .. } => url.clone(),
            Self::File { path, .. } => path.display().to_string(),
        }
    }

    /// The manifest's text if it is on this machine.
    fn here(&self, cx: &Context) -> Option<String> {
        match self {
            Self::Pinned { sha256, .. } => std::fs::read_to_string(cx.downloads.kept(sha256)?).ok(),
            Self::File { text, .. } => Some(text.clone()),
        }
    }

    async fn fetched(&self, cx: &Context, turn: &Turn) -> Result<String, Failure> {
        if let Self::Pinned { url, sha256 } = self {
            let (events, id) = (turn.clone(), turn.id().clone());
            let told = move |done, total: Option<u64>| {
                let total = total.unwrap_or(done);
                events
                    .measure(format!("{id} manifest"), Amount { done, total, tally: Tally::Bytes });
            };
            cx.downloads
                .fetch(url, sha256, told)
                .await
                .map_err(|error| Failure::because("cannot get MetalLB's manifest", &error))?;
        }
        self.here(cx).ok_or_else(|| Failure::new(format!("cannot read `{}`", self.name())))
    }

    /// The objects as they are applied: few and small changes, each for a reason.
    fn rendered(&self, text: String) -> Result<Vec<(Arc<Kind>, Value)>, Failure> {
        let source = Source { name: self.name().into(), text, syntax: Syntax::Yaml, entry: 0 };
        let manifests: Manifests = manifest::read(vec![source], &mut Kinds::default(), &[])
            .map_err(|faults| {
                let mut faults = faults.into_iter().map(|fault| fault.to_string());
                let first = faults.next().unwrap_or_default();
                faults.fold(Failure::new(first), Failure::caused_by)
            })?;
        let bodies = manifests.objects.iter().map(|object| {
            let mut body = manifests.body(object);
            change_probes(&mut body);
            if object.kind.is("apps", "Deployment") {
                // Unsaid, it could be scaled to 0 without anybody owning that field.
                body["spec"]["replicas"] = json!(1);
            }
            (object.kind.clone(), body)
        });
        Ok(bodies.collect())
    }
}

/// Asked every second instead of every ten, the pods count as ready ten seconds sooner.
fn change_probes(body: &mut Value) {
    let containers =
        body.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        if let Some(probe) = container.get_mut("readinessProbe") {
            probe["initialDelaySeconds"] = json!(1);
            probe["periodSeconds"] = json!(1);
        }
    }
}

/// Those of its images that the file does not name itself: brought onto the nodes ahead, so that
/// nothing has to be pulled while its webhook is waited for.
pub fn images_to_bring(topology: &Topology) -> Vec<String> {
    let Some(metallb) = &topology.metallb else { return Vec::new() };
    let named = |name: &String| topology.images.iter().any(|image| image.name.to_string() == *name);
    images(metallb).into_iter().filter(|name| !named(name)).collect()
}

pub fn desired(topology: &Topology) -> Result<Option<Resource>, Failure> {
    let Some(metallb) = &topology.metallb else { return Ok(None) };
    let mut resource = Resource::new(id(), &TABLE)
        .field("version", Want::is(metallb.version.as_str()))
        .field("manifest", Want::is(Origins::of(metallb)?.fingerprint()))
        .origin(Origin::Key("metallb".into()));
    resource = stages::in_cluster(resource, topology);
    if topology.cluster.as_ref().is_some_and(|cluster| !cluster.exists()) {
        let images = images(metallb).map(|name| Bond::Uses(Id::new("image", name)));
        resource.bonds.extend(images);
    }
    Ok(Some(resource))
}

/// Kinds that MetalLB's manifest is made of.
pub fn kinds() -> Vec<Arc<Kind>> {
    let mut kinds = Kinds::default();
    [
        ("v1", "Namespace"),
        ("v1", "ServiceAccount"),
        ("v1", "ConfigMap"),
        ("v1", "Secret"),
        ("v1", "Service"),
        ("apps/v1", "Deployment"),
        ("apps/v1", "DaemonSet"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
        ("rbac.authorization.k8s.io/v1", "Role"),
        ("rbac.authorization.k8s.io/v1", "RoleBinding"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole"),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ]
    .into_iter()
    .map(|(api_version, kind)| kinds.named(&api_version.into(), &kind.into()))
    .collect()
}

fn kind(api_version: &str, kind: &str) -> Arc<Kind> {
    Kinds::default().named(&api_version.into(), &kind.into())
}

/// `foreign` is a controller of MetalLB's that is not topo's, if one was found.
pub fn observe(cx: &Context, live: &Found, foreign: Option<&DynamicObject>, world: &mut World) {
    let mine: Vec<(&Kind, &DynamicObject)> = live.with_id(&id()).collect();
    if mine.is_empty() {
        if let Some(foreign) = foreign {
            world.add(id(), borrowed(foreign));
        }
        return;
    }
    let controller = mine.iter().find(|(kind, _)| kind.is("apps", "Deployment"));
    let record = controller.and_then(|(_, object)| marks::kube_record(object)).unwrap_or_default();
    let mut seen = Seen::mine(record);
    let version = controller.and_then(|(_, object)| version(object));
    seen.fields = Fields::new().with("version", json!(version));
    for (kind, object) in &mine {
        if let Verdict::NotYet(last) | Verdict::Failed(last) = ready::judge(kind, Some(object)) {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            seen.state = State::Unready(format!("{} {name}: {last}", kind.name));
        }
    }
    seen.drift = drifted(cx, &mine, &seen);
    world.add(id(), seen);
}

/// What others changed of any of its objects; asked only while what was applied is what is wanted.
fn drifted(
    cx: &Context,
    mine: &[(&Kind, &DynamicObject)],
    seen: &Seen,
) -> Vec<crate::plan::Drifted> {
    let crate::plan::Owner::Mine(record) = &seen.owner else { return Vec::new() };
    let metallb = cx.file.as_ref().and_then(|file| file.metallb.as_ref());
    let Some(origins) = metallb.and_then(|metallb| Origins::of(metallb).ok()) else {
        return Vec::new();
    };
    if record.fields.get("manifest") != Some(&json!(origins.fingerprint())) {
        return Vec::new();
    }
    let rendered = origins.here(cx).and_then(|text| origins.rendered(text).ok());
    let mut drifted = Vec::new();
    for (kind, wanted) in rendered.unwrap_or_default() {
        let name = wanted["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let path = |inner: &str| {
            if inner.is_empty() {
                format!("{}/{name}", kind.name)
            } else {
                format!("{}/{name}.{inner}", kind.name)
            }
        };
        let found = mine.iter().find(|(of, object)| {
            **of == *kind && object.metadata.name.as_deref() == Some(name.as_str())
        });
        match found {
            Some((_, object)) => {
                let changed = drift::drift(&wanted, object).into_iter();
                drifted.extend(
                    changed.map(|one| crate::plan::Drifted { path: path(&one.path), ..one }),
                );
            }
            None => drifted.push(crate::plan::Drifted {
                path: path(""),
                live: Value::Null,
                applied: json!("present"),
                by: None,
            }),
        }
    }
    drifted
}

/// A MetalLB that is not topo's is used if its version takes the objects that topo makes.
fn borrowed(controller: &DynamicObject) -> Seen {
    let version = version(controller).unwrap_or_else(|| "of an unknown version".to_owned());
    let namespace = controller.metadata.namespace.as_deref().unwrap_or_default();
    let numbers: Vec<u32> =
        version.trim_start_matches('v').split('.').map_while(|part| part.parse().ok()).collect();
    let serves = match numbers[..] {
        [0, 15 | 16, 0] => false,
        [0, minor, _] => minor >= 13,
        [_, _, _] => true,
        _ => false,
    };
    if serves && namespace == NAMESPACE {
        let mut seen = Seen::borrowed();
        seen.fields = Fields::new().with("version", json!(version));
        return seen;
    }
    Seen::foreign(format!(
        "a MetalLB {version} that is not topo's runs in namespace `{namespace}`, and topo cannot use it: it needs v0.15.3, v0.16.1 or later, in `{NAMESPACE}`; bring that one up to date or remove it"
    ))
}

fn version(controller: &DynamicObject) -> Option<String> {
    let image = controller.data.pointer("/spec/template/spec/containers/0/image")?.as_str()?;
    let image = image.split('@').next().unwrap_or(image);
    let (_, tag) = image.rsplit_once(':')?;
    Some(tag.to_owned())
}

pub async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    match turn.work {
        Work::Create | Work::Update => apply(cx, turn).await?,
        Work::Delete => delete(cx).await?,
        Work::Start | Work::Keep => {}
    }
    Ok(Outputs::new())
}

async fn apply(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let (Some(resource), Some(metallb)) = (turn.resource.as_deref(), &cx.topology()?.metallb)
    else {
        return Ok(());
    };
    let origins = Origins::of(metallb)?;
    let text = origins.fetched(cx, turn).await?;
    let objects = origins.rendered(text)?;
    let kube = cx.kube().await?;
    if turn.work == Work::Create {
        refuse_foreign(cx, &kube).await?;
    }
    let record = Record::of(resource, &turn.values, &cx.key);
    let mut stages: [Vec<(Arc<Kind>, Value)>; 3] = Default::default();
    for (kind, mut body) in objects {
        marks::stamp(&mut body, &cx.name, turn.id());
        if kind.is("apps", "Deployment") {
            marks::stamp_record(&mut body, &record);
        }
        stages[stage(&kind)].push((kind, body));
    }
    for stage in stages {
        let sent = stream::iter(stage).map(|(kind, body)| {
            let kube = kube.clone();
            async move { send(&kube, turn, &kind, &body).await }
        });
        sent.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    }
    Ok(())
}

/// A pod whose service account is missing is tried again later and later, so workloads come last.
fn stage(kind: &Kind) -> usize {
    match &*kind.name {
        "Namespace" => 0,
        "Deployment" | "DaemonSet" | "ValidatingWebhookConfiguration" => 2,
        _ => 1,
    }
}

async fn refuse_foreign(cx: &Context, kube: &Kube) -> Result<(), Failure> {
    let deployment = kind("apps/v1", "Deployment");
    let target = Target { kind: &deployment, namespace: Some(NAMESPACE), name: "controller" };
    let there = kube.get(&target).await.map_err(|error| failed(&error))?;
    match there.filter(|there| !marks::is_mine(there, &cx.name)) {
        Some(there) => Err(Failure::new(found::foreign(&there, &target))),
        None => Ok(()),
    }
}

async fn send(kube: &Kube, turn: &Turn, kind: &Kind, body: &Value) -> Result<(), Failure> {
    let text = |key: &str| body["metadata"][key].as_str();
    let name = text("name").unwrap_or_default();
    let target = Target { kind, namespace: text("namespace").filter(|_| kind.namespaced), name };
    let how = Apply { force: true, dry_run: false };
    kube.persist(Deadline::after(PASSING), |said| turn.say(said), || kube.apply(&target, body, how))
        .await
        .map(drop)
        .map_err(|error| Failure::because(format!("cannot apply {} {name}", kind.name), &error))
}

async fn delete(cx: &Context) -> Result<(), Failure> {
    let kube = cx.kube().await?;
    let labels = marks::selector(&cx.name);
    // What calls the controller goes first, the namespace with what is left in it last.
    for of in [2, 1, 0] {
        for kind in kinds().iter().filter(|kind| stage(kind) == of) {
            let found = kube.list(kind, &labels).await.map_err(|error| failed(&error))?;
            for object in
                found.iter().filter(|object| marks::kube_id(object).as_ref() == Some(&id()))
            {
                let name = object.metadata.name.as_deref().unwrap_or_default();
                let target = Target { kind, namespace: object.metadata.namespace.as_deref(), name };
                let uid = object.metadata.uid.as_deref();
                kube.delete(&target, uid).await.map_err(|error| failed(&error))?;
                if of == 0 {
                    kube.until_gone(&target, uid, Deadline::after(GONE))
                        .await
                        .map_err(|error| Failure::because("MetalLB does not go", &error))?;
                }
            }
        }
    }
    Ok(())
}

fn failed(error: &KubeError) -> Failure {
    Failure::because("cannot change MetalLB", error)
}

/// The controller being available does not mean that its webhook serves, so each part of the way
/// is waited for, and at its end a pool is tried.
pub async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    if turn.work == Work::Delete {
        return Ok(Outputs::new());
    }
    let kube = cx.kube().await?;
    let deadline = Deadline::after(turn.patience(WAIT));
    let not_ready = |error: WaitError| Failure::because("MetalLB does not work yet", &error);
    let definition = kind("apiextensions.k8s.io/v1", "CustomResourceDefinition");
    for plural in ["ipaddresspools", "l2advertisements"] {
        let name = format!("{plural}.metallb.io");
        let target = Target { kind: &definition, namespace: None, name: &name };
        until_ready(&kube, turn, &target, deadline).await.map_err(not_ready)?;
    }
    for (workload, name) in [("Deployment", "controller"), ("DaemonSet", "speaker")] {
        let workload = kind("apps/v1", workload);
        let target = Target { kind: &workload, namespace: Some(NAMESPACE), name };
        if let Err(error) = until_ready(&kube, turn, &target, deadline).await {
            let said = pods::why(&kube, &target).await;
            return Err(said.into_iter().fold(not_ready(error), Failure::caused_by));
        }
    }
    until_webhook_serves(&kube, turn, deadline).await.map_err(not_ready)?;
    Ok(Outputs::new())
}

async fn until_ready(
    kube: &Kube,
    turn: &Turn,
    target: &Target<'_>,
    deadline: Deadline,
) -> Result<(), WaitError> {
    let said = |last: &str| turn.say(format!("{} {}: {last}", target.kind.name, target.name));
    let judge = |live: Option<&DynamicObject>| ready::judge(target.kind, live);
    kube.until(target, deadline, judge, said).await.map(drop)
}

async fn until_webhook_serves(
    kube: &Kube,
    turn: &Turn,
    deadline: Deadline,
) -> Result<(), WaitError> {
    let said = |last: &str| turn.say(last);
    let webhooks = kind("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration");
    let target = Target { kind: &webhooks, namespace: None, name: "metallb-webhook-configuration" };
    kube.until(&target, deadline, has_certificates, said).await?;

    let slices = kind("discovery.k8s.io/v1", "EndpointSlice");
    let target = Target { kind: &slices, namespace: Some(NAMESPACE), name: "" };
    let service = "kubernetes.io/service-name=metallb-webhook-service";
    kube.until_all(&target, service, deadline, has_endpoint, said).await?;

    let pool_kind = kind("metallb.io/v1beta1", "IPAddressPool");
    let probe = json!({
        "apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
        "metadata": {"name": PROBE, "namespace": NAMESPACE},
        // An address for documentation, which no pool has.
        "spec": {"addresses": ["192.0.2.1/32"]},
    });
    let target = Target { kind: &pool_kind, namespace: Some(NAMESPACE), name: PROBE };
    let how = Apply { force: true, dry_run: true };
    kube.persist(deadline, said, || kube.apply(&target, &probe, how)).await?;
    Ok(())
}

/// A pool that is only ever tried, never made.
const PROBE: &str = "topo-probe";

fn has_certificates(live: Option<&DynamicObject>) -> Verdict<()> {
    let webhooks = live.and_then(|live| live.data.get("webhooks")?.as_array());
    let served = webhooks.is_some_and(|webhooks| {
        let certificate = |hook: &Value| hook["clientConfig"]["caBundle"].as_str().is_some();
        !webhooks.is_empty() && webhooks.iter().all(certificate)
    });
    if served {
        Verdict::Done(())
    } else {
        Verdict::NotYet("its webhook has no certificate yet".to_owned())
    }
}

fn has_endpoint(slices: &[DynamicObject]) -> Verdict<()> {
    let ready = slices
        .iter()
        .filter_map(|slice| slice.data["endpoints"].as_array())
        .flatten()
        .any(|endpoint| endpoint["conditions"]["ready"] == true);
    if ready {
        Verdict::Done(())
    } else {
        Verdict::NotYet("its webhook has no endpoint yet".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controller(image: &str, namespace: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": {"name": "controller", "namespace": namespace},
            "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
        }))
        .expect("a Deployment")
    }

    #[test]
    fn only_a_metallb_that_serves_is_borrowed() {
        let owner = |image, namespace| borrowed(&controller(image, namespace)).owner;
        let good = owner("quay.io/metallb/controller:v0.14.9", NAMESPACE);
        assert_eq!(good, crate::plan::Owner::Borrowed);
        for (image, namespace) in [
            ("quay.io/metallb/controller:v0.12.1", NAMESPACE),
            ("quay.io/metallb/controller:v0.16.0", NAMESPACE),
            ("quay.io/metallb/controller:v0.14.9", "elsewhere"),
            ("quay.io/metallb/controller@sha256:abc", NAMESPACE),
        ] {
            let owner = owner(image, namespace);
            assert!(matches!(owner, crate::plan::Owner::Foreign(_)), "{image}");
        }
    }

    #[test]
    fn the_manifest_is_changed_where_it_must_be_and_nowhere_else() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: controller, namespace: metallb-system}\n\
            spec: {template: {spec: {containers: [{name: c, readinessProbe: {periodSeconds: 10, timeoutSeconds: 1}, livenessProbe: {periodSeconds: 10}}]}}}\n";
        let origins = Origins::File { path: "m.yaml".into(), text: text.to_owned() };
        let objects = origins.rendered(text.to_owned()).expect("renders");
        assert_eq!(
            objects[0].1["spec"],
            json!({"replicas": 1, "template": {"spec": {"containers": [{
                "name": "c",
                "livenessProbe": {"periodSeconds": 10},
                "readinessProbe": {"periodSeconds": 1, "timeoutSeconds": 1, "initialDelaySeconds": 1},
            }]}}})
        );
    }

    #[test]
    fn an_unknown_release_says_what_to_write() {
        let metallb: Metallb = serde_yaml::from_str("{version: v0.14.9}").expect("valid");
        let failure = Origins::of(&metallb).err().expect("unknown");
        assert!(failure.hint.expect("a hint").contains("`version: v0.16.1` or `v0.15.3`"));
    }

    #[test]
    fn the_webhook_serves_with_all_certificates_and_an_endpoint() {
        let hooks = |bundles: Value| -> DynamicObject {
            serde_json::from_value(json!({"metadata": {}, "webhooks": bundles})).expect("an object")
        };
        let ready = json!([{"clientConfig": {"caBundle": "x"}}]);
        assert_eq!(has_certificates(Some(&hooks(ready))), Verdict::Done(()));
        let half = json!([{"clientConfig": {"caBundle": "x"}}, {"clientConfig": {}}]);
        assert!(matches!(has_certificates(Some(&hooks(half))), Verdict::NotYet(_)));
        assert!(matches!(has_certificates(None), Verdict::NotYet(_)));
        assert!(matches!(has_endpoint(&[]), Verdict::NotYet(_)));
    }
}
