//! A name of which there is nothing.

use crate::{Machine, engine};

fn destroyed(name: &str, there: &[&str]) -> (Machine, crate::Ran) {
    let machine = Machine::new();
    let host = engine::with_claims(there);
    let ran =
        machine.topo_with(&["destroy", "--yes", "--name", name], &[("DOCKER_HOST", host.as_str())]);
    (machine, ran)
}

#[test]
fn a_name_of_which_there_is_nothing_is_refused_and_leaves_nothing_behind() {
    let (machine, ran) = destroyed("dve-box", &["dev-box", "other"]);
    insta::assert_snapshot!("unfound", ran.shown());
    assert!(!machine.path().join(".local/state/topo").exists());
}

#[test]
fn without_a_near_name_all_are_listed() {
    let (_, ran) = destroyed("web", &["dev-box", "other"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("this engine has `dev-box` and `other`"), "{}", ran.stderr);
    let host = engine::with_claims(&["dev-box"]);
    let environment = [("DOCKER_HOST", host.as_str())];
    let ran = Machine::new().topo_with(&["status", "--name", "dev-bx"], &environment);
    assert!(ran.stderr.contains("`topo status --name dev-box`"), "{}", ran.stderr);
    let (_, ran) = destroyed("web", &[]);
    assert!(ran.stderr.contains("this engine has no topology"), "{}", ran.stderr);
}
