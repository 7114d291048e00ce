//! MetalLB: its released manifest with topo's few changes, applied whole, and waited for until it
//! really takes pools.

mod certificate;
mod nudge;
mod release;
mod serving;
mod shared_key;

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::DynamicObject;
use serde_json::{Value, json};

use release::Release;

use crate::backend::kube::{Apply, Deadline, Kube, KubeError, Target, Verdict};
use crate::engine::{Failure, Turn, Work};
use crate::manifest::{Kind, Kinds};
use crate::plan::{
    Bond, Effect, Fields, Origin, Outputs, Record, Resource, Seen, State, Table, Want, World,
};
use crate::resources::base::context::Context;
use crate::resources::base::in_cluster::in_cluster;
use crate::resources::base::kind::{Ingredients, ResourceKind};
use crate::resources::base::kube::inside::{Inside, Listed, unseen};
use crate::resources::base::kube::listing::{self, Listing};
use crate::resources::base::kube::{drift, ready};
use crate::resources::base::objection::Objections;
use crate::resources::base::pins::{Outside, Pin};
use crate::resources::base::{ids, marks};
use crate::topology::Topology;

const TABLE: Table = Table {
    effects: &[("version", Effect::InPlace)],
    tells: &["version"],
    ..Table::plain(ids::METALLB)
};

pub const NAMESPACE: &str = "metallb-system";

const PASSING: Duration = Duration::from_secs(30);
const GONE: Duration = Duration::from_mins(2);
const AT_ONCE: usize = 16;

pub struct MetallbKind;

impl ResourceKind for MetallbKind {
    const TABLE: Table = TABLE;

    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections> {
        Ok(desired(from.topology)?.into_iter().collect())
    }

    fn pins(topology: &Topology) -> Result<Vec<Pin>, Failure> {
        let Some(metallb) = &topology.metallb else { return Ok(Vec::new()) };
        let value = format!("{} sha256:{}", metallb.version, Release::of(metallb)?.checksum());
        let (id, key) = ("metallb".to_owned(), "metallb".to_owned());
        Ok(vec![Pin { id, key, outside: Outside::Known(value) }])
    }

    fn lists(cx: &Context) -> Vec<Listed> {
        let wants_it = cx.file.as_ref().is_none_or(|file| file.metallb.is_some());
        let may_be_whole = wants_it || !cx.makes_cluster();
        // What is left of a MetalLB that has left the file is found by its workload.
        let listed =
            kinds().into_iter().filter(|kind| may_be_whole || kind.is("apps", "Deployment"));
        listed.map(Listed::own).collect()
    }

    async fn observe_inside(inside: &Inside<'_>, world: &mut World) -> Result<(), Failure> {
        let Inside { cx, kube, found, .. } = inside;
        let foreign = foreign(cx, kube, found).await.map_err(unseen)?;
        observe(cx, found, foreign.as_ref(), world);
        Ok(())
    }

    async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        change(cx, turn).await
    }

    async fn wait(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
        serving::wait(cx, turn).await
    }
}

fn desired(topology: &Topology) -> Result<Option<Resource>, Failure> {
    let Some(metallb) = &topology.metallb else { return Ok(None) };
    let mut resource = Resource::new(ids::metallb(), &TABLE)
        .field("version", Want::is(metallb.version.as_str()))
        .field("manifest", Want::is(Release::of(metallb)?.fingerprint()))
        .origin(Origin::Key("metallb".into()));
    resource = in_cluster(resource, topology);
    if topology.cluster.as_ref().is_some_and(|cluster| !cluster.exists()) {
        let images = metallb.images().map(|name| Bond::Uses(ids::image(&name)));
        resource.bonds.extend(images);
    }
    Ok(Some(resource))
}

