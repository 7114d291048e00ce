//! topologies/everything.yaml: all blocks side by side, from nothing to nothing.

use crate::example::Example;
use crate::lab::Lab;

#[test]
#[ignore = "needs the lab"]
fn everything() {
    let lab = Lab::open("everything").of(&["everything"]);
    let client = std::env::var("CLIENT_IMAGE").expect("set by the lab");
    let example = Example::of(&lab, "everything");
    // The connector's own image is not to be had in the lab; this one stays up as well.
    example.change("${CONNECTOR_IMAGE:-wenjunxiao/desktop-docker-connector}", &client);
    let ran = example.apply();
    assert!(!ran.err.contains("not-a-secret"), "{}", ran.err);
    for url in [
        "http://127.0.0.1:12250/",
        "http://127.0.0.1:12251/",
        "http://127.0.0.1:12252/",
        "http://127.0.0.1:12254/",
        "http://127.0.0.1:12270/",
        "http://172.27.255.201/",
    ] {
        example.answers(url);
    }
    let name = "kubernetes.default.svc.cluster.local";
    let asked = ["run", "--rm", "--network", "host", &client, "dig", "+short", "+tries=5"];
    let at = ["@127.0.0.1", "-p", "12253", name];
    let said = lab.run("docker", &[&asked[..], &at].concat());
    assert!(said.starts_with("10."), "the cluster's name server over udp: {said}");
    let proxied =
        ["-sS", "--max-time", "3", "-x", "http://127.0.0.1:12261", "http://172.27.255.201/"];
    assert!(lab.run("curl", &proxied).starts_with("pod=web-"));
    let note = example.kubectl(&["get", "notes.example.com/hello", "-o", "jsonpath={.spec.text}"]);
    assert_eq!(note, "made after its definition");
    let edge = example.kubectl(&["get", "nodes", "-l", "example.com/edge=true", "-o", "name"]);
    assert_eq!(edge.trim(), "node/everything-worker2");

    example.settles();
    let again = example.apply();
    assert!(again.err.contains("nothing to change"), "{}", again.err);
    let status = lab.expect(0, &["status", &example.path()]).out;
    assert!(!status.contains("degraded") && !status.contains("silent"), "{status}");
    assert!(!status.contains("missing") && !status.contains("pending"), "{status}");

    example.change(
        "listen: 12252, to: { address: 172.27.255.201, port: 80 }",
        "listen: 12255, to: { service: web, port: 80 }",
    );
    let diff = example.diff(1);
    assert!(diff.out.contains("+ port/127.0.0.1:12255/tcp"), "{}", diff.out);
    assert!(diff.out.contains("- port/127.0.0.1:12252/tcp"), "{}", diff.out);
    example.apply();
    example.answers("http://127.0.0.1:12255/");
    example.settles();
    example.destroy();
}
