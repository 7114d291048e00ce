//! What becomes of a text, and of all kinds of kubeconfigs that people have.

use std::fmt::Write;
use std::process::Command;

use proptest::prelude::*;
use serde_yaml::Value;

use super::super::splice::{self, Document, LISTS, Refusal};

const NAME: &str = "kind-dev";

const OWN: &str = "\
clusters: {cluster: {certificate-authority-data: QUFB, server: 'https://127.0.0.1:4000'}, name: kind-dev}
contexts: {context: {cluster: kind-dev, user: kind-dev}, name: kind-dev}
users: {name: kind-dev, user: {client-certificate-data: QkJC, client-key-data: Q0ND}}
";

fn merge(text: &str, make_current: bool) -> Result<String, Refusal> {
    let own: Value = serde_yaml::from_str(OWN).expect("valid");
    let parts: Vec<(&str, &Value)> = LISTS.iter().map(|list| (*list, &own[*list])).collect();
    splice::merge(text, NAME, &parts, make_current)
}

fn remove(text: &str) -> Result<String, Refusal> {
    splice::remove(text, NAME, &LISTS, true)
}

const CLUSTER: &str = "\
- cluster:
    certificate-authority-data: QUFB
    server: https://127.0.0.1:4000
  name: kind-dev
";
const CONTEXT: &str = "\
- context:
    cluster: kind-dev
    user: kind-dev
  name: kind-dev
";
const USER: &str = "\
- name: kind-dev
  user:
    client-certificate-data: QkJC
    client-key-data: Q0ND
";

