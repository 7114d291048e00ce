//! The broken set-up, one fault at a time, as a user meets it: a share that worked breaks, and
//! `topo status` names why; another one like it is not promised, and `topo apply` names why; what is
//! mended is ready again. One server, by its address and through a tunnel with two shares.

use serde_json::Value;

use super::Scenario;
use crate::ganesha::{Ganesha, Setup};
use crate::lab::Lab;

pub const ADDRESS: &str = "172.24.9.9";
const NFS_PORT: &str = "12349";
const MOUNT_PORT: &str = "12348";

/// Where its tunnel ends; written before the shares.
pub const GATEWAY: &str = "gateway:
  address: 172.24.0.12
  image:
    base: ${GATEWAY_BASE}
  ssh: { listen: 12347 }
shares:
";

/// Words for `docker run`: at an address of the cluster's network, and on this machine's loopback.
pub fn place() -> Vec<String> {
    let nfs = format!("127.0.0.1:{NFS_PORT}:2049");
    let mount = format!("127.0.0.1:{MOUNT_PORT}:20048");
    ["--network", "topo-she", "--ip", ADDRESS, "-p", &nfs, "-p", &mount].map(str::to_owned).to_vec()
}

struct Fault {
    name: &'static str,
    setup: Setup,
    /// A share that worked and does so no more.
    breaks: &'static str,
    /// One that the same fault does not touch.
    spares: Option<&'static str>,
}

/// What is as it should be, to be written over.
const RIGHT: Setup = Setup { core: "", version4: "", export: "", overlay: false, protocols: None };

const FAULTS: [Fault; 7] = [
    Fault {
        name: "export-excludes-client",
        setup: Setup {
            export: "Access_Type = None; CLIENT { Clients = 10.9.9.0/24; Access_Type = RW; }",
            ..RIGHT
        },
        breaks: "docs",
        spares: None,
    },
    // The nodes' addresses, which is wide enough for the cluster.
    Fault {
        name: "export-excludes-tunnel",
        setup: Setup {
            export: "Access_Type = None; CLIENT { Clients = 172.24.64.0/18; Access_Type = RW; }",
            ..RIGHT
        },
        breaks: "far",
        spares: Some("docs"),
    },
    // A node asks from a low port, as its kernel does.
    Fault {
        name: "unprivileged-port-refused",
        setup: Setup { export: "PrivilegedPort = true;", ..RIGHT },
        breaks: "far",
        spares: Some("docs"),
    },
    Fault {
        name: "mount-port-moves",
        setup: Setup { core: "MNT_Port = 20050;", ..RIGHT },
        breaks: "three",
        spares: Some("docs"),
    },
    Fault {
        name: "udp-only-port-forwarded",
        setup: Setup { core: "MNT_Port = 20050;", ..RIGHT },
        breaks: "three",
        spares: Some("near"),
    },
    Fault {
        name: "v4-not-served",
        setup: Setup { protocols: Some("3"), ..RIGHT },
        breaks: "docs",
        spares: Some("three"),
    },
    Fault {
        name: "no-file-handles",
        setup: Setup { overlay: true, ..RIGHT },
        breaks: "docs",
        spares: None,
    },
];

pub fn each_is_told_by_its_name(scenario: &Scenario, server: &Ganesha) {
    std::fs::create_dir(scenario.folder.join("near")).expect("a folder");
    for (name, below) in [("three", ""), ("far", ""), ("near", "/near")] {
        scenario.add(&share(scenario, name, name, below));
    }
    scenario.apply();
    scenario.in_sync();
    let status = status(scenario);
    let tunnels: Vec<&str> =
        status["tunnels"].as_array().expect("a list").iter().map(|it| text(&it["name"])).collect();
    assert_eq!(tunnels, ["far"], "two shares of one server have one tunnel");

    for fault in &FAULTS {
        is_told(scenario, server, fault);
    }
    people_are_told_too(scenario, server);
    files_of_another_owner_are_told(scenario, server);
}

