//! Kustomizations among the manifests, built by a program of the test's own.

use std::fs;

use crate::{Machine, Ran};

/// It builds what the folder has, and a value of its environment.
const KUSTOMIZE: &str = "#!/bin/sh
[ \"$1\" = build ] || exit 9
[ -f \"$2/kustomization.yaml\" ] || { echo \"Error: no kustomization in '$2'\" >&2; exit 1; }
while read -r line; do echo \"$line\"; done <\"$2/kustomization.yaml\"
echo \"data: { token: '$TOKEN' }\"
";

const OBJECTS: &str = "\
apiVersion: v1
kind: Secret
metadata: { name: built }
stringData: { password: hunter2 }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: held }
";

fn machine() -> Machine {
    let machine = Machine::new();
    machine.program("kustomize", KUSTOMIZE);
    machine.folder("overlay");
    machine.write("overlay/kustomization.yaml", OBJECTS);
    machine.write(
        "topo.yaml",
        "name: dev\ncluster: {}\nsensitive: [TOKEN]\nmanifests: [{ kustomize: overlay }]\n",
    );
    machine
}

fn topo(machine: &Machine, args: &[&str]) -> Ran {
    machine.topo_on_path(args, &[("TOKEN", "Zq9")])
}

#[test]
fn what_is_built_is_read_like_any_manifest_and_masked() {
    let machine = machine();
    let rendered = topo(&machine, &["render", "manifests"]);
    insta::assert_snapshot!("render-kustomize", rendered.shown());
    let open = topo(&machine, &["render", "manifests", "--show-secrets"]).stdout;
    assert!(open.contains("token: Zq9") && open.contains("password: hunter2"), "{open}");
    let given = ["render", "manifests", "--show-secrets", "--var", "TOKEN=Xw8"];
    let given = topo(&machine, &given).stdout;
    assert!(given.contains("token: Xw8"), "{given}");
    let graph = topo(&machine, &["graph"]).stdout;
    assert!(graph.contains("object/core/ConfigMap/default/held"), "{graph}");
}

#[test]
fn a_fault_of_what_is_built_says_where() {
    let machine = machine();
    machine.write("overlay/kustomization.yaml", "apiVersion: v1\nkind: ConfigMap\n");
    let ran = topo(&machine, &["graph"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr.contains("overlay (built):1:1: this ConfigMap has no name"),
        "{}",
        ran.stderr
    );
}

#[test]
fn without_the_program_it_is_said_what_to_install() {
    let machine = machine();
    insta::assert_snapshot!("kustomize-missing", machine.topo(&["graph"]).shown());
    let checked = machine.topo(&["validate"]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    let said = "not checked, since neither `kustomize` nor `kubectl` is on PATH: overlay";
    assert!(checked.stderr.contains(said), "{}", checked.stderr);
}

#[test]
fn what_kustomize_says_is_passed_on() {
    let machine = machine();
    fs::remove_file(machine.path().join("overlay/kustomization.yaml")).expect("it can be removed");
    let ran = topo(&machine, &["graph"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("Error: no kustomization in '"), "{}", ran.stderr);
}
