//! What `topo validate` finds beyond the file itself: in everything local that the file names.

use crate::Machine;

/// What is refused, and the line of the file that asked for it.
fn refused(machine: &Machine) -> (String, String) {
    let ran = machine.topo(&["validate"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let graph = machine.topo(&["graph"]);
    assert_eq!(graph.code, 2, "`graph` draws it:\n{}", graph.stdout);
    let line = |mark: &str| {
        let found = ran.stderr.lines().find_map(|line| line.trim_start().strip_prefix(mark));
        found.unwrap_or_default().to_owned()
    };
    let place = line("--> ");
    assert!(graph.stderr.contains(&place), "{place} is not in\n{}", graph.stderr);
    (line("error: "), place)
}

fn machine(file: &str) -> Machine {
    let machine = Machine::new();
    machine.folder("manifests");
    machine.write("manifests/web.yaml", WEB);
    machine.write("topo.yaml", file);
    machine
}

const WEB: &str = "\
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  type: LoadBalancer
  selector: { app: web }
  ports: [{ name: http, port: 80 }]
";

#[test]
fn a_need_of_what_is_not_there() {
    let machine = machine(
        "name: dev\ncluster: {}\nmanifests:\n  - { path: manifests, needs: [share/nope] }\n",
    );
    let (message, place) = refused(&machine);
    assert!(message.contains("needs `share/nope`, which is not in"), "{message}");
    assert_eq!(place, "topo.yaml:4:32");
}

#[test]
fn needs_in_a_circle() {
    let machine = machine(
        "name: dev\ncluster: {}\nshares:\n  - { name: a, volume: data, needs: [share/b] }\n  - { name: b, volume: more, needs: [share/a] }\n",
    );
    let (message, place) = refused(&machine);
    assert!(message.contains("dependency cycle: share/a -> share/b -> share/a"), "{message}");
    assert_eq!(place, "topo.yaml:4:38");
}

#[test]
fn a_manifest_that_cannot_be_read() {
    let machine = machine("name: dev\ncluster: {}\nmanifests:\n  - path: manifests\n");
    machine.write("manifests/broken.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n");
    let (message, place) = refused(&machine);
    assert!(message.starts_with("manifests/broken.yaml:1:1: "), "{message}");
    assert!(place.starts_with("topo.yaml:4:"), "{place}");
}

#[test]
fn a_forward_to_a_port_that_the_files_own_service_lacks() {
    let machine = machine(
        "name: dev\ncluster: {}\nmanifests: [{ path: manifests }]\ngateway:\n  publish: [10000]\n  ports:\n    - { listen: 10000, to: { service: web, port: 81 } }\n",
    );
    let (message, place) = refused(&machine);
    assert!(message.contains("leads to default/web:81"), "{message}");
    assert_eq!(place, "topo.yaml:7:24");
}

#[test]
fn a_key_that_is_cut_off_in_its_file() {
    let machine =
        machine("name: dev\ngateway:\n  ssh: { listen: 122, authorizedKeys: [key.pub] }\n");
    machine.write("key.pub", "# mine\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtleQ== me\n");
    let (message, place) = refused(&machine);
    assert_eq!(message, "key.pub:2: the key is truncated");
    assert_eq!(place, "topo.yaml:3:40");
}

#[test]
fn what_would_have_to_be_fetched_is_left_out_and_said() {
    let file = format!(
        "name: dev\ncluster: {{}}\nmanifests:\n  - {{ url: https://example.invalid/x.yaml, sha256: {}, needs: [object/core/Service/default/x] }}\n",
        "0".repeat(64)
    );
    let ran = machine(&file).topo(&["validate"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("https://example.invalid/x.yaml"), "{}", ran.stderr);
}

#[test]
fn needs_take_ids_in_any_short_form_that_is_one_resource() {
    let machine = Machine::new();
    machine.folder("web");
    machine.write("web/Dockerfile", "FROM scratch\n");
    machine.write("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n");
    let file = |needs: &str| {
        format!(
            "name: dev\ncluster: {{}}\nimages:\n  - {{ name: localhost/echo:1, build: web }}\n  - {{ name: localhost/echo:2, build: web }}\n  - {{ name: localhost/web:1, build: web }}\nmanifests: [{{ path: a.yaml, needs: [{needs}] }}]\n"
        )
    };
    machine.write("topo.yaml", &file("image/web"));
    let drawn = machine.topo(&["graph", "--format", "dot"]);
    assert_eq!(drawn.code, 0, "{}", drawn.stderr);
    machine.write("topo.yaml", &file("image/echo"));
    let several = machine.topo(&["graph"]);
    assert_eq!(several.code, 2, "{}", several.stdout);
    assert!(several.stderr.contains("`image/echo` is ambiguous"), "{}", several.stderr);
}
