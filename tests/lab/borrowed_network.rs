//! kind's own network: an IPv6 subnet that kind chose and an IPv4 one that Docker did. The engine
//! gives no fixed addresses on it, so nodes cannot be pinned, and that is said.
//!
//! Besides, what comes from elsewhere: a manifest by url, and an image by digest.

use std::path::{Path, PathBuf};

use crate::lab::Lab;
use crate::served::{Files, Served};

const NETWORK: &str = "kind";
/// As kind makes it.
const MADE_BY_KIND: [&str; 9] = [
    "network",
    "create",
    "-d=bridge",
    "-o=com.docker.network.bridge.enable_ip_masquerade=true",
    "-o=com.docker.network.driver.mtu=1500",
    "--ipv6",
    "--subnet",
    "fc00:f853:ccd:e793::/64",
    NETWORK,
];

const TOPOLOGY: &str = "name: guest
network: { name: kind }
cluster:
  image: ${NODE_IMAGE}
images:
  - ${WEB_IMAGE}
metallb:
  manifest: metallb.yaml
  pools: [{ name: guest, size: 5 }]
vars:
  webImage: ${WEB_IMAGE}
manifests:
  - path: hello.yaml.j2
  - url: http://${SERVED}/colour.yaml
    sha256: ${COLOUR_SUM}
gateway:
  image:
    base: ${GATEWAY_BASE}
  publish: [12385]
  ports:
    - { listen: 12385, to: { service: hello, port: 80 } }
";

#[test]
#[ignore = "needs the lab"]
fn on_kinds_own_network_nodes_are_not_pinned() {
    let mut lab = Lab::open("borrowed-network").of(&["guest"]);
    lab.set("TOPO_CACHE_DIR", lab.own("downloads").display().to_string());
    let (served, image) = from_elsewhere(&mut lab);
    lab.try_run("docker", &["network", "rm", NETWORK]);
    lab.run("docker", &MADE_BY_KIND);
    let id = || lab.run("docker", &["network", "inspect", NETWORK, "--format", "{{.Id}}"]);
    let before = id();
    let before_apply = lab.listing();
    let file = lab.own("topo.yaml");
    std::fs::write(&file, TOPOLOGY).expect("written");
    let hello = lab.own("hello.yaml.j2");
    std::fs::copy("topologies/manifests/hello.yaml.j2", &hello).expect("copied");
    let manifest = metallb_that_tells_more(&lab);
    let file = file.display().to_string();

    let ran = lab.expect(0, &["apply", &file]);
    let said = format!("{}{}", ran.out, ran.err);
    assert!(said.contains("was made without a subnet of its own"), "{said}");
    let said = Lab::eventually("the pod", || lab.get("http://127.0.0.1:12385/"));
    assert!(said.starts_with("pod=hello-"), "{said}");
    tells_more(&lab);
    let get = ["get", "configmap/colour", "-o", "jsonpath={.data.colour}"];
    assert_eq!(lab.run("kubectl", &[&["--context", "kind-guest"], &get[..]].concat()), "blue");
    // What was fetched is kept.
    drop(served);
    lab.expect(0, &["diff", &file]);

    // By its name alone, without the file.
    for file in [Path::new(&file), &hello, &manifest] {
        std::fs::remove_file(file).expect("removed");
    }
    lab.expect(0, &["destroy", "--yes", "--name", "guest"]);
    // What was pulled stays, as after `docker run`.
    lab.run("docker", &["image", "rm", &image]);
    lab.is_as_before(&before_apply);
    assert_eq!(id(), before, "it was not topo's to remove");
    lab.run("docker", &["network", "rm", NETWORK]);
}

/// The image is in no pod's reach: at an address of this machine, and not on its engine.
fn from_elsewhere(lab: &mut Lab) -> (Served, String) {
    let mut files = Files::default();
    files.add("/colour.yaml", COLOUR);
    let colour = lab.own("colour.yaml");
    std::fs::write(&colour, COLOUR).expect("written");
    let sum = lab.run("sha256sum", &[&colour.display().to_string()]);

    let base = std::env::var("ECHO_IMAGE").expect("set by the lab");
    let dockerfile = lab.own("Dockerfile");
    std::fs::write(&dockerfile, format!("FROM {base}\nLABEL from=elsewhere\n")).expect("written");
    let folder = lab.own("").display().to_string();
    lab.run("docker", &["build", "-q", "-t", BUILT, &folder]);
    let digest = files.add_image(lab, BUILT, "web");
    lab.run("docker", &["image", "rm", BUILT]);

    let served = files.serve();
    lab.set("SERVED", served.address.to_string());
    lab.set("COLOUR_SUM", sum.split(' ').next().unwrap_or_default());
    lab.set("WEB_IMAGE", format!("{}/web:1@{digest}", served.address));
    let pulled = format!("{}/web@{digest}", served.address);
    (served, pulled)
}

const BUILT: &str = "localhost/from-elsewhere:1";
const COLOUR: &str =
    "{apiVersion: v1, kind: ConfigMap, metadata: {name: colour}, data: {colour: blue}}";

/// A manifest of the user's own: the release's, with another log level.
fn metallb_that_tells_more(lab: &Lab) -> PathBuf {
    let text = std::fs::read_to_string(lab.metallb_manifest()).expect("readable");
    assert!(text.contains("--log-level=info"), "MetalLB's manifest says nothing of its log");
    let own = lab.own("metallb.yaml");
    std::fs::write(&own, text.replace("--log-level=info", "--log-level=debug")).expect("written");
    own
}

fn tells_more(lab: &Lab) {
    let arguments = "jsonpath={.spec.template.spec.containers[0].args}";
    let controller = ["-n", "metallb-system", "get", "deployment/controller", "-o", arguments];
    let said = lab.run("kubectl", &[&["--context", "kind-guest"], &controller[..]].concat());
    assert!(said.contains("--log-level=debug"), "{said}");
}
