//! topologies/two-teams-a.yaml and -b.yaml: two topologies on one network, applied at the same moment.

use std::collections::BTreeSet;

use crate::lab::{Lab, Ran};

const FILES: [&str; 2] = ["topologies/two-teams-a.yaml", "topologies/two-teams-b.yaml"];

#[test]
#[ignore = "needs the lab"]
fn two_topologies_share_a_network_and_never_an_address() {
    let lab = Lab::open("two-teams").of(&["team-a", "team-b"]);
    let before = lab.listing();

    let ran = lab.topo_at_once(&[&["apply", FILES[0]], &["apply", FILES[1]]]);
    assert_eq!([ran[0].code, ran[1].code], [0, 0]);
    for (port, file) in [(12330, FILES[0]), (12340, FILES[1])] {
        let url = format!("http://127.0.0.1:{port}/");
        let said = Lab::eventually("the pod", || lab.get(&url));
        assert!(said.starts_with("pod=hello-"), "{said}");
        lab.expect(0, &["diff", file]);
    }
    let (a, b) = (pool(&lab, "team-a"), pool(&lab, "team-b"));
    assert_eq!((a.len(), b.len()), (20, 20), "{a:?} {b:?}");
    assert!(a.is_disjoint(&b), "{a:?} meets {b:?}");

    lab.expect(0, &["destroy", "--yes", FILES[0]]);
    let networks = || lab.run("docker", &["network", "ls", "--format", "{{.Name}}"]);
    assert!(networks().lines().any(|name| name == "two-teams"), "it went with the first");
    lab.expect(0, &["diff", FILES[1]]);
    lab.expect(0, &["destroy", "--yes", FILES[1]]);
    lab.is_as_before(&before);
}

/// Every address of a team's pool, one by one.
fn pool(lab: &Lab, team: &str) -> BTreeSet<String> {
    let context = format!("kind-{team}");
    let pool = format!("ipaddresspool/{team}");
    let ranges = lab.run(
        "kubectl",
        &[
            "--context",
            &context,
            "-n",
            "metallb-system",
            "get",
            &pool,
            "-o",
            "jsonpath={range .spec.addresses[*]}{@}{\"\\n\"}{end}",
        ],
    );
    let last = |address: &str| -> u8 {
        address.rsplit('.').next().expect("four parts").parse().expect("a number")
    };
    let every = ranges.lines().flat_map(|range| {
        let (from, to) = range.split_once('-').expect("a range");
        let (net, _) = from.rsplit_once('.').expect("four parts");
        (last(from)..=last(to)).map(move |part| format!("{net}.{part}"))
    });
    every.collect()
}

/// Both name the same fixed address, and begin at the same moment: one gets it, the other is told.
#[test]
#[ignore = "needs the lab"]
fn of_two_that_want_one_address_one_gets_it() {
    let lab = Lab::open("one-address").of(&["team-a", "team-b"]);
    let base = std::env::var("GATEWAY_BASE").expect("set by the lab");
    let files = ["a", "b"].map(|team| {
        let path = lab.own(format!("{team}.yaml"));
        let port = if team == "a" { 12360 } else { 12370 };
        let text = format!(
            "name: team-{team}\n\
             network: {{ name: one-address, subnet: 172.21.0.0/17 }}\n\
             gateway:\n  address: 172.21.0.99\n  publish: [{port}]\n  image:\n    base: {base}\n"
        );
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    });
    for _ in 0..3 {
        let ran = lab.topo_at_once(&[&["apply", &files[0]], &["apply", &files[1]]]);
        let codes: BTreeSet<i32> = ran.iter().map(|ran| ran.code).collect();
        assert_eq!(codes, [0, 2].into(), "one of them");
        let refused = ran.iter().find(|ran| ran.code == 2).expect("one was refused");
        names_the_other(refused);
        let got = ran.iter().position(|ran| ran.code == 0).expect("one got it");
        lab.expect(0, &["diff", &files[got]]);
        lab.expect(0, &["destroy", "--yes", &files[got]]);
    }
}

#[track_caller]
fn names_the_other(refused: &Ran) {
    assert!(
        refused.err.contains("172.21.0.99") && refused.err.contains("the topology `team-"),
        "{}",
        refused.err
    );
}