/// As kubectl writes it, with what a rewrite would lose.
const USUAL: &str = "\
# mine, kept in git
apiVersion: v1
kind: Config
clusters:
- cluster:
    server: \"https://prod\"   # by VPN
    extensions: [{name: x, extension: {flag: \"yes\", version: 1.10, big: 123456789012345678901234567890}}]
  name: prod
# who may what
contexts:
- context: {cluster: prod, user: prod}
  name: prod
current-context: prod
preferences: {}
users:
- name: prod
  user:
    exec:
      command: |
        aws
        eks
";

#[test]
fn an_entry_goes_after_the_others_and_nothing_else_moves() {
    let after = merge(USUAL, false).expect("merged");
    let expected = USUAL
        .replace("# who may what\n", &format!("{CLUSTER}# who may what\n"))
        .replace("current-context", &format!("{CONTEXT}current-context"))
        + USER;
    assert_eq!(after, expected);
    assert_eq!(remove(&after).expect("removed"), USUAL);
}

#[test]
fn the_entry_of_that_name_is_changed_where_it_is() {
    let old = merge(USUAL, false).expect("merged");
    let older = old.replace("QUFB", "b2xk").replace(":4000", ":3999").replace("Q0ND", "b2xk");
    assert_eq!(merge(&older, false).expect("merged"), old);
}

#[test]
fn a_file_that_says_nothing_gets_a_whole_kubeconfig() {
    let whole = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n{CLUSTER}contexts:\n{CONTEXT}users:\n{USER}current-context: kind-dev\n"
    );
    assert_eq!(merge("", true).expect("merged"), whole);
    assert_eq!(merge("# mine", true).expect("merged"), format!("# mine\n{whole}"));
    assert_eq!(merge("---\n", true).expect("merged"), format!("---\n{whole}"));
    let removed = remove(&whole).expect("removed");
    assert!(Document::read(&removed).expect("valid").says_nothing(), "{removed}");
    let commented = remove(&format!("# mine\n{whole}")).expect("removed");
    assert!(!Document::read(&commented).expect("valid").says_nothing(), "{commented}");
}

/// What people have, or could: with what is there of it after an entry was put in and taken out.
const TEXTS: &[(&str, &str)] = &[
    // As `kubectl config delete-cluster` leaves it.
    (
        "clusters: null\ncontexts: ~\nusers:\ncurrent-context: \"\"\n",
        "clusters: []\ncontexts: []\nusers: []\ncurrent-context: \"\"\n",
    ),
    (
        "clusters: []  # none\ncontexts: [ ]\nusers: [\n  ]\ncurrent-context:\n",
        "clusters: []  # none\ncontexts: []\nusers: []\ncurrent-context: \"\"\n",
    ),
    ("{}", "{\"clusters\": [], \"contexts\": [], \"users\": [], \"current-context\": \"\"}"),
    (
        "{\"clusters\":null,\"contexts\":[],\"users\":[ ],\"current-context\":\"\"}\n",
        "{\"clusters\":[],\"contexts\":[],\"users\":[],\"current-context\":\"\"}\n",
    ),
    (
        "kind: Config",
        "kind: Config\nclusters: []\ncontexts: []\nusers: []\ncurrent-context: \"\"\n",
    ),
    (
        "--- # mine\n  kind: Config\n...\n",
        "--- # mine\n  kind: Config\n  clusters: []\n  contexts: []\n  users: []\n  current-context: \"\"\n...\n",
    ),
];

/// Those in which all is as it was once the entry has been taken out.
const RESTORED: &[&str] = &[
    USUAL,
    // The other indentations, quoted keys, blanks and comments everywhere, no line break at the end.
    "\"clusters\" :\n  # a\n  -   name: a  # b\n\n      cluster: {}\n  # c\n  -\n    # d\n    name: b\n\n'contexts':\n- name: a\nusers:\n    - {name: a}\ncurrent-context: a",
    "clusters:\r\n- name: a\r\ncontexts:\r\n- name: a\r\nusers:\r\n- name: a\r\n  user:\r\n    token: >-\r\n      x\r\n      y\r\ncurrent-context: a\r\n",
    "\u{feff}clusters: [{name: a}, {name: b}]\ncontexts: [\n  {name: a}, # one\n]\nusers: [ # two\n  {name: é} ]\ncurrent-context: a\n",
    "{\n    \"clusters\": [\n        {\n            \"name\": \"a\"\n        }\n    ],\n    \"contexts\": [{\"name\": \"a\"}],\n    \"users\": [{\"name\":\"a\"}],\n    \"current-context\": \"a\"\n}\n",
    "clusters:\n- &a\n  name: a\n  cluster: &c {server: s}\n- name: b\n  cluster: *c\ncontexts:\n- name: a\nusers:\n- name: a\n  user:\n    note: |+\n      kept\n\n\ncurrent-context: a\nx: *a\n",
    "clusters:\n- name: a\n- name: a\n- no name\n-\ncontexts:\n-\tname: a\nusers:\n- name:\t!!str a\n  user: !!map {}\ncurrent-context: !!str a\n",
    "clusters:\n- name: a\ncontexts:\n- name: a\nusers:\n- name: a\n  user:\n    token: \"a\n\n      - name: kind-dev\n\n      # not a comment\"\ncurrent-context: a\nclusters-: no\n",
];

#[test]
fn every_text_that_people_have_takes_an_entry_and_gives_it_back() {
    let texts = TEXTS.iter().copied().chain(RESTORED.iter().map(|text| (*text, *text)));
    for (before, restored) in texts {
        let make_current = !before.contains("current-context: a") && before != USUAL;
        let make_current = make_current && !before.contains("\"current-context\": \"a\"");
        let make_current = make_current && !before.contains("!!str a");
        let after = merge(before, make_current).unwrap_or_else(|why| panic!("{why}:\n{before}"));
        let again = merge(&after, make_current).expect("merged again");
        assert_eq!(again, after, "a second time changes nothing");
        let removed = remove(&after).unwrap_or_else(|why| panic!("{why}:\n{after}"));
        assert_eq!(removed, restored, "from\n{after}");
        assert_eq!(remove(&removed).expect("removed twice"), removed);
        kubectl_agrees(before, &after, &removed);
    }
}

/// kubectl is asked where there is one: what it reads, it reads after as before.
fn kubectl_agrees(before: &str, after: &str, removed: &str) {
    let folder = std::env::temp_dir().join(format!("topo-kubeconfig-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("config");
    let read = |text: &str| {
        std::fs::write(&path, text).expect("written");
        let view = ["config", "view", "--raw", "-o", "json", "--kubeconfig"];
        let ran = Command::new("kubectl").args(view).arg(&path).output().ok()?;
        serde_json::from_slice::<serde_json::Value>(&ran.stdout).ok()
    };
    let others = |mut config: serde_json::Value| {
        for list in LISTS {
            let all = config[list].as_array().cloned().unwrap_or_default();
            config[list] = all.into_iter().filter(|one| one["name"] != NAME).collect();
        }
        config["current-context"] = "".into();
        config
    };
    if let Some(was) = read(before) {
        let is = read(after).unwrap_or_else(|| panic!("kubectl reads no more:\n{after}"));
        for list in LISTS {
            let named = |one: &&serde_json::Value| one["name"] == NAME;
            assert_eq!(is[list].as_array().map(|all| all.iter().filter(named).count()), Some(1));
        }
        assert_eq!(others(is), others(was.clone()), "{after}");
        assert_eq!(read(removed).map(others), Some(others(was)), "{removed}");
    }
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn what_cannot_be_edited_safely_is_refused_with_its_line() {
    let refused = [
        ("- a\n- b\n", "line 1: it is not a map"),
        ("a: b\n---\nc: d\n", "line 2: a second YAML document begins"),
        ("x: &x []\nclusters: *x\n", "line 2: `clusters` is an alias"),
        ("x: &x {}\n<<: *x\n", "line 2: a merge key (`<<`) fills the file in"),
        ("clusters: []\nusers: []\nclusters: []\n", "line 3: the key `clusters` is defined twice"),
        ("clusters: yes\n", "line 1: `clusters` is not a list"),
        ("current-context: [a]\n", "line 1: `current-context` is not a string"),
        ("x: &x {name: kind-dev}\nusers:\n- *x\n", "an entry of `users` takes its name from"),
        (
            "users:\n- name: kind-dev\n- name: kind-dev\n",
            "line 3: `users` has two entries named `kind-dev`; the first is at line 2",
        ),
        ("? clusters\n: - name: a\n", "line 1: this key is written in an unusual way"),
        ("clusters:\n- a: [\n", "it is not valid YAML"),
        ("clusters:\n\t- name: a\n", "it is not valid YAML"),
        (
            "users:\n- &u\n  name: kind-dev\n  user: {}\nx: *u\n",
            "line 3: an alias elsewhere may repeat this entry",
        ),
        ("kind: Config\nx: |\n  no line break", "line 3: this value would change"),
    ];
    for (text, why) in refused {
        let refusal = merge(text, false).expect_err(text).to_string();
        assert!(refusal.contains(why), "{refusal}\n{text}");
    }
}

/// Scalars that come back as something else from one parser or another.
const SCALARS: &[&str] = &[
    "yes",
    "\"yes\"",
    "1.10",
    "0x1F",
    "0o17",
    "017",
    "123456789012345678901234567890",
    "~",
    "null",
    "''",
    "\"\\u00e9\"",
    "é",
    "12:30:45",
    "2024-01-01",
    "1e3",
    ".inf",
    "- ",
    "|\n        a\n        b",
    "|-\n        a\n\n        b",
    ">+\n        a\n\n\n",
    "\"a\n         b\"",
    "{a: 1.10, b: [yes]}",
    "a # b",
    "'it''s'",
    "!!str 1",
    "&anchor 1",
    "kind-dev",
    "\"name: kind-dev\"",
];

/// A list of entries in one of the ways that they are written in.
fn list(key: &'static str) -> impl Strategy<Value = (String, bool)> {
    let scalar = prop::sample::select(SCALARS).prop_filter("its own line", |text| *text != "- ");
    let entry = ("[a-z]{1,6}", scalar.clone(), scalar);
    let entries = prop::collection::vec(entry, 1..4);
    let block =
        (entries.clone(), 0..5_usize, any::<bool>()).prop_map(move |(entries, indent, comment)| {
            let indent = " ".repeat(indent);
            let mut text = format!("{key}:\n");
            for (at, (name, one, two)) in entries.iter().enumerate() {
                let remark = if comment {
                    format!("\n{indent}# {name} kind-dev\n\n")
                } else {
                    String::new()
                };
                let two = two.replace("&anchor", "&other");
                let one = one.replace("&anchor", &format!("&a{at}"));
                let _ = write!(
                    text,
                    "{remark}{indent}- name: {name}{at}\n{indent}  a: {one}\n{indent}  b: {two}\n"
                );
            }
            (text, true)
        });
    let flow = (entries, any::<bool>()).prop_map(move |(entries, broken)| {
        let between = if broken { ",\n   " } else { ", " };
        let all: Vec<String> = entries
            .iter()
            .enumerate()
            .map(|(at, (name, _, _))| format!("{{name: {name}{at}, a: \"yes\"}}"))
            .collect();
        (format!("{key}: [{}]\n", all.join(between)), true)
    });
    let empty = prop::sample::select(&["", "[]", " null", " ~ # none", " [] # none", " [ ]"][..])
        .prop_map(move |value| {
            (if value == "[]" { String::new() } else { format!("{key}:{value}\n") }, false)
        });
    prop_oneof![3 => block, 1 => flow, 1 => empty]
}

#[derive(Debug)]
struct Sample {
    text: String,
    is_full: bool,
}

fn samples() -> impl Strategy<Value = Sample> {
    let others = prop::collection::vec(
        (
            prop::sample::select(
                &[
                    "apiVersion: v1\n",
                    "# a comment\n",
                    "\n",
                    "preferences: {}\n",
                    "extensions:\n- name: kind-dev\n  extension: 1.10\n",
                ][..],
            ),
            0..5_usize,
        ),
        0..4,
    );
    let lists = (list("clusters"), list("contexts"), list("users"));
    let ending = prop::sample::select(&["\n", "\r\n"][..]);
    (lists, others, any::<bool>(), ending, any::<bool>()).prop_map(
        |((clusters, contexts, users), others, is_current, ending, cut)| {
            let is_full = clusters.1 && contexts.1 && users.1 && is_current;
            let mut pieces = vec![clusters.0, contexts.0, users.0];
            if is_current {
                pieces.push("current-context: other\n".to_owned());
            }
            let mut seen = Vec::new();
            for (other, at) in others {
                if !seen.contains(&other) {
                    seen.push(other);
                    pieces.insert(at.min(pieces.len()), other.to_owned());
                }
            }
            let mut text = pieces.concat();
            let end = text.trim_end().len();
            let ends_in_block =
                ["        a", "        b"].iter().any(|last| text[..end].ends_with(last));
            if cut && !ends_in_block {
                text.truncate(end);
            }
            Sample { text: text.replace('\n', ending), is_full }
        },
    )
}

fn values(text: &str) -> Option<Value> {
    let mut value: Value = serde_yaml::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    let map = value.as_mapping_mut()?;
    map.remove("current-context");
    for list in LISTS {
        let kept: Vec<Value> = map
            .get(list)
            .and_then(Value::as_sequence)
            .into_iter()
            .flatten()
            .filter(|one| one.get("name").and_then(Value::as_str) != Some(NAME))
            .cloned()
            .collect();
        map.remove(list);
        if !kept.is_empty() {
            map.insert(list.into(), Value::Sequence(kept));
        }
    }
    map.remove("apiVersion");
    map.remove("kind");
    Some(value)
}

fn has_in_order(text: &str, all: &str) -> bool {
    let mut chars = text.chars();
    all.chars().all(|c| chars.any(|other| other == c))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn whatever_the_file_says_it_says_it_still(sample in samples()) {
        prop_assume!(splice::Document::read(&sample.text).is_ok());
        let before = &sample.text;
        let make_current = !before.contains("current-context");
        let after = merge(before, make_current).expect("takes an entry");
        let removed = remove(&after).expect("gives it back");
        if sample.is_full {
            prop_assert!(has_in_order(&after, before), "bytes were lost:\n{}", after);
            // A line break that was missing at the end stays.
            prop_assert_eq!(removed.trim_end(), before.trim_end());
        }
        if let Some(was) = values(before) {
            prop_assert_eq!(values(&after), Some(was.clone()), "{}", after);
            prop_assert_eq!(values(&removed), Some(was), "{}", removed);
        }
        let document = Document::read(&after).expect("valid");
        for list in LISTS {
            prop_assert!(document.entry(list, NAME).expect("one").is_some());
        }
    }
}
