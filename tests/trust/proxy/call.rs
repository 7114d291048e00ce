//! A call to the engine: what it is about, and whether it changes anything.

use serde_json::Value;

/// What is said of a call afterwards.
#[derive(Debug, Clone)]
pub struct Call {
    /// Method and path, without the API's version and with ids cut short.
    pub what: String,
    pub changes: bool,
}

/// Programs that topo runs in containers only to look.
const LOOKING: &[&str] = &[
    "nft -j list",
    "ctr --namespace=k8s.io images list",
    "ctr --namespace=k8s.io content",
    "ctr --namespace=k8s.io version",
    "cat ",
    "test ",
    "sh -c until",
];

/// Whether what runs in a container by this call could change anything there.
pub fn command_changes(body: &[u8]) -> bool {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let words = body["Cmd"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let command = words.collect::<Vec<_>>().join(" ");
    !LOOKING.iter().any(|looking| command.starts_with(looking))
}

/// Making an exec changes nothing yet, starting it may: `exec_changes` says whether it does.
pub fn changes(method: &str, path: &str, exec_changes: impl Fn(&str) -> bool) -> bool {
    let path = path_only(path);
    if matches!(method, "GET" | "HEAD") || path.starts_with("/_ping") {
        return false;
    }
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["containers", _, "exec" | "wait" | "attach"] | ["auth"] | ["exec", _, "resize"] => false,
        ["exec", id, "start"] => exec_changes(id),
        _ => true,
    }
}

/// `/containers/topo-gw/start` of `/v1.45/containers/topo-gw/start?x=y`.
pub fn path_only(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or_default();
    match path.strip_prefix("/v").and_then(|rest| rest.split_once('/')) {
        Some((version, _)) if version.starts_with(|first: char| first.is_ascii_digit()) => {
            &path[version.len() + 2..]
        }
        _ => path,
    }
}

/// For people: one line a call, the same from run to run.
pub fn told(method: &str, path: &str) -> String {
    let query = path.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let named = query.split('&').find(|part| part.starts_with("name=") || part.starts_with("t="));
    let parts: Vec<&str> = path_only(path).split('/').map(short).collect();
    let named = named.map(|named| format!("?{named}")).unwrap_or_default();
    format!("{method} {}{named}", parts.join("/"))
}

fn short(part: &str) -> &str {
    let is_id = part.len() >= 32 && part.chars().all(|digit| digit.is_ascii_hexdigit());
    if is_id { "ID" } else { part }
}

#[test]
fn what_changes_is_told_from_what_looks() {
    let changes = |method, path| changes(method, path, |id| id == "writes");
    assert!(!changes("GET", "/v1.45/containers/json?all=true"));
    assert!(!changes("POST", "/v1.45/containers/a/exec"));
    assert!(!changes("POST", "/v1.45/exec/looks/start"));
    assert!(changes("POST", "/v1.45/exec/writes/start"));
    assert!(changes("POST", "/v1.45/volumes/create"));
    assert!(changes("DELETE", "/v1.45/containers/a?force=true"));
    assert!(changes("PUT", "/v1.45/containers/a/archive?path=%2F"));
}

#[test]
fn a_command_that_only_lists_changes_nothing() {
    assert!(!command_changes(br#"{"Cmd":["nft","-j","list","ruleset"]}"#));
    assert!(command_changes(br#"{"Cmd":["nft","-f","-"]}"#));
}

#[test]
fn calls_are_told_without_ids_and_versions() {
    let id = "0123456789abcdef0123456789abcdef";
    assert_eq!(told("POST", &format!("/v1.45/exec/{id}/start")), "POST /exec/ID/start");
    assert_eq!(told("POST", "/containers/create?name=x-gw"), "POST /containers/create?name=x-gw");
    assert_eq!(path_only("/volumes/topo-x.1"), "/volumes/topo-x.1");
}
