//! Drift made by hand, one at a time: `diff` names it where it is, with what was and what shall be;
//! `apply` mends it, and touches nothing else.

use std::collections::BTreeSet;

use crate::lab::Lab;
use crate::small::{File, changed};

/// What somebody does, what `diff` must say of it, and all that mending it may change.
struct Drift<'a> {
    spoil: &'a [&'a str],
    line: &'a str,
    /// Words of its before and after, as `diff` shows them.
    says: &'a [&'a str],
    mends: &'a [&'a str],
}

pub fn is_named_and_mended_and_nothing_else(lab: &Lab, file: &File) {
    let inspect = |format: &str| lab.run("docker", &["inspect", "chg-gw", "--format", format]);
    let image = inspect("{{.Config.Image}}").trim().to_owned();
    let base = std::env::var("GATEWAY_BASE").expect("set by the lab");
    let echo = std::env::var("ECHO_IMAGE").expect("set by the lab");
    let echo_on_node = format!("docker.io/{echo}");
    let image_line = format!("~ image/{echo}");
    let fewer = r#"{"spec":{"addresses":["172.20.127.200-172.20.127.205"]}}"#;
    let another_port = r#"[{"op":"replace","path":"/spec/ports/0/port","value":81}]"#;

    for drift in [
        Drift {
            spoil: &[
                "kubectl",
                "-n",
                "metallb-system",
                "patch",
                "ipaddresspool/main",
                "--type=merge",
                "-p",
                fewer,
            ],
            line: "~ pool/main",
            says: &["172.20.127.200-172.20.127.205", "172.20.127.200-172.20.127.209"],
            mends: &["IPAddressPool main"],
        },
        Drift {
            spoil: &["kubectl", "patch", "service/web", "--type=json", "-p", another_port],
            line: "~ object/core/Service/default/web",
            says: &["81", "80"],
            mends: &["Service web"],
        },
        Drift {
            spoil: &["kubectl", "label", "--overwrite", "deployment/web", "tier=back"],
            line: "~ object/apps/Deployment/default/web",
            says: &["metadata.labels.tier", "back", "front"],
            mends: &["Deployment web"],
        },
        Drift {
            spoil: &["docker", "tag", &base, &image],
            line: "± gateway/chg-gw",
            says: &["image: ", &image],
            mends: &["container chg-gw"],
        },
        Drift {
            spoil: &[
                "docker",
                "exec",
                "chg-control-plane",
                "ctr",
                "--namespace=k8s.io",
                "images",
                "rm",
                &echo_on_node,
            ],
            line: &image_line,
            says: &["nodes: ", "chg-control-plane"],
            mends: &[],
        },
        Drift {
            spoil: &["docker", "stop", "-t", "1", "chg-worker"],
            line: "! node/chg-worker",
            says: &["stopped"],
            mends: &["container chg-worker"],
        },
        Drift {
            spoil: &["docker", "rm", "-f", "-v", "chg-worker"],
            line: "+ node/chg-worker",
            says: &[],
            mends: &["container chg-worker"],
        },
    ] {
        is_mended(lab, file, &drift);
    }
}

#[track_caller]
fn is_mended(lab: &Lab, file: &File, drift: &Drift) {
    let before = file.things();
    match drift.spoil {
        ["kubectl", arguments @ ..] => file.kubectl(arguments),
        [program, arguments @ ..] => lab.run(program, arguments),
        [] => unreachable!("somebody does something"),
    };
    let said = file.differs(drift.line, "drift");
    for word in drift.says {
        assert!(said.contains(word), "`{word}` is not in {said}");
    }
    file.apply();
    file.answers(12300);
    let mended = changed(&before, &file.things());
    let may: BTreeSet<String> = drift.mends.iter().map(|name| (*name).to_owned()).collect();
    let beside: Vec<_> = mended.difference(&may).collect();
    assert!(beside.is_empty(), "after {:?}, changed beside it: {beside:?}", drift.spoil);
}
