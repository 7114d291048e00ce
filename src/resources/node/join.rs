//! A worker that comes to a cluster that runs, and one that leaves it: with kind's own labels, so
//! that `kind get nodes` and `kind delete cluster` stay true.

use std::time::Duration;

use serde_yaml::{Mapping, Value};

use crate::backend::docker::api::{ContainerCreateBody, ContainerInspectResponse};
use crate::backend::docker::{Archived, Container, Error, Labels, Snapshot};
use crate::engine::{Deadline, Failure, Turn};
use crate::plan::{Id, Record, State};
use crate::resources::base::context::Context;
use crate::resources::base::docker::fixed_address;
use crate::resources::base::docker::kind_nodes::{
    ROLE_LABEL, containers, is_control_plane, is_worker,
};
use crate::resources::base::docker::ownership::CLUSTER_LABEL;
use crate::resources::base::marks;
use crate::resources::cluster::Kubelet;

const JOIN_CONFIG: &str = "/kind/kubeadm.conf";
/// What its kubelet has otherwise than the cluster's, below /kind; kubeadm knows by the name what is
/// patched, and how.
const ADAPTATION: &str = "patches/kubeletconfiguration+merge.json";
const ADMIN: &str = "--kubeconfig=/etc/kubernetes/admin.conf";
/// Long enough for pods to end, short enough not to hold up a person for a pod that will not.
const DRAIN_TIMEOUT: &str = "--timeout=90s";

/// kubeadm itself gives up on kubelet after four minutes.
const JOIN_DEADLINE: Duration = Duration::from_mins(6);

pub async fn join(cx: &Context, turn: &Turn, snapshot: &Snapshot) -> Result<(), Failure> {
    let name = turn.id().name();
    let failed = |error: Error| Failure::because(format!("cannot add the node `{name}`"), &error);
    let plane = running_control_plane(cx, snapshot)?;
    let pattern = pattern_for(cx, turn, snapshot).await.unwrap_or(plane);
    let inspected = cx.docker.inspect_container(&pattern.id).await.map_err(failed)?;
    let network = network_of(pattern).ok_or_else(|| {
        Failure::new(format!("`{}` is on no network, so nothing can join it", pattern.name))
    })?;

    turn.say("starting its container");
    let image = turn
        .value("spec")
        .and_then(|spec| spec.get("image")?.as_str())
        .unwrap_or(&pattern.image)
        .to_owned();
    let body = like(&inspected, name, &image, labels(cx, turn)?);
    cx.create_container(name, body, &network, None).await.map_err(failed)?;
    cx.docker.start_container(name).await.map_err(failed)?;
    let address = address_of(cx, name, &network).await?;

    turn.say("joining the cluster");
    // A container that was removed by hand leaves its Node, and kubeadm joins none of that name.
    cx.docker.exec(&plane.id, &forgetting(name)).await.map_err(failed)?;
    let config = cx
        .docker
        .get_file(&pattern.id, JOIN_CONFIG)
        .await
        .map_err(failed)?
        .ok_or_else(|| Failure::new(format!("`{}` has no {JOIN_CONFIG}", pattern.name)))?;
    let token =
        cx.docker.exec(&plane.id, &["kubeadm", "token", "create", "--ttl", "10m", ADMIN]).await;
    let labels = labels_of(turn);
    let adaptation =
        if image == pattern.image { None } else { Kubelet::of_image(&image).adaptation() };
    let patches = turn.value("spec").map(join_patches).unwrap_or_default();
    let joining = Joining {
        cluster: &cx.name,
        name,
        address: &address,
        token: token.map_err(failed)?.trim().to_owned(),
        labels: &labels,
        is_adapted: adaptation.is_some(),
        patches: &patches,
    };
    let config = joining
        .config(&String::from_utf8_lossy(&config))
        .map_err(|why| Failure::new(format!("{JOIN_CONFIG} of `{}`: {why}", pattern.name)))?;
    let adaptation = adaptation.unwrap_or_default().to_string();
    let files = [
        Archived { path: "kubeadm.conf", mode: 0o644, content: config.as_bytes() },
        Archived { path: ADAPTATION, mode: 0o644, content: adaptation.as_bytes() },
    ];
    let files = if joining.is_adapted { &files[..] } else { &files[..1] };
    cx.docker.put_files(name, "/kind", files).await.map_err(failed)?;
    let joined = async {
        let join = ["kubeadm", "join", "--config", JOIN_CONFIG, "--skip-phases=preflight"];
        cx.docker.exec(name, &join).await.map_err(failed)
    };
    Deadline::new(turn, JOIN_DEADLINE, "kubeadm to join the cluster").until(joined).await?;
    fixed_address::one(cx, turn, name, &network).await
}

