//! A planted secret, searched for in everything that the commands without an engine say.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::Machine;

/// Longer than words, shorter than what any text could be searched for, a number, and several lines.
const SECRETS: [(&str, &str); 4] = [
    ("LONG", "hunter2-and-more"),
    ("SHORT", "Zq9"),
    ("PIN", "748159"),
    ("LINES", "BEGIN Vbx\nXwz77\nEND Vbx"),
];

const FILE: &str = "\
name: dev
sensitive: [LONG, SHORT, PIN, LINES]
cluster:
  kindConfig:
    containerdConfigPatches:
      - \"kind: Open\"
      - a-${SHORT}-b
      - ${LINES}
    runtimeConfig:
      api/all: x-${LONG}
images:
  - name: localhost/web:1
    build: web
    args:
      TOKEN: ${SHORT}
      WHOLE: a-${LONG}-b
      OPEN: shown
vars:
  token: ${SHORT}
  pin: ${PIN}
  deep:
    - password: x${LONG}y
manifests: [{ path: app.yaml.j2 }]
";

const MANIFEST: &str = "\
apiVersion: v1
kind: Secret
metadata: { name: token }
stringData: { token: \"{{ vars.token }}\" }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: held }
data: { pin: \"{{ vars.pin + 1 }}\", password: \"{{ vars.deep[0].password | upper }}\" }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: open }
data: { open: shown }
";

fn machine() -> Machine {
    let machine = Machine::new();
    machine.folder("web");
    machine.write("web/Dockerfile", "FROM scratch\n");
    machine.write("topo.yaml", FILE);
    machine.write("app.yaml.j2", MANIFEST);
    machine
}

/// The secrets and what the files here make of them.
fn traces() -> Vec<String> {
    let mut traces: Vec<String> = ["748160", "HUNTER2", "Xwz77"].map(str::to_owned).to_vec();
    for (_, secret) in SECRETS {
        traces.push(secret.to_owned());
        traces.push(BASE64_STANDARD.encode(secret));
    }
    traces
}

#[test]
fn a_secret_is_in_nothing_that_is_said() {
    let machine = machine();
    for command in [
        &["validate"][..],
        &["validate", "-o", "json"],
        &["render", "kind"],
        &["render", "manifests"],
        &["render"],
        &["graph"],
        &["graph", "-o", "json"],
        &["graph", "--format", "html"],
        &["diff", "-v"],
        &["diff", "-o", "json"],
    ] {
        let ran = machine.topo_with(command, &SECRETS);
        let all = ran.stdout + &ran.stderr;
        for trace in traces() {
            assert!(!all.contains(&trace), "{trace:?} of topo {command:?}: {all}");
        }
    }
}

#[test]
fn what_a_template_makes_of_a_secret_is_masked_and_nothing_else_is() {
    let machine = machine();
    let rendered = machine.topo_with(&["render", "manifests"], &SECRETS);
    assert_eq!(rendered.code, 0, "{}", rendered.stderr);
    assert!(rendered.stdout.contains("open: shown"), "{}", rendered.stdout);
    assert_eq!(rendered.stdout.matches("(sensitive)").count(), 3, "{}", rendered.stdout);
    let kind = machine.topo_with(&["render", "kind"], &SECRETS).stdout;
    assert!(kind.contains("kind: Open") && kind.contains("(sensitive)"), "{kind}");
}

#[test]
fn secrets_are_shown_where_a_person_asks_for_them() {
    let machine = machine();
    let shown = machine.topo_with(&["render", "--show-secrets"], &SECRETS).stdout;
    for trace in ["Zq9", "HUNTER2-AND-MORE", "748160", "x-hunter2-and-more"] {
        assert!(shown.contains(trace), "{trace}: {shown}");
    }
}

#[test]
fn a_secret_is_refused_where_it_would_be_seen() {
    let machine = Machine::new();
    for text in [
        "name: a${SHORT}\n",
        "name: dev\nnetwork:\n  subnet: ${SHORT}\n",
        "name: dev\nimages:\n  - localhost/${SHORT}:1\n",
        "name: dev\ncluster:\n  workers: ${PIN}\n",
        "name: dev\ncluster:\n  kindConfig:\n    networking:\n      podSubnet: ${SHORT}\n",
        "name: dev\nmanifests:\n  - path: ./${SHORT}\n",
    ] {
        machine.write("topo.yaml", &format!("sensitive: [SHORT, PIN]\n{text}"));
        let ran = machine.topo_with(&["validate"], &SECRETS);
        let said = ran.stdout + &ran.stderr;
        assert_eq!(ran.code, 2, "{said}");
        assert!(said.contains("a sensitive variable cannot be used here"), "{said}");
        assert!(!said.contains("Zq9") && !said.contains("748159"), "{said}");
    }
}

#[test]
fn a_name_that_would_tell_a_secret_is_refused() {
    let machine = machine();
    machine
        .write("app.yaml.j2", &MANIFEST.replace("name: held", "name: a-{{ vars.token | lower }}"));
    let ran = machine.topo_with(&["render", "manifests"], &SECRETS);
    assert_ne!(ran.code, 0);
    let said = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("depends on a sensitive variable"), "{said}");
    assert!(!ran.stderr.contains("zq9"), "{}", ran.stderr);
}
