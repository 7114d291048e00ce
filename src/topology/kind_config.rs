//! `cluster.kindConfig`: raw kind configuration, checked as strictly as kind does and merged over what topo renders.

use serde_json::{Map, Value};

use super::nearest;
use super::sensitive::Guarded;

/// Something that kind would refuse, or that is topo's own to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, below `kindConfig`: `networking.ipFamily`.
    pub path: String,
    pub message: String,
    pub help: Option<String>,
}

/// What kind's v1alpha4 takes at a key.
enum Takes {
    Word(&'static [&'static str]),
    Text,
    Number,
    Flag,
    Texts,
    /// A map of the user's own keys to flags.
    Flags,
    /// A map of the user's own keys to text.
    Settings,
    Map(&'static [(&'static str, Takes)]),
    Maps(&'static [(&'static str, Takes)]),
    /// Said elsewhere in the topology; here is where.
    Elsewhere(&'static str),
}

const CLUSTER: &[(&str, Takes)] = &[
    ("kind", Takes::Word(&["Cluster"])),
    ("apiVersion", Takes::Word(&["kind.x-k8s.io/v1alpha4"])),
    ("name", Takes::Elsewhere("the topology's `name` is the cluster's")),
    (
        "nodes",
        Takes::Elsewhere(
            "use `controlPlanes`, `workers`, `groups`, `mounts` and `ports` of `cluster`",
        ),
    ),
    ("networking", Takes::Map(NETWORKING)),
    ("featureGates", Takes::Flags),
    ("runtimeConfig", Takes::Settings),
    ("kubeadmConfigPatches", Takes::Texts),
    ("kubeadmConfigPatchesJSON6902", Takes::Maps(JSON_PATCH)),
    ("containerdConfigPatches", Takes::Texts),
    ("containerdConfigPatchesJSON6902", Takes::Texts),
];

const NETWORKING: &[(&str, Takes)] = &[
    ("ipFamily", Takes::Word(&["ipv4", "ipv6", "dual"])),
    ("apiServerPort", Takes::Number),
    ("apiServerAddress", Takes::Text),
    ("podSubnet", Takes::Text),
    ("serviceSubnet", Takes::Text),
    ("disableDefaultCNI", Takes::Flag),
    ("kubeProxyMode", Takes::Word(&["iptables", "nftables", "ipvs", "none"])),
    ("dnsSearch", Takes::Texts),
];

const JSON_PATCH: &[(&str, Takes)] = &[
    ("group", Takes::Text),
    ("version", Takes::Text),
    ("kind", Takes::Text),
    ("patch", Takes::Text),
];

/// What the engine and the cluster show to everybody.
const VISIBLE: [&str; 5] = ["kind", "apiVersion", "name", "networking", "featureGates"];

/// Everything that is wrong with a raw configuration. What is wrong with a secret would tell of it.
pub fn check(config: &Guarded) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Value::Object(fields) = config.reveal() {
        self::fields(CLUSTER, &fields, "", &mut faults);
    }
    let in_sight: Vec<Fault> = config.secret_places().filter_map(secret_in_sight).collect();
    faults.retain(|fault| in_sight.iter().all(|secret| secret.path != fault.path));
    faults.extend(in_sight);
    faults
}

fn secret_in_sight(place: &str) -> Option<Fault> {
    let path = place.trim_start_matches('/').replace('/', ".");
    let block = path.split('.').next().unwrap_or_default();
    VISIBLE.contains(&block).then(|| Fault {
        message: "a sensitive variable cannot be used here: its value would be visible".to_owned(),
        help: Some("take the variable out of `sensitive`".to_owned()),
        path,
    })
}

fn fields(
    known: &[(&str, Takes)],
    map: &Map<String, Value>,
    prefix: &str,
    faults: &mut Vec<Fault>,
) {
    for (key, value) in map {
        let path = format!("{prefix}{key}");
        if let Some((_, takes)) = known.iter().find(|(name, _)| name == key) {
            value_at(takes, value, path, faults);
        } else {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            let near =
                nearest::to(key, names.iter().copied()).map(|near| format!("write `{near}`"));
            let help =
                near.unwrap_or_else(|| format!("the keys here are {}", nearest::list(&names)));
            faults.push(Fault {
                path,
                message: format!("kind has no key `{key}` here"),
                help: Some(help),
            });
        }
    }
}

