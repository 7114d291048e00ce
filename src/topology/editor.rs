//! The schema as editors and other checkers of YAML take it: they see the file before its variables are filled in.

use std::sync::LazyLock;

use schemars::Schema;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Map, Value, json};

const ID: &str = "https://topo.dev/v1alpha1/topology.schema.json";

/// A scalar that a variable is filled into, which may be anything then.
const VARIABLE: &str = r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}";

/// The published schema.
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
        let mut schema = Schema::try_from(super::schema::schema().clone()).unwrap_or_default();
        WithVariables.transform(&mut schema);
        schema.insert("$id".to_owned(), ID.into());
        schema.to_value()
    });
    &SCHEMA
}

struct WithVariables;

impl Transform for WithVariables {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        if object.contains_key("enum") || is_choice_of_words(object) {
            word(object);
        } else {
            scalar(object);
        }
    }
}

/// Words stay a branch of their own, so that an editor goes on offering them.
fn word(object: &mut Map<String, Value>) {
    let words: Map<String, Value> = ["type", "enum", "oneOf"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), object.shift_remove(key)?)))
        .collect();
    object.insert("anyOf".to_owned(), json!([words, { "type": "string", "pattern": VARIABLE }]));
}

fn is_choice_of_words(object: &Map<String, Value>) -> bool {
    let choices = object.get("oneOf").and_then(Value::as_array);
    choices.is_some_and(|choices| choices.iter().all(|choice| choice.get("const").is_some()))
}

fn scalar(object: &mut Map<String, Value>) {
    // The names of these formats are topo's own, or mean something else elsewhere, as `duration` does.
    let format = object.shift_remove("format");
    let format = format.as_ref().and_then(Value::as_str).unwrap_or_default();
    if let Some(Value::String(pattern)) = object.get("pattern") {
        let pattern = format!("(?:{pattern})|{VARIABLE}");
        object.insert("pattern".to_owned(), pattern.into());
        if let Some(expected) = expected(format) {
            object.insert("patternErrorMessage".to_owned(), format!("expected {expected}").into());
        }
    } else if let Some(one @ ("integer" | "number" | "boolean")) =
        object.get("type").and_then(Value::as_str)
    {
        let message = format!("expected {} {one}", if one == "integer" { "an" } else { "a" });
        let types = json!([one, "string"]);
        object.insert("type".to_owned(), types);
        object.insert("pattern".to_owned(), VARIABLE.into());
        object.insert("patternErrorMessage".to_owned(), message.into());
    }
}

/// What an editor says of a text that does not match, by the name of its format.
fn expected(format: &str) -> Option<&'static str> {
    Some(match format {
        "topology-name" => {
            "lower-case letters, digits and `-`, at most 45, beginning and ending with a letter or digit"
        }
        "dns-label" => {
            "lower-case letters, digits and `-`, at most 63, beginning and ending with a letter or digit"
        }
        "release-name" => {
            "lower-case letters, digits and `-`, at most 53, beginning and ending with a letter or digit"
        }
        "dns-subdomain" => {
            "lower-case letters, digits, `-` and `.`, beginning and ending with a letter or digit"
        }
        "docker-name" => "letters, digits, `_`, `.` and `-`, beginning with a letter or digit",
        "variable-name" => "the name of a variable, such as `DB_PASSWORD`",
        "resource-id" => "the id of a resource, such as `share/docs`",
        "host-name" => "a host name or an address",
        "ssh-host" => "`host` or `user@host`",
        "container-path" => "an absolute path, such as `/data`",
        "host-path" => "a path of this machine",
        "authorized-key" => "a public key, or the file that holds it",
        "image-reference" => "an image such as `nginx:1.29` or `registry.example/web:1`",
        "metallb-version" => "a release such as `v0.16.1`",
        "subnet" => "a subnet such as `172.22.0.0/16`",
        "interface-address" => "an address with a prefix length, such as `192.168.251.1/24`",
        "address-range" => "`172.22.255.200-172.22.255.250` or a CIDR",
        "ip" => "an IP address",
        "duration" => "a duration such as `90s`, `2m` or `1m30s`",
        "size" => "a size such as `10Gi`",
        "port-range" => "a port such as `80`, or a range such as `8080-8082`",
        "port-number" => "a port such as `2049`",
        "listen" => "`[ADDRESS:]PORT`, a range such as `10000-10099`, or either with `/udp`",
        "target-port" => "a port, a range of ports, or the name of a Service's port",
        "service" => "a Service as `name` or `namespace/name`",
        "taint" => {
            "`KEY=VALUE:NoSchedule`; the effects are `NoSchedule`, `PreferNoSchedule` and `NoExecute`"
        }
        "kubeadm-patch" => "a patch of kubeadm's configuration, as YAML",
        "owner" => "`keep`, `folder` or `UID:GID`",
        "nfs-version" => "`3`, `4`, `4.0`, `4.1` or `4.2`",
        "nfs-client" => "an address, a network or a host name",
        "mount-option" => "one mount option",
        "url" => "an address that begins with `https://`",
        "sha256" => "64 hexadecimal digits",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_says_in_words_what_is_expected() {
        fn check(schema: &Value, path: &str) {
            match schema {
                Value::Object(map) => {
                    let says = map.contains_key("patternErrorMessage");
                    let variable = map.get("pattern").is_some_and(|pattern| *pattern == VARIABLE);
                    assert!(says || variable || !map.contains_key("pattern"), "{path}: {schema}");
                    map.iter().for_each(|(key, inner)| check(inner, &format!("{path}.{key}")));
                }
                Value::Array(items) => items.iter().for_each(|inner| check(inner, path)),
                _ => {}
            }
        }
        check(schema(), "");
    }
}
