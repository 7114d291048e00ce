//! A worker that comes to a cluster that runs, and one that leaves it: with kind's own labels, so
//! that `kind get nodes` and `kind delete cluster` stay true.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value as Json;
use serde_yaml::{Mapping, Value};

use crate::backend::docker::api::{ContainerCreateBody, ContainerInspectResponse, PortBinding};
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
    let Pattern { container: pattern, spec: pattern_spec } =
        pattern_for(cx, turn, snapshot, plane).await;
    let spec = turn.value("spec").cloned().unwrap_or_default();
    let inspected = cx.docker.inspect_container(&pattern.id).await.map_err(failed)?;
    let network = network_of(pattern).ok_or_else(|| {
        Failure::new(format!("`{}` is on no network, so nothing can join it", pattern.name))
    })?;

    turn.say("starting its container");
    let image = spec["image"].as_str().unwrap_or(&pattern.image);
    let mut body = like(&inspected, name, image, labels(cx, turn)?);
    if let Some(host) = &mut body.host_config {
        host.binds = Some(binds(host.binds.take().unwrap_or_default(), &pattern_spec, &spec));
        let ports = published(&spec);
        body.exposed_ports = Some(ports.keys().cloned().collect());
        host.port_bindings = Some(ports);
    }
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
        if image == pattern.image { None } else { Kubelet::of_image(image).adaptation() };
    let patches = join_patches(&spec);
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
    ContainerCreateBody {
        image: Some(image.to_owned()),
        hostname: Some(name.to_owned()),
        env: config.env,
        tty: Some(true),
        volumes: config.volumes,
        labels: Some(labels.into_iter().collect()),
        host_config: Some(pattern.host_config.clone().unwrap_or_default()),
        ..ContainerCreateBody::default()
    }
}

/// Folders as kind mounts them: what every node has, and what this one is to have in place of what the
/// pattern has for itself.
fn binds(of_pattern: Vec<String>, pattern: &Json, spec: &Json) -> Vec<String> {
    let places: HashSet<&str> = [pattern, spec]
        .into_iter()
        .flat_map(|spec| spec["extraMounts"].as_array().into_iter().flatten())
        .filter_map(|mount| mount["containerPath"].as_str())
        .collect();
    let is_everybodys =
        |bind: &String| bind.split(':').nth(1).is_none_or(|at| !places.contains(at));
    let own = spec["extraMounts"].as_array().into_iter().flatten().filter_map(bind);
    of_pattern.into_iter().filter(is_everybodys).chain(own).collect()
}

fn bind(mount: &Json) -> Option<String> {
    let whether = |key: &str, option| mount[key].as_bool().filter(|is| *is).map(|_| option);
    let propagation = match mount["propagation"].as_str() {
        Some("Bidirectional") => Some("rshared"),
        Some("HostToContainer") => Some("rslave"),
        _ => None,
    };
    let options = [whether("readOnly", "ro"), whether("selinuxRelabel", "Z"), propagation];
    let options: Vec<&str> = options.into_iter().flatten().collect();
    let from_to = format!("{}:{}", mount["hostPath"].as_str()?, mount["containerPath"].as_str()?);
    Some(if options.is_empty() { from_to } else { format!("{from_to}:{}", options.join(",")) })
}

/// Ports of this machine that lead to the node, by the node's port.
fn published(spec: &Json) -> HashMap<String, Option<Vec<PortBinding>>> {
    let mut ports: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for mapping in spec["extraPortMappings"].as_array().into_iter().flatten() {
        let protocol = mapping["protocol"].as_str().unwrap_or("TCP").to_lowercase();
        let binding = PortBinding {
            host_ip: mapping["listenAddress"].as_str().map(str::to_owned),
            host_port: Some(mapping["hostPort"].to_string()),
        };
        let inside = format!("{}/{protocol}", mapping["containerPort"]);
        ports.entry(inside).or_default().get_or_insert_default().push(binding);
    }
    ports
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

/// A node that another is made like.
struct Pattern<'a> {
    container: &'a Container,
    /// What it was made from, in kind's configuration; nothing where that is not recorded.
    spec: Json,
}

/// A worker is the better pattern: a control plane publishes the API's port. The best one has the same
/// patches; the patches of another group would stay in what is taken over from it.
async fn pattern_for<'a>(
    cx: &'a Context,
    turn: &Turn,
    snapshot: &'a Snapshot,
    plane: &'a Container,
) -> Pattern<'a> {
    let claim = cx.claim().await;
    let recorded = |node: &Container| {
        let record = claim.as_ref()?.records.get(&Id::new(turn.id().kind(), &node.name))?;
        record.fields.get("spec").cloned()
    };
    let wanted = turn.value("spec").map(join_patches).unwrap_or_default();
    let mut workers: Vec<Pattern> = containers(snapshot, &cx.name)
        .filter(|node| is_worker(node))
        .map(|container| Pattern { container, spec: recorded(container).unwrap_or_default() })
        .collect();
    let with =
        |patches: &[Value]| workers.iter().position(|worker| join_patches(&worker.spec) == patches);
    match with(&wanted).or_else(|| with(&[])) {
        Some(at) => workers.swap_remove(at),
        None => Pattern { container: plane, spec: Json::Null },
    }
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
    fn a_node_has_the_folders_and_ports_of_its_own_group() {
        let mount = |from: &str, to: &str| serde_json::json!({ "hostPath": from, "containerPath": to, "readOnly": true });
        let pattern =
            serde_json::json!({ "extraMounts": [mount("/a", "/all"), mount("/b", "/other")] });
        let mut gpu = mount("/g", "/gpu");
        gpu["propagation"] = "HostToContainer".into();
        let spec = serde_json::json!({
            "extraMounts": [mount("/a", "/all"), gpu],
            "extraPortMappings": [{ "containerPort": 80, "hostPort": 8080, "listenAddress": "127.0.0.1", "protocol": "TCP" }],
        });
        let there =
            ["/lib/modules:/lib/modules:ro", "/a:/all:ro", "/b:/other:ro", "/dev/null:/mark:ro"];
        assert_eq!(
            binds(there.map(str::to_owned).to_vec(), &pattern, &spec),
            [
                "/lib/modules:/lib/modules:ro",
                "/dev/null:/mark:ro",
                "/a:/all:ro",
                "/g:/gpu:ro,rslave"
            ]
        );
        let ports = published(&spec);
        let binding = &ports["80/tcp"].as_ref().expect("bound")[0];
        assert_eq!(
            (binding.host_ip.as_deref(), binding.host_port.as_deref()),
            (Some("127.0.0.1"), Some("8080"))
        );
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