pub async fn leave(cx: &Context, turn: &Turn) -> Result<(), Failure> {
    let name = turn.id().name();
    let failed =
        |error: Error| Failure::because(format!("cannot remove the node `{name}`"), &error);
    let snapshot = cx.snapshot().await?;
    let Some(container) = containers(&snapshot, &cx.name).find(|node| node.name == name) else {
        return Ok(());
    };
    let plane = running_control_plane(cx, &snapshot)?;
    if turn.state != Some(State::Partial) {
        drain(cx, turn, plane).await;
    }
    cx.docker.exec(&plane.id, &forgetting(name)).await.map_err(failed)?;
    cx.remove_node(container).await
}

async fn drain(cx: &Context, turn: &Turn, plane: &Container) {
    let name = turn.id().name();
    turn.say("moving its pods away");
    let drain = [
        "kubectl",
        ADMIN,
        "drain",
        name,
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        "--force",
        DRAIN_TIMEOUT,
    ];
    if let Err(error) = cx.docker.exec(&plane.id, &drain).await {
        turn.warn(format!("not all pods left `{name}` in time: {error}"));
    }
}

fn forgetting(node: &str) -> [&str; 6] {
    ["kubectl", ADMIN, "delete", "node", node, "--ignore-not-found"]
}

fn running_control_plane<'a>(
    cx: &'a Context,
    snapshot: &'a Snapshot,
) -> Result<&'a Container, Failure> {
    containers(snapshot, &cx.name)
        .find(|node| is_control_plane(node) && node.is_running())
        .ok_or_else(|| Failure::new("no control plane is running"))
}

fn network_of(node: &Container) -> Option<String> {
    node.addresses.keys().next().cloned()
}

async fn address_of(cx: &Context, name: &str, network: &str) -> Result<String, Failure> {
    let snapshot = cx.snapshot().await?;
    snapshot
        .container(name)
        .and_then(|node| node.addresses.get(network)?.v4)
        .map(|address| address.to_string())
        .ok_or_else(|| Failure::new(format!("`{name}` did not get an address on `{network}`")))
}

/// A container with the settings of a node that kind made.
fn like(
    pattern: &ContainerInspectResponse,
    name: &str,
    image: &str,
    labels: Labels,
) -> ContainerCreateBody {
    let config = pattern.config.clone().unwrap_or_default();
    let mut host = pattern.host_config.clone().unwrap_or_default();
    host.port_bindings = None;
    ContainerCreateBody {
        image: Some(image.to_owned()),
        hostname: Some(name.to_owned()),
        env: config.env,
        tty: Some(true),
        volumes: config.volumes,
        labels: Some(labels.into_iter().collect()),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

/// kind's, by which the node counts as one of the cluster, and topo's own: a node that bears them and
/// is not in the claim has not joined yet.
fn labels(cx: &Context, turn: &Turn) -> Result<Labels, Failure> {
    let gone = || Failure::new("the file no longer has this node");
    let resource = turn.resource.as_ref().ok_or_else(gone)?;
    let record = Record::of(resource, &turn.values);
    let mut labels = marks::labels(&cx.name, turn.id(), &record);
    labels.insert(CLUSTER_LABEL.to_owned(), cx.name.clone());
    labels.insert(ROLE_LABEL.to_owned(), "worker".to_owned());
    Ok(labels)
}

fn labels_of(turn: &Turn) -> String {
    let labels = turn.value("spec").and_then(|spec| spec.get("labels")?.as_object());
    let pairs: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.join(",")
}

/// A worker is the better pattern: a control plane publishes the API's port. The best one has the same
/// patches; the patches of another group would stay in what is taken over from it.
async fn pattern_for<'a>(
    cx: &'a Context,
    turn: &Turn,
    snapshot: &'a Snapshot,
) -> Option<&'a Container> {
    let claim = cx.claim().await;
    let recorded = |node: &Container| {
        let record = claim.as_ref()?.records.get(&Id::new(turn.id().kind(), &node.name))?;
        record.fields.get("spec").map(join_patches)
    };
    let wanted = turn.value("spec").map(join_patches).unwrap_or_default();
    let workers: Vec<&Container> =
        containers(snapshot, &cx.name).filter(|node| is_worker(node)).collect();
    let with = |patches: &[Value]| {
        let is_it = |node: &&Container| recorded(node).unwrap_or_default() == patches;
        workers.iter().copied().find(is_it)
    };
    with(&wanted).or_else(|| with(&[]))
}

