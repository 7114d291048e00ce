//! topo killed while kind makes the cluster: the next apply ends well, and asks nothing.

use std::time::{Duration, Instant};

use crate::lab::Lab;
use crate::small::File;

pub fn killed_in_kind_create_then_finished(lab: &Lab, file: &File) {
    killed_when_an_image_is_on_the_nodes(lab, file);
    lab.expect(0, &["apply", &file.path()]);
    let kind = std::env::var("TOPO_KIND").expect("set by the lab");
    let nodes = lab.run(&kind, &["get", "nodes", "--name", "chg"]);
    assert_eq!(nodes.lines().count(), 2, "{nodes}");
    another_file_of_the_same_name_is_refused(lab, file);
}

/// That is while kind is still at work, and with a record of the image in the claim.
fn killed_when_an_image_is_on_the_nodes(lab: &Lab, file: &File) {
    let mut topo = lab.begin(&["apply", &file.path()], &[]);
    let list = ["exec", "chg-worker", "ctr", "--namespace=k8s.io", "images", "list"];
    let deadline = Instant::now() + Duration::from_mins(2);
    while !lab.try_run("docker", &list).out.contains("dev.topo.image=") {
        assert!(Instant::now() < deadline, "no image came onto the worker");
        std::thread::sleep(Duration::from_millis(100));
    }
    topo.kill().expect("killed");
    topo.wait().expect("ended");
}

fn another_file_of_the_same_name_is_refused(lab: &Lab, file: &File) {
    let other = lab.own("other.yaml");
    std::fs::copy(file.path(), &other).expect("copied");
    let ran = lab.expect(2, &["apply", &other.display().to_string()]);
    assert!(
        ran.err.contains("applied from another file") && ran.err.contains("--moved"),
        "{}",
        ran.err
    );
    std::fs::remove_file(&other).expect("removed");
}
