//! `topo doctor` without an engine, and what it does not say.

use serde_json::Value;

use crate::Machine;

const SECRET: &str = "hunter2-and-more";
const FILE: &str = "\
name: dev
sensitive: [TOKEN]
cluster: { image: kindest/node:v1.34.0 }
vars:
  token: ${TOKEN}
manifests: [{ path: web.yaml }]
gateway: { publish: [10000-10019] }
";
const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { type: LoadBalancer, ports: [{ port: 80 }] }
";

fn machine() -> Machine {
    let machine = Machine::new();
    machine.write("topo.yaml", FILE);
    machine.write("web.yaml", SERVICE);
    machine
}

/// What does not depend on the machine that the tests run on.
fn lasting(text: &str) -> String {
    let machines_own = ["open-files", "firewall", "routes"];
    let is_lasting = |line: &&str| !machines_own.iter().any(|check| line[..].contains(check));
    text.split_inclusive('\n').filter(is_lasting).collect()
}

#[test]
fn without_an_engine_the_rest_is_examined() {
    let machine = machine();
    let ran = machine.topo_with(&["doctor"], &[("TOKEN", SECRET)]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    insta::assert_snapshot!("doctor", lasting(&ran.stdout));
    let quiet = machine.topo_with(&["doctor", "-q"], &[("TOKEN", SECRET)]).stdout;
    assert!(ran.stdout.contains(&quiet) && quiet.starts_with("error["), "{quiet}");
    let json = machine.topo_with(&["doctor", "-o", "json"], &[("TOKEN", SECRET)]).stdout;
    let document: Value = serde_json::from_str(&json).expect("one document");
    assert_eq!(document["format"], "topo.doctor/v1");
    assert_eq!(document["findings"][0]["name"], "engine-unreachable");
}

#[test]
fn a_folder_without_a_file_is_no_fault_and_a_file_that_is_named_and_not_there_is() {
    let machine = Machine::new();
    let ran = machine.topo(&["doctor", "-o", "json"]);
    let document: Value = serde_json::from_str(&ran.stdout).expect("one document");
    let checks = document["checks"].as_array().expect("a list");
    let file = checks.iter().find(|check| check["check"] == "file").expect("it is listed");
    assert_eq!(file["state"], "unexamined");
    let ran = machine.topo(&["doctor", "other.yaml"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.starts_with("error: cannot read `other.yaml`\n"), "{}", ran.stderr);
}

#[test]
fn a_file_with_errors_is_a_finding() {
    let machine = Machine::new();
    machine.write("topo.yaml", "name: dev\ncluster: { worker: 1 }\n");
    let ran = machine.topo(&["doctor"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.contains("error[invalid-file]: topo.yaml:2:12: unknown key"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_report_has_what_is_shown_and_no_secret_and_is_written_over_no_file() {
    let machine = machine();
    machine.write("config", &format!("users: [{{ user: {{ token: {SECRET} }} }}]\n"));
    let proxy = format!("http://me:{SECRET}@proxy.example:3128");
    let engine = format!("tcp://me:{SECRET}@127.0.0.1:1");
    let kubeconfig = machine.path().join("config").display().to_string();
    let environment = [
        ("TOKEN", SECRET),
        ("HTTPS_PROXY", &proxy),
        ("DOCKER_HOST", &engine),
        ("KUBECONFIG", &kubeconfig),
    ];
    let ran = machine.topo_with(&["doctor", "--report", "report.txt"], &environment);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let report = machine.read("report.txt");
    assert!(report.starts_with("topo ") && report.contains("[engine-unreachable]"), "{report}");
    assert!(report.contains("HTTPS_PROXY http://proxy.example:3128"), "{report}");
    for text in [&report, &ran.stdout, &ran.stderr] {
        assert!(!text.contains(SECRET), "{text}");
    }
    let again = machine.topo_with(&["doctor", "--report", "report.txt"], &environment);
    assert_eq!((again.code, again.stdout.as_str()), (2, ""));
    assert_eq!(machine.read("report.txt"), report);
}
