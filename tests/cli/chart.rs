//! Helm charts among the manifests, rendered by a program of the test's own.

use std::fs;

use crate::{Machine, Ran};

/// It shows what it was told, and the values in the end.
const HELM: &str = r#"#!/bin/sh
case $1 in
version) echo v4.0.0 ;;
pull)
    [ -e remote ] || { echo 'Error: no such host' >&2; exit 1; }
    while [ "$1" != --destination ]; do shift; done
    read -r archive <remote
    echo "$archive" >"$2/web-1.0.0.tgz"
    ;;
template)
    [ -e broken ] && { echo 'Error: values do not meet the schema' >&2; exit 1; }
    read -r values
    echo "apiVersion: v1
kind: ConfigMap
metadata: { name: $2 }
data:
  arguments: '$(shift 3; echo "$*")'
---
apiVersion: v1
kind: ConfigMap
metadata: { name: $2-values, namespace: other }
data: $values
---
apiVersion: v1
kind: Pod
metadata: { name: $2-test, annotations: { helm.sh/hook: test } }
"
    ;;
esac
"#;

const TOPOLOGY: &str = "\
name: dev
cluster: { image: kindest/node:v1.34.0 }
sensitive: [TOKEN]
manifests:
  - chart: web
    namespace: apps
    valuesFiles: [more.yaml]
    values: { size: small, token: ${TOKEN} }
";

fn machine(topology: &str) -> Machine {
    let machine = Machine::new();
    machine.folder("web");
    machine.program("helm", HELM);
    machine.write("more.yaml", "a: 1\n");
    machine.write("topo.yaml", topology);
    machine
}

fn topo(machine: &Machine, args: &[&str]) -> Ran {
    machine.topo_on_path(args, &[("TOKEN", "Zq9x")])
}

#[test]
fn what_is_rendered_is_read_like_any_manifest_and_masked() {
    let machine = machine(TOPOLOGY);
    let mut rendered = topo(&machine, &["render", "manifests"]);
    let home = machine.path().canonicalize().expect("there").display().to_string();
    rendered.stdout = rendered.stdout.replace(&home, "[home]");
    insta::assert_snapshot!("render-chart", rendered.shown());
    let open = topo(&machine, &["render", "manifests", "--show-secrets"]).stdout;
    assert!(open.contains("token: Zq9x"), "{open}");
    let graph = topo(&machine, &["graph"]).stdout;
    assert!(graph.contains("object/core/ConfigMap/apps/web"), "{graph}");
}

#[test]
fn without_helm_it_is_said_what_to_install() {
    let machine =
        machine(&TOPOLOGY.replace("sensitive: [TOKEN]\n", "").replace("${TOKEN}", "none"));
    insta::assert_snapshot!("helm-missing", machine.topo(&["graph"]).shown());
    let checked = machine.topo(&["validate"]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    let said = "not checked, since `helm` is not on PATH: web";
    assert!(checked.stderr.contains(said), "{}", checked.stderr);
}

#[test]
fn what_helm_says_is_passed_on_with_its_version() {
    let machine = machine(TOPOLOGY);
    machine.write("broken", "");
    let ran = topo(&machine, &["graph"]);
    assert_eq!(ran.code, 2);
    for said in ["with Helm v4.0.0 (topo.yaml:5:", "Error: values do not meet the schema"] {
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("Zq9x"), "{}", ran.stderr);
}

#[test]
fn a_chart_is_fetched_once_and_only_as_it_was_pinned() {
    // SHA-256 of `archive` and a newline.
    let sha256 = "371e16ce98051a3ea7af3eaef8b87d69033154fb5bb33da349d611f0fae061d6";
    let remote = |sha256: &str| {
        format!(
            "name: dev\ncluster: {{}}\nmanifests:\n  - {{ chart: web, repo: https://example.invalid, version: 1.0.0, sha256: {sha256} }}\n"
        )
    };
    let machine = machine(&remote(sha256));
    let unreached = topo(&machine, &["graph"]);
    assert_eq!(unreached.code, 2, "{}", unreached.stdout);
    assert!(unreached.stderr.contains("Error: no such host"), "{}", unreached.stderr);
    let checked = topo(&machine, &["validate"]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    assert!(checked.stderr.contains("it is not downloaded yet: web"), "{}", checked.stderr);

    machine.write("remote", "another\n");
    let another = topo(&machine, &["graph"]);
    assert!(another.stderr.contains("not the file that was pinned"), "{}", another.stderr);
    machine.write("remote", "archive\n");
    assert_eq!(topo(&machine, &["graph"]).code, 0);
    fs::remove_file(machine.path().join("remote")).expect("it can be removed");
    assert_eq!(topo(&machine, &["graph"]).code, 0, "it is kept");
}