fn value_at(takes: &Takes, value: &Value, path: String, faults: &mut Vec<Fault>) {
    let (right, wanted) = match takes {
        Takes::Elsewhere(instead) => {
            let key = &path;
            faults.push(Fault {
                message: format!("`{key}` is said elsewhere"),
                help: Some((*instead).to_owned()),
                path,
            });
            return;
        }
        Takes::Word(words) => {
            if let Some(word) = value.as_str().filter(|word| !words.contains(word)) {
                let help = Some(format!("write {}", nearest::or_all(word, words)));
                faults.push(Fault {
                    message: format!("kind does not know `{word}` here"),
                    help,
                    path,
                });
                return;
            }
            (value.is_string(), "text")
        }
        Takes::Text => (value.is_string(), "text"),
        Takes::Number => (value.is_i64() || value.is_u64(), "a whole number"),
        Takes::Flag => (value.is_boolean(), "`true` or `false`"),
        Takes::Texts => (
            value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
            "a list of texts",
        ),
        Takes::Flags => (
            value.as_object().is_some_and(|map| map.values().all(Value::is_boolean)),
            "a map of `true` and `false`",
        ),
        Takes::Settings => (
            value.as_object().is_some_and(|map| map.values().all(Value::is_string)),
            "a map of texts, with quotes around what looks like something else",
        ),
        Takes::Map(known) => {
            if let Value::Object(map) = value {
                fields(known, map, &format!("{path}."), faults);
            }
            (value.is_object(), "a map")
        }
        Takes::Maps(known) => {
            for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                if let Value::Object(map) = item {
                    fields(known, map, &format!("{path}.{at}."), faults);
                }
            }
            (
                value.as_array().is_some_and(|items| items.iter().all(Value::is_object)),
                "a list of maps",
            )
        }
    };
    if !right {
        faults.push(Fault { message: format!("kind takes {wanted} here"), help: None, path });
    }
}

/// Lays `over` on `base`: maps merge, lists append, anything else is replaced.
pub fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            (Some(Value::Array(below)), Value::Array(above)) => below.extend(above.iter().cloned()),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other} is no map"),
        }
    }

    #[test]
    fn maps_merge_and_lists_append() {
        let mut base = map(
            json!({ "networking": { "ipFamily": "ipv4", "dnsSearch": ["a"] }, "kubeadmConfigPatches": ["x"] }),
        );
        merge(
            &mut base,
            &map(
                json!({ "networking": { "ipFamily": "dual", "dnsSearch": ["b"] }, "featureGates": { "F": true } }),
            ),
        );
        let wanted = json!({
            "networking": { "ipFamily": "dual", "dnsSearch": ["a", "b"] }, "kubeadmConfigPatches": ["x"], "featureGates": { "F": true },
        });
        assert_eq!(Value::Object(base), wanted);
    }

    #[test]
    fn everything_that_kind_knows_passes() {
        let config = json!({
            "kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4",
            "networking": { "ipFamily": "dual", "apiServerPort": 6443, "disableDefaultCNI": true, "kubeProxyMode": "ipvs", "dnsSearch": [] },
            "featureGates": { "AllAlpha": false }, "runtimeConfig": { "api/all": "true" },
            "kubeadmConfigPatchesJSON6902": [{ "group": "kubeadm.k8s.io", "version": "v1beta3", "kind": "ClusterConfiguration", "patch": "[]" }],
        });
        assert_eq!(check(&config.into()), []);
    }

    #[test]
    fn what_kind_would_refuse_is_told_with_its_place() {
        let config = json!({
            "nodes": [], "name": "x", "network": {}, "networking": { "ipFamly": "ipv4", "kubeProxyMode": "iptable" },
            "featureGates": { "A": "true" }, "kubeadmConfigPatchesJSON6902": [{ "patches": "" }],
        });
        let paths: Vec<String> = check(&config.into())
            .into_iter()
            .map(|fault| format!("{} -> {}", fault.path, fault.help.unwrap_or_default()))
            .collect();
        insta::assert_snapshot!(paths.join("\n"), @r"
        nodes -> use `controlPlanes`, `workers`, `groups`, `mounts` and `ports` of `cluster`
        name -> the topology's `name` is the cluster's
        network -> write `networking`
        networking.ipFamly -> write `ipFamily`
        networking.kubeProxyMode -> write `iptables`; known are `iptables`, `nftables`, `ipvs` and `none`
        featureGates -> 
        kubeadmConfigPatchesJSON6902.0.patches -> write `patch`
        ");
    }
}
