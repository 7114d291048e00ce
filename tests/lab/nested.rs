//! topologies/nested.yaml: "No route to host" of a firewall that rejects what it should forward, in
//! the gateway and in the node, and what mends it.

use crate::example::Example;
use crate::lab::Lab;

/// As the firewalls of some distributions end their FORWARD chain, after what lets the packets of known connections through.
const REJECT: [&str; 10] = [
    "-I",
    "FORWARD",
    "-m",
    "conntrack",
    "--ctstate",
    "NEW",
    "-j",
    "REJECT",
    "--reject-with",
    "icmp-host-prohibited",
];
/// kube-proxy marks what it translates, so that this lets that and nothing else through.
const ACCEPT_MARKED: [&str; 8] =
    ["-I", "FORWARD", "-m", "mark", "--mark", "0x4000/0x4000", "-j", "ACCEPT"];

#[test]
#[ignore = "needs the lab"]
fn nested() {
    let lab = Lab::open("nested").of(&["nested"]);
    let example = Example::of(&lab, "nested");
    // First as everybody begins: the gateway translates packets in the kernel.
    example.change("  mode: proxy\n", "");
    example.apply();
    example.answers("http://127.0.0.1:12240/");
    example.settles();

    iptables(&lab, "nested-gw", &REJECT);
    let probed = lab.expect(1, &["status", "--probe", &example.path()]).out;
    let said = probed.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("nothing comes through the gateway: "), "{said}");
    assert!(said.contains("no route to host"), "{said}");
    unreachable(&lab, &example.address_of("nested-gw"), 12240);

    // A proxy in the gateway ends the connection there: nothing is forwarded.
    example.change("  publish:", "  mode: proxy\n  publish:");
    let diff = example.diff(1);
    assert!(diff.out.contains("± gateway/nested-gw"), "{}", diff.out);
    example.apply();
    iptables(&lab, "nested-gw", &REJECT);
    example.answers("http://127.0.0.1:12240/");

    in_the_node(&lab, &example);
    example.destroy();
}

/// The published port of a cluster that lives in one container.
fn in_the_node(lab: &Lab, example: &Example) {
    const NODE: &str = "nested-control-plane";
    example.answers("http://127.0.0.1:12244/");
    iptables(lab, NODE, &REJECT);
    let node = example.address_of(NODE);
    unreachable(lab, &node, 30103);
    assert!(lab.get("http://127.0.0.1:12244/").is_err());

    // One proxy in the node, on the published port, needs no forwarding either; from the gateway's
    // own proxy the way leads through it.
    example.answers("http://127.0.0.1:12243/");
    example.answers("http://127.0.0.1:12240/");

    // A forward past the node's proxy is rejected there, and topo says how far it got.
    example.change("to: { nodePort: 30003 }", "to: { nodePort: 30103 }");
    let ran = example.apply();
    let said = ran.err.replace("\n  ", " ");
    assert!(said.contains(":30103, where it leads, "), "{said}");

    // The other remedy: let what kube-proxy has translated through.
    iptables(lab, NODE, &ACCEPT_MARKED);
    example.answers("http://127.0.0.1:12244/");
    example.answers("http://127.0.0.1:12240/");
    example.settles();
}

/// Past the engine's proxy the rejection itself is seen. Not every kernel translates it back to the
/// address that was asked: on others the connection is met with silence.
#[track_caller]
fn unreachable(lab: &Lab, address: &str, port: u16) {
    let open = format!("exec 3<>/dev/tcp/{address}/{port}");
    let ran = lab.try_run("timeout", &["4", "bash", "-c", &open]);
    let silence = ran.code == 124;
    assert!(silence || ran.err.contains("No route to host"), "{} {}", ran.code, ran.err);
}

/// With the node image's own program, in the network of a container that may have none.
fn iptables(lab: &Lab, container: &str, rule: &[&str]) {
    let network = format!("container:{container}");
    let image = std::env::var("NODE_IMAGE").expect("set by the lab");
    let run = [
        "run",
        "--rm",
        "--network",
        &network,
        "--cap-add",
        "NET_ADMIN",
        "--entrypoint",
        "iptables",
        &image,
    ];
    lab.run("docker", &[&run[..], rule].concat());
}
