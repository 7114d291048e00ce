//! What somebody made by hand around a cluster: a pool by kubectl, and a container that forwards by
//! rules. It is written down as a file, taken over as it is, and then changed and removed by topo.

use crate::lab::Lab;

const GATEWAY: &str = "ext-hand";

/// In the cluster `ext`, where a pool of that name is not topo's. `image` has nft.
pub fn is_taken_over_as_it_is(lab: &Lab, network: &str, image: &str) {
    let kubectl = |arguments: &[&str]| {
        lab.run(
            "kubectl",
            &[&["--context", "kind-ext", "-n", "metallb-system"], arguments].concat(),
        )
    };
    let pool = || kubectl(&["get", "ipaddresspool/ext", "-o", "jsonpath={.metadata.uid} {.spec}"]);
    let before = pool();
    forwards_by_hand(lab, network, image);

    let file = lab.own("adopted.yaml").display().to_string();
    let adopt = ["adopt", "--cluster", "ext", "--gateway", GATEWAY, "--out", &file];
    lab.expect(0, &adopt);
    lab.expect(2, &adopt);
    let text = std::fs::read_to_string(&file).expect("it was written");
    for said in [
        "  context: kind-ext\n",
        "    - { name: ext, addresses: [172.21.255.1-172.21.255.2] }\n",
        "    - { listen: 12351, to: { address: 172.21.",
        "# Left out, since a forward has nothing like `ip saddr`: ",
    ] {
        assert!(text.contains(said), "{said}\n{text}");
    }
    let base = std::env::var("GATEWAY_BASE").expect("set by the lab");
    let text = text.replace("gateway:\n", &format!("gateway:\n  image: {{ base: {base:?} }}\n"));
    std::fs::write(&file, text).expect("written");

    // What its labels cannot be written to is not taken, and nothing without a yes.
    let ran = lab.expect(1, &["diff", "--take", "gateway/ext-hand", "--take", "pool/ext", &file]);
    assert!(ran.out.contains("it cannot be taken over: "), "{}", ran.out);
    assert!(ran.out.contains("asks first: takes over `pool/ext`"), "{}", ran.out);
    lab.run("docker", &["rm", "-f", GATEWAY]);
    let ran = lab.expect(2, &["apply", "--take", "pool/ext", &file]);
    assert!(ran.err.contains("takes over `pool/ext`"), "{}", ran.err);
    assert!(!kubectl(&["get", "ipaddresspool/ext", "-o", "yaml"]).contains("topo.dev/"));
    lab.expect(0, &["apply", "--yes", "--take", "pool/ext", &file]);
    assert_eq!(pool(), before, "it is the one that was there");
    lab.expect(0, &["diff", &file]);
    answers(lab);
    lab.expect(0, &["destroy", "--yes", &file]);
    assert_eq!(kubectl(&["get", "ipaddresspools,l2advertisements", "-o", "name"]), "");
}

/// From 12351 to the API server, for everybody, and from 12352 for one address alone.
fn forwards_by_hand(lab: &Lab, network: &str, image: &str) {
    let started = ["run", "-d", "--name", GATEWAY, "--network", network, "--cap-add", "NET_ADMIN"];
    let open = ["--sysctl", "net.ipv4.ip_forward=1", "-p", "127.0.0.1:12351-12352:12351-12352"];
    let shell = ["--entrypoint", "sh", image, "-c", "exec sleep 3600"];
    lab.run("docker", &[&started[..], &open, &shell].concat());
    let address = format!("{{{{(index .NetworkSettings.Networks {network:?}).IPAddress}}}}");
    let node = lab.run("docker", &["inspect", "ext-control-plane", "--format", &address]);
    let node = node.trim();
    let rules = format!(
        "table ip hand {{
            chain in {{
                type nat hook prerouting priority dstnat
                tcp dport 12351 dnat to {node}:6443
                ip saddr 10.9.9.9 tcp dport 12352 dnat to {node}:6443
            }}
            chain out {{
                type nat hook postrouting priority srcnat
                ct status dnat masquerade
            }}
        }}"
    );
    lab.run("docker", &["exec", GATEWAY, "nft", &rules]);
    answers(lab);
}

#[track_caller]
fn answers(lab: &Lab) {
    Lab::eventually("the API server behind the port", || {
        let ran =
            lab.try_run("curl", &["-skS", "--max-time", "3", "https://127.0.0.1:12351/livez"]);
        if ran.out == "ok" { Ok(()) } else { Err(ran.err) }
    });
}