/// A share like one of those that the scenario begins with.
fn share(scenario: &Scenario, name: &str, like: &str, below: &str) -> String {
    let how = match like {
        "docs" => format!("via: external, server: {ADDRESS}"),
        "three" => format!("via: external, server: {ADDRESS}, nfs: {{ version: 3 }}"),
        "far" => {
            format!("via: ssh, nfs: {{ version: 3, port: {NFS_PORT}, mountPort: {MOUNT_PORT} }}")
        }
        _ => format!("via: ssh, nfs: {{ port: {NFS_PORT} }}"),
    };
    format!("{{ name: {name}, path: {}{below}, owner: keep, {how} }}", scenario.folder.display())
}

fn is_told(scenario: &Scenario, server: &Ganesha, fault: &Fault) {
    let Fault { name, setup, breaks, spares } = fault;
    server.start(&scenario.lab, setup);
    if *name == "udp-only-port-forwarded" {
        server.forget_mount_over_tcp(&scenario.lab);
    }
    // On a machine with much to do the server may not have told all of it in time.
    let seen = Lab::eventually(name, || {
        let seen = status(scenario);
        let broken = one(&seen, breaks);
        let is_told = (text(&broken["state"]), text(&broken["finding"])) == ("degraded", *name);
        if is_told { Ok(seen) } else { Err(broken.to_string()) }
    });
    let broken = one(&seen, breaks);
    assert!(!text(&broken["hint"]).is_empty(), "{broken}");
    if let Some(spared) = spares {
        assert_eq!(one(&seen, spared)["state"], "ready", "{seen:#}");
    }

    let another = share(scenario, "another", breaks, "");
    scenario.add(&another);
    let ran = scenario.topo(3, &["apply", "--yes"]);
    assert!(ran.err.contains(&format!("does not work: {name}")), "{}", ran.err);
    assert!(ran.err.contains("hint: ") && !ran.err.contains("timeout"), "{}", ran.err);
    assert!(!scenario.kubectl(&["get", "pv", "-o", "name"]).contains("another"));
    scenario.change(&format!("\n  - {another}\n"), "");

    server.start(&scenario.lab, &RIGHT);
    Lab::eventually("every share to be ready again", || {
        let seen = status(scenario);
        let mut shares = seen["shares"].as_array().expect("a list").iter();
        let is_well = shares.all(|share| share["state"] == "ready");
        if is_well { Ok(()) } else { Err(format!("{seen:#}")) }
    });
}

fn people_are_told_too(scenario: &Scenario, server: &Ganesha) {
    server.start(&scenario.lab, &Setup { protocols: Some("3"), ..RIGHT });
    let told = scenario.topo(1, &["status"]).out;
    assert!(told.contains("v4-not-served: ") && told.contains("hint: write `nfs: "), "{told}");
    server.start(&scenario.lab, &RIGHT);
}

/// Only who writes can see it, so it is for apply to tell.
fn files_of_another_owner_are_told(scenario: &Scenario, server: &Ganesha) {
    std::os::unix::fs::chown(&scenario.folder, Some(1234), Some(4321)).expect("root may");
    scenario.add(&share(scenario, "owned", "far", "").replace("owner: keep", "owner: folder"));
    let ran = scenario.topo(3, &["apply", "--yes"]);
    assert!(ran.err.contains("does not work: owner-mismatch"), "{}", ran.err);
    assert!(ran.err.contains("1234:4321"), "{}", ran.err);
    let squash = "Squash = All_Squash; Anonymous_Uid = 1234; Anonymous_Gid = 4321;";
    server.start(&scenario.lab, &Setup { export: squash, ..RIGHT });
    scenario.apply();
    scenario.in_sync();
}

fn status(scenario: &Scenario) -> Value {
    let file = scenario.file.display().to_string();
    scenario.lab.json(None, "status", &["status", &file]).remove(0)
}

fn one<'a>(status: &'a Value, name: &str) -> &'a Value {
    let shares = status["shares"].as_array().expect("a list");
    let share = shares.iter().find(|share| share["name"] == name);
    share.unwrap_or_else(|| panic!("no share {name} in {status:#}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
