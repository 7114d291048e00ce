//! What is wrong with a file, as it is shown.

use crate::Machine;

/// Twelve faults, each of another kind.
const FAULTY: &str = "\
apiVersion: topo/v1alpha1
kind: Topology
name: Dev_Box
cluster:
  worker: 2
  controlPlanes: three
network:
  subnet: 172.22.0.0/33
metallb:
  pools:
    - { name: a, addresses: [172.22.255.250-172.22.255.200] }
gateway:
  mode: nat
  publish: [10000-10099, 70000]
  ports:
    - { listen: 0x50, to: { service: web, port: 80 } }
    - { listen: 10005, to: { service: web, nodePort: 30080 } }
manifests:
  - { path: manifests, wait: 90 }
shares:
  - { name: docs, path: ~/docs, via: nfs }
vars:
  password: ${DB_PASSWORD}
";

fn faulty() -> Machine {
    let machine = Machine::new();
    machine.folder("docs");
    machine.folder("manifests");
    machine.write("topo.yaml", FAULTY);
    machine
}

#[test]
fn twelve_faults_are_twelve_errors_in_one_run() {
    let machine = faulty();
    let ran = machine.topo(&["validate"]);
    assert_eq!(ran.stderr.matches("error: ").count(), 12, "{}", ran.stderr);
    assert!(ran.stderr.ends_with("12 errors in topo.yaml\n"), "{}", ran.stderr);
    assert!(ran.stderr.lines().all(|line| line.chars().count() <= 80), "{}", ran.stderr);
    insta::assert_snapshot!(ran.shown());
}

#[test]
fn twelve_faults_in_color() {
    let machine = faulty();
    insta::assert_snapshot!(machine.topo(&["validate", "--color", "always"]).shown());
}

#[test]
fn set_ups_of_nfs_that_are_known_to_bite_are_told_by_their_names() {
    let machine = Machine::new();
    machine.folder("web");
    let broken = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/topologies/invalid/broken-nfs.yaml");
    machine.write("topo.yaml", &std::fs::read_to_string(broken).expect("is there"));
    insta::assert_snapshot!("broken-nfs", machine.topo(&["validate"]).shown());
}

#[test]
fn json_has_the_same_faults_at_the_same_places() {
    let machine = faulty();
    let ran = machine.topo(&["validate", "-o", "json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (2, ""));
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one document");
    let schema = include_str!("../../docs/reference/apply.schema.json");
    let schema = serde_json::from_str(schema).expect("the schema is JSON");
    assert!(jsonschema::is_valid(&schema, &document), "{document:#}");

    let text = machine.topo(&["validate"]).stderr;
    let problems = document["problems"].as_array().expect("a list");
    assert_eq!(problems.len(), 12);
    for problem in problems {
        let place = &problem["place"];
        let address = format!("--> topo.yaml:{}:{}\n", place["line"], place["column"]);
        assert!(text.contains(&address), "{address} is not in\n{text}");
    }
}

#[test]
fn every_command_that_reads_the_file_shows_its_faults_and_changes_nothing() {
    let machine = faulty();
    let shown = machine.topo(&["validate"]).stderr;
    for command in ["apply", "diff", "destroy", "graph"] {
        let ran = machine.topo(&[command]);
        assert_eq!((ran.code, ran.stderr.as_str()), (2, shown.as_str()), "topo {command}");
    }
}

#[test]
fn a_missing_file_says_how_to_get_one() {
    let machine = Machine::new();
    insta::assert_snapshot!("missing-file", machine.topo(&["diff"]).shown());
    insta::assert_snapshot!("a-folder", machine.topo(&["diff", "."]).shown());
}

#[test]
fn a_sensitive_value_is_never_shown() {
    let machine = Machine::new();
    machine.write(
        "topo.yaml",
        "apiVersion: topo/v1alpha1\nkind: Topology\nname: ${DB_PASSWORD}\nsensitive: [DB_PASSWORD]\n",
    );
    for format in ["text", "json"] {
        let secret = [("DB_PASSWORD", "Hunter2-and-more")];
        let ran = machine.topo_with(&["validate", "-o", format], &secret);
        assert_eq!(ran.code, 2);
        let all = ran.stdout + &ran.stderr;
        assert!(!all.contains("Hunter2"), "{all}");
    }
}
