//! topo killed while kind makes the cluster, and a topology taken down without its file.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::lab::Lab;

const FILE: &str = "cut.yaml";

const TOPOLOGY: &str = "apiVersion: topo/v1alpha1
kind: Topology
name: cut
cluster:
  workers: 1
  image: ${NODE_IMAGE}
images:
  - ${ECHO_IMAGE}
";

#[test]
#[ignore = "needs the lab"]
fn killed_in_kind_create_then_finished_then_destroyed_by_name() {
    let lab = Lab::open("interrupted").of(&["cut"]);
    let before = lab.listing();
    let file = lab.home.path().join(FILE);
    std::fs::write(&file, TOPOLOGY).expect("written");
    let file = file.display().to_string();

    killed_when_an_image_is_on_the_nodes(&lab, &file);
    lab.expect(0, &["apply", &file]);
    lab.expect(0, &["diff", &file]);
    let nodes =
        lab.run(&std::env::var("TOPO_KIND").expect("set"), &["get", "nodes", "--name", "cut"]);
    assert_eq!(nodes.lines().count(), 2, "{nodes}");

    another_file_of_the_same_name_is_refused(&lab);
    a_stopped_worker_is_started(&lab, &file);

    std::fs::remove_file(&file).expect("removed");
    lab.expect(0, &["destroy", "--yes", "--name", "cut"]);
    let after = lab.listing();
    let left: Vec<_> = after.difference(&before).collect();
    assert!(left.is_empty(), "left behind: {left:#?}");
}

/// That is while kind is still at work, and with a record of the image in the claim.
fn killed_when_an_image_is_on_the_nodes(lab: &Lab, file: &str) {
    let mut topo = Command::new(env!("CARGO_BIN_EXE_topo"))
        .args(["apply", file])
        .env("HOME", lab.home.path())
        .env_remove("KUBECONFIG")
        .spawn()
        .expect("topo runs");
    let list = ["exec", "cut-worker", "ctr", "--namespace=k8s.io", "images", "list"];
    let deadline = Instant::now() + Duration::from_mins(2);
    while !lab.try_run("docker", &list).out.contains("dev.topo.image=") {
        assert!(Instant::now() < deadline, "no image came onto the worker");
        std::thread::sleep(Duration::from_millis(100));
    }
    topo.kill().expect("killed");
    topo.wait().expect("ended");
}

fn another_file_of_the_same_name_is_refused(lab: &Lab) {
    let other = lab.home.path().join("other.yaml");
    std::fs::write(&other, TOPOLOGY).expect("written");
    let ran = lab.expect(2, &["apply", &other.display().to_string()]);
    assert!(
        ran.err.contains("applied from another file") && ran.err.contains("--moved"),
        "{}",
        ran.err
    );
    std::fs::remove_file(&other).expect("removed");
}

fn a_stopped_worker_is_started(lab: &Lab, file: &str) {
    lab.run("docker", &["stop", "-t", "1", "cut-worker"]);
    let ran = lab.expect(1, &["diff", file]);
    assert!(ran.out.contains("! node/cut-worker") && ran.out.contains("drift"), "{}", ran.out);
    lab.expect(0, &["apply", file]);
    lab.expect(0, &["diff", file]);
}
