//! A topology that is stopped for the night and started in the morning.

use crate::lab::Lab;
use crate::small::{File, changed};

const CONTAINERS: [&str; 3] = ["chg-control-plane", "chg-gw", "chg-worker"];

pub fn everything_stands_still_and_comes_back(lab: &Lab, file: &File) {
    let before = file.things();
    let ran = lab.expect(0, &["stop", &file.path()]);
    assert!(ran.err.contains("3 stopped"), "{}", ran.err);
    assert_eq!(running(lab), Vec::<String>::new());
    let again = lab.expect(0, &["stop", &file.path()]);
    assert!(again.err.contains("nothing was running"), "{}", again.err);
    let status = lab.expect(1, &["status", &file.path()]).out;
    assert!(status.ends_with("It is stopped: `topo start` brings it back\n"), "{status}");
    assert!(status.contains("the gateway is stopped"), "{status}");

    file.change_extra("blue", "red");
    let ran = lab.expect(0, &["start", &file.path()]);
    assert_eq!(running(lab), CONTAINERS);
    let body = lab.get("http://127.0.0.1:12300/");
    assert!(body.is_ok(), "it has not come back: {body:?}\n{}", ran.err);
    let left = "`topo apply` would update `object/core/ConfigMap/default/extra`";
    assert!(ran.err.contains(left), "{}", ran.err);
    file.change_extra("blue", "blue");

    file.settled();
    let mended = changed(&before, &file.things());
    let beside = mended.iter().filter(|name| !name.starts_with("container "));
    assert_eq!(beside.collect::<Vec<_>>(), Vec::<&String>::new());
}

fn running(lab: &Lab) -> Vec<String> {
    let listed = lab.run("docker", &["ps", "--format", "{{.Names}}"]);
    let mut ours: Vec<String> =
        listed.lines().filter(|name| name.starts_with("chg-")).map(str::to_owned).collect();
    ours.sort_unstable();
    ours
}
