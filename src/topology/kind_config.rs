//! `cluster.kindConfig`: raw kind configuration, checked as strictly as kind does and merged over what topo renders.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::address::{Subnet, cidr};
use super::sensitive::Guarded;
use super::text::Malformed;
use super::{nearest, shape};

/// Something that kind would refuse, or that is topo's own to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, below `kindConfig`: `networking.ipFamily`.
    pub path: String,
    pub message: String,
    pub help: Option<String>,
    /// The value, where it and not its key is at fault.
    pub seen: Option<String>,
}

impl Fault {
    fn at_key(path: String, message: String) -> Self {
        Self { path, message, help: None, seen: None }
    }

    fn of_value(path: String, value: &Value, malformed: Malformed) -> Self {
        let seen = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let help = malformed.instead.map(|instead| format!("write {instead}"));
        Self { path, message: malformed.what, help, seen: Some(seen) }
    }
}

type Check = fn(&str) -> Result<(), Malformed>;

/// What kind's v1alpha4 takes at a key.
enum Takes {
    Word(&'static [&'static str]),
    /// Text of a certain form.
    Text(Check),
    Port,
    Flag,
    Texts(Check),
    /// A map of the user's own keys to flags.
    Flags,
    /// A map of the user's own keys to text.
    Settings,
    Map(&'static [(&'static str, Takes)]),
    Maps(&'static [(&'static str, Takes)]),
    /// Set by other keys of the topology; here is by which.
    Elsewhere(&'static str),
}

const CLUSTER: &[(&str, Takes)] = &[
    ("kind", Takes::Word(&["Cluster"])),
    ("apiVersion", Takes::Word(&["kind.x-k8s.io/v1alpha4"])),
    ("name", Takes::Elsewhere("the topology's `name` is the cluster's name")),
    (
        "nodes",
        Takes::Elsewhere(
            "use `controlPlanes`, `workers`, `groups`, `mounts` and `ports` of `cluster`",
        ),
    ),
    ("networking", Takes::Map(NETWORKING)),
    ("featureGates", Takes::Flags),
    ("runtimeConfig", Takes::Settings),
    ("kubeadmConfigPatches", Takes::Texts(merge_patch)),
    ("kubeadmConfigPatchesJSON6902", Takes::Maps(JSON_PATCH)),
    ("containerdConfigPatches", Takes::Texts(anything)),
    ("containerdConfigPatchesJSON6902", Takes::Texts(json_patch)),
];

const NETWORKING: &[(&str, Takes)] = &[
    ("ipFamily", Takes::Word(&["ipv4", "ipv6", "dual"])),
    ("apiServerPort", Takes::Port),
    ("apiServerAddress", Takes::Text(address)),
    ("podSubnet", Takes::Text(anything)),
    ("serviceSubnet", Takes::Text(anything)),
    ("disableDefaultCNI", Takes::Flag),
    ("kubeProxyMode", Takes::Word(&["iptables", "nftables", "ipvs", "none"])),
    ("dnsSearch", Takes::Texts(anything)),
];

const JSON_PATCH: &[(&str, Takes)] = &[
    ("group", Takes::Text(anything)),
    ("version", Takes::Text(anything)),
    ("kind", Takes::Text(anything)),
    ("patch", Takes::Text(json_patch_in_yaml)),
];

/// What the engine and the cluster show to everybody.
const VISIBLE: [&str; 5] = ["kind", "apiVersion", "name", "networking", "featureGates"];

/// Everything that is wrong with a raw configuration. What is wrong with a secret would tell of it.
pub fn check(config: &Guarded) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Value::Object(revealed) = config.reveal() {
        fields(CLUSTER, &revealed, "", &mut faults);
    }
    let networking = &config.open()["networking"];
    for key in SUBNETS {
        let Some(value @ Value::String(text)) = networking.get(key) else { continue };
        if let Err(malformed) = family_subnets(text, ip_family(config.open())) {
            faults.push(Fault::of_value(format!("networking.{key}"), value, malformed));
        }
    }
    let secrets: Vec<String> = config.secret_places().map(path_of).collect();
    let (of_secrets, mut faults): (Vec<Fault>, Vec<Fault>) =
        faults.into_iter().partition(|fault| secrets.contains(&fault.path));
    for path in secrets {
        if is_visible(&path) {
            let message = "a sensitive variable cannot be used here: its value would be visible";
            let help = Some("remove the variable from `sensitive`".to_owned());
            faults.push(Fault { help, ..Fault::at_key(path, message.to_owned()) });
        } else if of_secrets.iter().any(|fault| fault.path == path) {
            let message = "the value of the variable is not valid here".to_owned();
            faults.push(Fault::at_key(path, message));
        }
    }
    faults
}

/// A JSON pointer as a path of the file.
fn path_of(place: &str) -> String {
    place.trim_start_matches('/').replace('/', ".")
}

fn is_visible(path: &str) -> bool {
    VISIBLE.contains(&path.split('.').next().unwrap_or_default())
}

const SUBNETS: [&str; 2] = ["podSubnet", "serviceSubnet"];

