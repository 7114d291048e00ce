//! What topo did not make stands in its way: refused with what to do, and untouched.

use crate::lab::Lab;

const FILE: &str = "topologies/dev-gateway.yaml";

#[test]
#[ignore = "needs the lab"]
fn a_foreign_container_is_refused_and_untouched() {
    let lab = Lab::open("foreign-container").of(&["dev"]);
    let base = std::env::var("GATEWAY_BASE").expect("the lab's base image");
    lab.run("docker", &["run", "-d", "--name", "dev-gw", &base, "sleep", "600"]);
    let id = lab.run("docker", &["inspect", "dev-gw", "--format", "{{.Id}} {{.State.StartedAt}}"]);
    let before = lab.listing();

    let ran = lab.topo(&["apply", "--yes", FILE]);
    let still =
        lab.run("docker", &["inspect", "dev-gw", "--format", "{{.Id}} {{.State.StartedAt}}"]);
    let after = lab.listing();
    lab.run("docker", &["rm", "-f", "dev-gw"]);

    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("dev-gw"), "{}", ran.err);
    assert_eq!(still, id);
    let state = lab.home.path().join(".local/state").display().to_string();
    let made: Vec<_> = after.difference(&before).filter(|line| !line.contains(&state)).collect();
    assert!(made.is_empty(), "made: {made:?}");
}