/// The patches of a node in kind's configuration that change how it joins.
fn join_patches(spec: &serde_json::Value) -> Vec<Value> {
    use serde::Deserialize;
    let texts = spec["kubeadmConfigPatches"].as_array().into_iter().flatten();
    texts
        .filter_map(serde_json::Value::as_str)
        .flat_map(serde_yaml::Deserializer::from_str)
        .filter_map(|document| Value::deserialize(document).ok())
        .filter(|patch| patch.get("kind").and_then(Value::as_str) == Some("JoinConfiguration"))
        .collect()
}

/// RFC 7386: maps merge, `null` removes, anything else replaces. Arguments of the kubelet merge by name.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Mapping(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_mapping() {
        *target = Value::Mapping(Mapping::new());
    }
    let Value::Mapping(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else if key.as_str() == Some("kubeletExtraArgs") {
            let arguments = target.entry(key.clone()).or_insert(Value::Null);
            for (name, value) in arguments_of(value) {
                set_argument(arguments, &name, &value);
            }
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Names and values of arguments in either form.
fn arguments_of(arguments: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match arguments {
        Value::Mapping(map) => {
            map.iter().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
        }
        Value::Sequence(list) => list
            .iter()
            .filter_map(|pair| Some((text(&pair["name"])?, text(&pair["value"])?)))
            .collect(),
        _ => Vec::new(),
    }
}

/// What is different about the node that joins.
struct Joining<'a> {
    cluster: &'a str,
    name: &'a str,
    address: &'a str,
    token: String,
    labels: &'a str,
    /// Whether its image is another than the pattern's, and its kubelet needs other settings for that.
    is_adapted: bool,
    patches: &'a [Value],
}

impl Joining<'_> {
    /// kubeadm's configuration of a node that kind made, for another one.
    fn config(&self, pattern: &str) -> Result<String, String> {
        use serde::Deserialize;
        let mut documents = Vec::new();
        for document in serde_yaml::Deserializer::from_str(pattern) {
            let mut document = Value::deserialize(document).map_err(|error| error.to_string())?;
            if document.get("kind").and_then(Value::as_str) == Some("JoinConfiguration") {
                self.adapt(&mut document)
                    .ok_or("its JoinConfiguration is not as kind writes it")?;
            }
            // As JSON, in which `yes` is text to every reader.
            documents.push(serde_json::to_string(&document).map_err(|error| error.to_string())?);
        }
        Ok(documents.join("\n---\n"))
    }

    fn adapt(&self, document: &mut Value) -> Option<()> {
        let document = document.as_mapping_mut()?;
        document.remove("controlPlane");
        let bootstrap =
            document.get_mut("discovery")?.get_mut("bootstrapToken")?.as_mapping_mut()?;
        bootstrap.insert("token".into(), self.token.as_str().into());
        if self.is_adapted && !document.contains_key("patches") {
            let folder = [("directory".into(), "/kind/patches".into())];
            document.insert("patches".into(), Value::Mapping(folder.into_iter().collect()));
        }
        let registration = document.get_mut("nodeRegistration")?.as_mapping_mut()?;
        if registration.contains_key("name") {
            registration.insert("name".into(), self.name.into());
        }
        let provider = format!("kind://docker/{}/{}", self.cluster, self.name);
        let arguments = registration.entry("kubeletExtraArgs".into()).or_insert(Value::Null);
        for (name, value) in [
            ("node-ip", self.address),
            ("node-labels", self.labels),
            ("provider-id", provider.as_str()),
        ] {
            set_argument(arguments, name, value);
        }
        registration.remove("taints");
        let mut joined = Value::Mapping(std::mem::take(document));
        let version = joined.get("apiVersion").cloned();
        let fits =
            |patch: &&Value| patch.get("apiVersion").is_none_or(|it| Some(it) == version.as_ref());
        self.patches.iter().filter(fits).for_each(|patch| merge(&mut joined, patch));
        if let Value::Mapping(joined) = joined {
            *document = joined;
        }
        Some(())
    }
}