/// The subnets that the cluster's pods and Services will have, by their key, as far as they are right.
pub fn subnets(config: Option<&Guarded>) -> Vec<(&'static str, Subnet)> {
    let config = config.map_or(&Value::Null, Guarded::open);
    let usual = match ip_family(config) {
        "ipv6" => ["fd00:10:244::/56", "fd00:10:96::/112"],
        "dual" => ["10.244.0.0/16,fd00:10:244::/56", "10.96.0.0/16,fd00:10:96::/112"],
        _ => ["10.244.0.0/16", "10.96.0.0/16"],
    };
    let written = |key: &str| config["networking"][key].as_str().filter(|it| !it.is_empty());
    let of = |(key, usual): (&'static str, &'static str)| {
        let text = written(key).unwrap_or(usual).to_owned();
        let nets: Vec<_> = text.split(',').filter_map(|text| cidr(text).ok()).collect();
        nets.into_iter().map(move |net| (key, Subnet::of(net)))
    };
    SUBNETS.into_iter().zip(usual).flat_map(of).collect()
}

fn ip_family(config: &Value) -> &str {
    config["networking"]["ipFamily"].as_str().unwrap_or("ipv4")
}

/// One subnet of the family, or with both families one of each.
fn family_subnets(text: &str, family: &str) -> Result<(), Malformed> {
    if text.is_empty() {
        return Ok(());
    }
    let nets = text.split(',').map(cidr).collect::<Result<Vec<_>, _>>()?;
    let is_v4: Vec<bool> = nets.iter().map(|net| net.addr().is_ipv4()).collect();
    let (right, wanted) = match family {
        "dual" => (matches!(*is_v4, [_] | [true, false] | [false, true]), DUAL),
        "ipv6" => (*is_v4 == [false], "one IPv6 subnet, such as `fd00:10:244::/56`"),
        _ => (*is_v4 == [true], "one IPv4 subnet, such as `10.244.0.0/16`"),
    };
    if right {
        return Ok(());
    }
    Err(Malformed::instead(format!("`{text}` does not fit `ipFamily: {family}`"), wanted))
}

const DUAL: &str = "one IPv4 and one IPv6 subnet, such as `10.244.0.0/16,fd00:10:244::/56`";

#[expect(clippy::unnecessary_wraps, reason = "it stands in the place of those that check")]
fn anything(_: &str) -> Result<(), Malformed> {
    Ok(())
}

fn address(text: &str) -> Result<(), Malformed> {
    if text.is_empty() || text.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(Malformed::instead(
        format!("`{text}` is not a valid IP address"),
        "an address such as `127.0.0.1`",
    ))
}

/// YAML of one or more maps, each laid over a document of kubeadm's configuration.
pub fn merge_patch(text: &str) -> Result<(), Malformed> {
    for document in serde_yaml::Deserializer::from_str(text) {
        let patch = Value::deserialize(document).map_err(|error| invalid_yaml(&error))?;
        if !patch.is_object() && !patch.is_null() {
            return Err(Malformed::instead(
                "a kubeadm patch must be a map",
                "a patch such as `kind: ClusterConfiguration` with the keys to change",
            ));
        }
    }
    Ok(())
}

fn json_patch_in_yaml(text: &str) -> Result<(), Malformed> {
    operations(&serde_yaml::from_str(text).map_err(|error| invalid_yaml(&error))?)
}

fn invalid_yaml(error: &serde_yaml::Error) -> Malformed {
    Malformed::new(format!("the patch is not valid YAML: {error}"))
}

fn json_patch(text: &str) -> Result<(), Malformed> {
    let patch = serde_json::from_str(text)
        .map_err(|error| Malformed::new(format!("the patch is not valid JSON: {error}")))?;
    operations(&patch)
}

/// RFC 6902: a list of operations.
fn operations(patch: &Value) -> Result<(), Malformed> {
    let list = patch.as_array();
    if list.is_some_and(|operations| operations.iter().all(Value::is_object)) {
        return Ok(());
    }
    Err(Malformed::instead(
        "a JSON patch must be a list of operations",
        "`[{\"op\": \"add\", \"path\": \"/…\", \"value\": …}]`",
    ))
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
            let help = near.unwrap_or_else(|| format!("valid keys are {}", nearest::list(&names)));
            let message = format!("unknown key `{key}` in a kind configuration");
            faults.push(Fault { help: Some(help), ..Fault::at_key(path, message) });
        }
    }
}