/// Kinds that MetalLB's manifest is made of.
fn kinds() -> Vec<Arc<Kind>> {
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

/// A controller of MetalLB's that is not topo's, where the file wants one and topo has made none.
async fn foreign(
    cx: &Context,
    kube: &Kube,
    live: &Listing,
) -> Result<Option<DynamicObject>, KubeError> {
    let wanted = cx.file.as_ref().is_some_and(|file| file.metallb.is_some());
    if !wanted || live.with_id(&ids::metallb()).next().is_some() {
        return Ok(None);
    }
    let deployment = Kinds::default().named(&"apps/v1".into(), &"Deployment".into());
    let found = kube.list(&deployment, "app=metallb,component=controller").await?;
    Ok(found.into_iter().find(|object| !marks::is_mine(object, &cx.name)))
}

/// `foreign` is a controller of MetalLB's that is not topo's, if one was found.
fn observe(cx: &Context, live: &Listing, foreign: Option<&DynamicObject>, world: &mut World) {
    let mine: Vec<(&Kind, &DynamicObject)> = live.with_id(&ids::metallb()).collect();
    if mine.is_empty() {
        if let Some(foreign) = foreign {
            world.add(ids::metallb(), borrowed(foreign));
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
    world.add(ids::metallb(), seen);
}

/// What others changed of any of its objects; asked only while what was applied is what is wanted.
fn drifted(
    cx: &Context,
    mine: &[(&Kind, &DynamicObject)],
    seen: &Seen,
) -> Vec<crate::plan::Drifted> {
    let crate::plan::Owner::Mine(record) = &seen.owner else { return Vec::new() };
    let metallb = cx.file.as_ref().and_then(|file| file.metallb.as_ref());
    let Some(release) = metallb.and_then(|metallb| Release::of(metallb).ok()) else {
        return Vec::new();
    };
    if record.fields.get("manifest") != Some(&json!(release.fingerprint())) {
        return Vec::new();
    }
    let rendered = release.here(cx).and_then(|text| release.rendered(text).ok());
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

/// The tag of its image.
pub fn version(controller: &DynamicObject) -> Option<String> {
    let image = controller.data.pointer("/spec/template/spec/containers/0/image")?.as_str()?;
    let image = image.split('@').next().unwrap_or(image);
    let (_, tag) = image.rsplit_once(':')?;
    Some(tag.to_owned())
}

async fn change(cx: &Context, turn: &Turn) -> Result<Outputs, Failure> {
    match turn.work {
        Work::Create | Work::Update => apply(cx, turn).await?,
        Work::Delete => delete(cx, turn).await?,
        Work::Start | Work::Stop | Work::Keep => {}
    }
    Ok(Outputs::new())
}

async fn apply(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let (Some(resource), Some(metallb)) = (turn.resource.as_deref(), &cx.topology()?.metallb)
    else {
        return Ok(());
    };
    let release = Release::of(metallb)?;
    let text = release.fetched(cx, turn).await?;
    let mut objects = release.rendered(text)?;
    let kube = cx.kube().await?;
    if turn.work == Work::Create {
        refuse_foreign(cx, &kube).await?;
    }
    objects.extend(shared_key::missing(&kube, &objects).await?);
    let record = Record::of(resource, &turn.values);
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
        Some(there) => Err(Failure::new(listing::foreign(&there, &target))),
        None => Ok(()),
    }
}

async fn send(kube: &Kube, turn: &Turn, kind: &Kind, body: &Value) -> Result<(), Failure> {
    let text = |key: &str| body["metadata"][key].as_str();
    let name = text("name").unwrap_or_default();
    let target = Target { kind, namespace: text("namespace").filter(|_| kind.namespaced), name };
    let how = Apply { force: true, dry_run: false };
    kube.persist(
        Deadline::after(turn.patience(PASSING)),
        |said| turn.say(said),
        || kube.apply(&target, body, how),
    )
    .await
    .map(drop)
    .map_err(|error| Failure::because(format!("cannot apply {} {name}", kind.name), &error))
}

async fn delete(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let kube = cx.kube().await?;
    let labels = marks::selector(&cx.name);
    // What calls the controller goes first, the namespace with what is left in it last.
    for of in [2, 1, 0] {
        for kind in kinds().iter().filter(|kind| stage(kind) == of) {
            let found = kube.list(kind, &labels).await.map_err(|error| failed(&error))?;
            for object in found
                .iter()
                .filter(|object| marks::kube_id(object).as_ref() == Some(&ids::metallb()))
            {
                let name = object.metadata.name.as_deref().unwrap_or_default();
                let target = Target { kind, namespace: object.metadata.namespace.as_deref(), name };
                let uid = object.metadata.uid.as_deref();
                kube.delete(&target, uid).await.map_err(|error| failed(&error))?;
                if of == 0 {
                    kube.until_gone(&target, uid, Deadline::after(turn.patience(GONE)))
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
}