/// A map up to kubeadm's v1beta3, a list of names and values from v1beta4 on.
fn set_argument(arguments: &mut Value, name: &str, value: &str) {
    if let Value::Sequence(list) = arguments {
        list.retain(|argument| argument.get("name").and_then(Value::as_str) != Some(name));
        let pair = [("name".into(), name.into()), ("value".into(), value.into())];
        list.push(Value::Mapping(pair.into_iter().collect::<Mapping>()));
        return;
    }
    if !arguments.is_mapping() {
        *arguments = Value::Mapping(Mapping::new());
    }
    if let Value::Mapping(map) = arguments {
        map.insert(name.into(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATTERN: &str = "kind: ClusterConfiguration
---
kind: JoinConfiguration
controlPlane: {localAPIEndpoint: {advertiseAddress: 172.18.0.2}}
discovery: {bootstrapToken: {apiServerEndpoint: 'dev-control-plane:6443', token: abcdef.0123456789abcdef}}
nodeRegistration:
  kubeletExtraArgs: ARGS
";

    fn adapted(arguments: &str) -> Value {
        patched(arguments, &[])
    }

    fn patched(arguments: &str, patches: &[Value]) -> Value {
        let config = config(arguments, patches);
        let (_, join) = config.split_once("---\n").expect("two documents");
        serde_yaml::from_str(join).expect("yaml")
    }

    fn config(arguments: &str, patches: &[Value]) -> String {
        let joining = Joining {
            cluster: "dev",
            name: "dev-worker2",
            address: "172.18.0.9",
            token: "new.token".to_owned(),
            labels: "a=b",
            is_adapted: true,
            patches,
        };
        joining.config(&PATTERN.replace("ARGS", arguments)).expect("as kind writes it")
    }

    #[test]
    fn a_word_that_some_readers_of_yaml_take_for_a_boolean_stays_text() {
        let taint = r#"{"kind": "JoinConfiguration", "nodeRegistration": {"taints": [{"key": "gpu", "value": "yes"}]}}"#;
        let patches = join_patches(&serde_json::json!({ "kubeadmConfigPatches": [taint] }));
        let config = config("{}", &patches);
        assert!(config.contains(r#""value":"yes""#), "{config}");
    }

    #[test]
    fn a_control_planes_file_serves_for_a_worker() {
        let join =
            adapted("{node-ip: 172.18.0.2, provider-id: 'kind://docker/dev/dev-control-plane'}");
        assert!(join.get("controlPlane").is_none());
        assert_eq!(join["discovery"]["bootstrapToken"]["token"], "new.token");
        let arguments = &join["nodeRegistration"]["kubeletExtraArgs"];
        assert_eq!(arguments["node-ip"], "172.18.0.9");
        assert_eq!(arguments["provider-id"], "kind://docker/dev/dev-worker2");
        assert_eq!(arguments["node-labels"], "a=b");
        assert_eq!(join["patches"]["directory"], "/kind/patches");
    }

    #[test]
    fn patches_of_its_group_change_how_a_node_joins() {
        let taint = r#"{"kind": "JoinConfiguration", "nodeRegistration": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}}"#;
        let arguments = "kind: JoinConfiguration\nnodeRegistration: { kubeletExtraArgs: { v: '6' } }\n---\nkind: KubeletConfiguration\n";
        let spec = serde_json::json!({ "kubeadmConfigPatches": [taint, arguments] });
        let patches = join_patches(&spec);
        assert_eq!(patches.len(), 2);
        let join = patched("{v: '4'}", &patches);
        assert_eq!(join["nodeRegistration"]["taints"][0]["key"], "gpu");
        let arguments = &join["nodeRegistration"]["kubeletExtraArgs"];
        assert_eq!((&arguments["v"], &arguments["node-labels"]), (&"6".into(), &"a=b".into()));
        assert_eq!(join["discovery"]["bootstrapToken"]["token"], "new.token");
    }

    #[test]
    fn arguments_may_be_a_list() {
        let join = adapted("[{name: node-ip, value: 172.18.0.2}, {name: v, value: '4'}]");
        let arguments = join["nodeRegistration"]["kubeletExtraArgs"].as_sequence().expect("a list");
        let value = |name: &str| {
            arguments.iter().find(|pair| pair["name"] == name).map(|pair| pair["value"].clone())
        };
        assert_eq!(value("node-ip"), Some("172.18.0.9".into()));
        assert_eq!(value("v"), Some("4".into()));
    }
}