fn value_at(takes: &Takes, value: &Value, path: String, faults: &mut Vec<Fault>) {
    let right = match takes {
        Takes::Elsewhere(instead) => {
            let message = format!("`{path}` cannot be set in `kindConfig`");
            faults
                .push(Fault { help: Some((*instead).to_owned()), ..Fault::at_key(path, message) });
            return;
        }
        Takes::Word(words) => {
            if let Some(word) = value.as_str().filter(|word| !words.contains(word)) {
                let malformed = Malformed::instead(
                    format!("unknown value `{word}`"),
                    nearest::or_all(word, words),
                );
                faults.push(Fault::of_value(path, value, malformed));
                return;
            }
            value.is_string()
        }
        Takes::Text(check) => {
            texts(std::slice::from_ref(value), *check, |_| path.clone(), faults);
            value.is_string()
        }
        Takes::Port => {
            // 0 lets kind choose, and -1 the engine.
            if value.is_number() && !value.as_i64().is_some_and(|port| (-1..=65535).contains(&port))
            {
                let malformed = Malformed::instead(
                    format!("{value} is not a valid port"),
                    "a number from 1 to 65535, or 0 for a free port",
                );
                faults.push(Fault::of_value(path, value, malformed));
                return;
            }
            value.is_number()
        }
        Takes::Flag => value.is_boolean(),
        Takes::Texts(check) => {
            let items = value.as_array().map_or(&[][..], Vec::as_slice);
            texts(items, *check, |at| format!("{path}.{at}"), faults);
            value.as_array().is_some_and(|items| items.iter().all(Value::is_string))
        }
        Takes::Flags => value.as_object().is_some_and(|map| map.values().all(Value::is_boolean)),
        Takes::Settings => value.as_object().is_some_and(|map| map.values().all(Value::is_string)),
        Takes::Map(known) => {
            if let Value::Object(map) = value {
                fields(known, map, &format!("{path}."), faults);
            }
            value.is_object()
        }
        Takes::Maps(known) => {
            for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                if let Value::Object(map) = item {
                    fields(known, map, &format!("{path}.{at}."), faults);
                }
            }
            value.as_array().is_some_and(|items| items.iter().all(Value::is_object))
        }
    };
    if !right {
        let wanted = takes.in_words();
        faults.push(match value {
            Value::Null | Value::Array(_) | Value::Object(_) => {
                Fault::at_key(path, format!("expected {wanted}"))
            }
            _ => {
                let what = format!("expected {wanted}, found {}", shape::kind_of(value));
                Fault::of_value(path, value, Malformed::new(what))
            }
        });
    }
}

/// Checks each text of a list; what is no text is told of the list.
fn texts(items: &[Value], check: Check, path: impl Fn(usize) -> String, faults: &mut Vec<Fault>) {
    for (at, item) in items.iter().enumerate() {
        if let Err(malformed) = item.as_str().map_or(Ok(()), check) {
            faults.push(Fault::of_value(path(at), item, malformed));
        }
    }
}

impl Takes {
    fn in_words(&self) -> &'static str {
        match self {
            Self::Word(_) | Self::Text(_) | Self::Elsewhere(_) => "a string",
            Self::Port => "an integer",
            Self::Flag => "`true` or `false`",
            Self::Texts(_) => "a list of strings",
            Self::Flags => "a map of `true` and `false`",
            Self::Settings => "a map of strings, in quotes where they look like something else",
            Self::Map(_) => "a map",
            Self::Maps(_) => "a list of maps",
        }
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
    use super::super::sensitive::Secret;
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            other => panic!("{other} is not a map"),
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
    fn subnets_fit_the_family_as_kind_has_it() {
        let refused = |family: &str, pods: &str| {
            let config = json!({ "networking": { "ipFamily": family, "podSubnet": pods } });
            !check(&config.into()).is_empty()
        };
        for (family, pods) in [
            ("ipv4", "10.0.0.0/16"),
            ("ipv4", "10.0.0.7/16"),
            ("ipv4", ""),
            ("ipv6", "fd00::/56"),
            ("dual", "10.0.0.0/16"),
            ("dual", "fd00::/56,10.0.0.0/16"),
        ] {
            assert!(!refused(family, pods), "{family} {pods}");
        }
        for (family, pods) in [
            ("ipv4", "nonsense"),
            ("ipv4", "10.0.0.0"),
            ("ipv4", "10.0.0.0/99"),
            ("ipv4", "fd00::/56"),
            ("ipv4", "10.0.0.0/16,10.1.0.0/16"),
            ("ipv4", "10.0.0.0/16, fd00::/56"),
            ("ipv6", "10.0.0.0/16"),
            ("dual", "10.0.0.0/16,10.1.0.0/16"),
            ("dual", "10.0.0.0/16,fd00::/56,10.1.0.0/16"),
        ] {
            assert!(refused(family, pods), "{family} {pods}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_secret_does_not_tell_of_it() {
        let secret = Secret::mark("[hunter2");
        let config = json!({
            "networking": { "apiServerAddress": secret, "podSubnet": secret },
            "kubeadmConfigPatches": [secret],
        });
        let faults = check(&config.into());
        let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
        let places =
            ["networking.apiServerAddress", "networking.podSubnet", "kubeadmConfigPatches.0"];
        assert_eq!(paths, places);
        assert!(!format!("{faults:?}").contains("hunter2"), "{faults:?}");
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
        name -> the topology's `name` is the cluster's name
        network -> write `networking`
        networking.ipFamly -> write `ipFamily`
        networking.kubeProxyMode -> write `iptables`; valid values are `iptables`, `nftables`, `ipvs` and `none`
        featureGates -> 
        kubeadmConfigPatchesJSON6902.0.patches -> write `patch`
        ");
    }
}
