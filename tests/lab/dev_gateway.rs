//! topologies/dev-gateway.yaml: the jump host before a cluster, from nothing to nothing.

use serde_json::{Value, json};

use crate::lab::Lab;

const FILE: &str = "topologies/dev-gateway.yaml";

#[test]
#[ignore = "needs the lab"]
fn dev_gateway() {
    let lab = Lab::open("dev-gateway").of(&["dev"]);
    lab.key_in_home();
    let before = lab.listing();

    lab.expect(0, &["apply", FILE]);
    answers(&lab);
    in_sync(&lab);
    the_gateway_is_made_as_it_should_be(&lab);
    a_second_apply_changes_nothing(&lab);
    what_runs_can_be_looked_into(&lab);
    a_restarted_gateway_needs_no_repair(&lab);
    drift_is_named_and_mended(&lab);
    programs_are_told_what_they_were_promised(&lab);
    a_changed_forward_keeps_the_container(&lab);
    a_service_at_another_address_is_followed(&lab);
    a_forward_without_pods_is_reported_untried(&lab);
    what_is_stopped_says_so(&lab);

    lab.expect(0, &["destroy", "--yes", FILE]);
    lab.is_as_before(&before);
}

fn answers(lab: &Lab) {
    let said = Lab::eventually("the pod's web server", || lab.get("http://127.0.0.1:10080/"));
    assert!(said.starts_with("pod=fedora-dev-"), "{said}");
    let who = Lab::eventually("ssh into the pod", || {
        let ran = ssh(lab, "10001", &["hostname"]);
        if ran.code == 0 { Ok(ran.out) } else { Err(ran.err) }
    });
    assert!(who.starts_with("fedora-dev-"), "{who}");
}

fn ssh(lab: &Lab, port: &str, command: &[&str]) -> crate::lab::Ran {
    let key = lab.key().display().to_string();
    let mut arguments = vec![
        "-p",
        port,
        "-i",
        &key,
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "ConnectTimeout=5",
        "-o",
        "BatchMode=yes",
        "root@127.0.0.1",
    ];
    arguments.extend(command);
    lab.try_run("ssh", &arguments)
}

fn in_sync(lab: &Lab) {
    lab.expect(0, &["diff", FILE]);
}

fn the_gateway_is_made_as_it_should_be(lab: &Lab) {
    let inspect = |format: &str| lab.run("docker", &["inspect", "dev-gw", "--format", format]);
    assert_eq!(inspect("{{.HostConfig.Privileged}}").trim(), "false");
    assert!(inspect("{{.HostConfig.CapAdd}}").contains("NET_ADMIN"));
    assert_eq!(
        inspect("{{(index .NetworkSettings.Networks \"topo-dev\").IPAddress}}").trim(),
        "172.22.0.12"
    );
    assert!(!inspect("{{json .Config.Labels}}").contains("io.x-k8s.kind.cluster"));

    let rules = lab.run("docker", &["exec", "dev-gw", "nft", "list", "table", "ip", "topo"]);
    // The other is for what sshd leads to the gateway's own ports.
    let incoming = rules.split("chain prerouting").nth(1).and_then(|rest| rest.split('}').next());
    assert_eq!(incoming.unwrap_or_default().matches("dnat ip").count(), 1, "{rules}");
    // Docker's name server in the container still answers.
    let name = lab.run("docker", &["exec", "dev-gw", "getent", "hosts", "dev-control-plane"]);
    assert!(name.contains("dev-control-plane"), "{name}");
    assert_eq!(ssh(lab, "122", &["true"]).code, 0, "the gateway's own sshd");
}

fn a_second_apply_changes_nothing(lab: &Lab) {
    let before = generations(lab);
    let ran = lab.expect(0, &["apply", FILE]);
    assert!(format!("{}{}", ran.out, ran.err).contains("in sync"), "{}{}", ran.out, ran.err);
    assert_eq!(generations(lab), before);
}

/// As with compose and kubectl, and none of it changes anything.
fn what_runs_can_be_looked_into(lab: &Lab) {
    let logs =
        |arguments: &[&str]| lab.expect(0, &[&["logs", "--file", FILE], arguments].concat()).out;
    assert!(logs(&[]).contains("dev-gw  | "));
    assert!(logs(&["gateway"]).lines().all(|line| !line.starts_with("dev-gw  |")));
    assert_eq!(logs(&["dev-control-plane", "--tail", "2"]).lines().count(), 2);
    let of_the_pod = logs(&["Deployment/fedora-dev"]);
    assert!(of_the_pod.lines().all(|line| line.starts_with("fedora-dev-")), "{of_the_pod}");

    lab.expect(7, &["exec", "-f", FILE, "gateway", "sh", "-c", "exit 7"]);
    let in_the_pod = ["exec", "-f", FILE, "Deployment/fedora-dev", "--", "hostname"];
    assert!(lab.expect(0, &in_the_pod).out.starts_with("fedora-dev-"));
    assert_eq!(lab.expect(0, &["ssh", "-f", FILE, "hostname"]).out, "dev-gw\n");

    let kubeconfig = lab.own("alone.config");
    std::fs::write(&kubeconfig, lab.expect(0, &["kubeconfig", FILE]).out).expect("written");
    let kubeconfig = kubeconfig.display().to_string();
    let nodes = lab.run("kubectl", &["--kubeconfig", &kubeconfig, "get", "nodes", "-o", "name"]);
    assert_eq!(nodes, "node/dev-control-plane\n");

    assert_eq!(lab.expect(0, &["open", "--print", "10080", FILE]).out, "http://127.0.0.1:10080/\n");
    let of_an_sshd = lab.expect(2, &["open", "10001", FILE]).err;
    assert!(of_an_sshd.contains("SSH-2.0"), "{of_an_sshd}");
    in_sync(lab);
}

fn what_is_stopped_says_so(lab: &Lab) {
    lab.expect(0, &["stop", FILE]);
    for looked in [
        &["exec", "-f", FILE, "gateway", "true"][..],
        &["exec", "-f", FILE, "Deployment/fedora-dev"],
        &["logs", "--file", FILE, "dev-control-plane"],
        &["ssh", "-f", FILE],
        &["open", "10080", FILE],
        &["kubeconfig", FILE],
    ] {
        let refused = lab.expect(2, looked);
        assert!(refused.err.contains("is stopped"), "{}", refused.err);
    }
    // What was written before is there.
    let logs = lab.expect(0, &["logs", "--file", FILE, "gateway"]);
    assert!(
        logs.out.contains("Server listening") && logs.err.contains("is stopped"),
        "{}",
        logs.err
    );
}

/// What changes with every write: resource versions of objects, the claim's generation, container ids.
fn generations(lab: &Lab) -> String {
    let objects = lab.run(
        "kubectl",
        &[
            "--context",
            "kind-dev",
            "get",
            "-A",
            "services,ipaddresspools,deployments",
            "-l",
            "topo.dev/topology=dev",
            "-o",
            "jsonpath={range .items[*]}{.metadata.name} {.metadata.generation}{\"\\n\"}{end}",
        ],
    );
    let of_the_network = ["--filter", "network=topo-dev"];
    let containers =
        lab.run("docker", &[&["ps", "-aq", "--no-trunc"], &of_the_network[..]].concat());
    let volumes =
        lab.run("docker", &["volume", "ls", "-q", "--filter", "label=dev.topo.topology=dev"]);
    format!("{objects}{containers}{volumes}")
}

fn a_restarted_gateway_needs_no_repair(lab: &Lab) {
    lab.run("docker", &["restart", "dev-gw"]);
    answers(lab);
    in_sync(lab);
}

fn drift_is_named_and_mended(lab: &Lab) {
    for (spoil, named) in [
        (
            &["docker", "exec", "dev-gw", "nft", "flush", "map", "ip", "topo", "forwards"][..],
            "port/127.0.0.1:10001/tcp",
        ),
        (&["docker", "rm", "-f", "dev-gw"], "gateway/dev-gw"),
        (
            &[
                "kubectl",
                "--context",
                "kind-dev",
                "-n",
                "metallb-system",
                "scale",
                "deployment/controller",
                "--replicas=0",
            ],
            "metallb/metallb",
        ),
        (&["kubectl", "config", "delete-context", "kind-dev"], "cluster/dev"),
    ] {
        lab.run(spoil[0], &spoil[1..]);
        let ran = lab.expect(1, &["diff", FILE]);
        let line = ran.out.lines().find(|line| line.contains(named));
        assert!(
            line.is_some_and(|line| line.contains("drift")),
            "{named} after {spoil:?}: {}",
            ran.out
        );
        lab.expect(0, &["apply", "--yes", FILE]);
        in_sync(lab);
        answers(lab);
    }
}

fn programs_are_told_what_they_were_promised(lab: &Lab) {
    lab.run("docker", &["stop", "-t", "1", "dev-gw"]);
    let diff = lab.json(1, "diff", &["diff", FILE]);
    assert_eq!(diff.len(), 1);
    assert_eq!((&diff[0]["inSync"], &diff[0]["summary"]["drifted"]), (&false.into(), &1.into()));
    let actions = diff[0]["actions"].as_array().expect("actions");
    assert!(actions.iter().any(|action| action["id"] == "gateway/dev-gw"), "{actions:#?}");
    let broken = lab.json(1, "status", &["status", FILE]);
    assert_eq!(broken[0]["ports"][0]["reachable"], false, "{broken:#?}");

    let events = lab.json(0, "apply", &["apply", "--yes", FILE]);
    let last = events.last().expect("events");
    assert_eq!(last["type"], "summary", "{last:#}");
    assert!(
        events.iter().any(|event| event["id"] == "gateway/dev-gw" && event["phase"] == "done"),
        "{events:#?}"
    );

    for (status, reachable) in
        [(&["status", FILE][..], json!(null)), (&["status", "--probe", FILE], json!(true))]
    {
        let status = lab.json(0, "status", status);
        let ports = status[0]["ports"].as_array().expect("ports");
        let (ports, doors): (Vec<&Value>, Vec<&Value>) =
            ports.iter().partition(|port| port["to"] != "the gateway's sshd");
        assert_eq!((ports.len(), doors.len()), (3, 1));
        assert_eq!(doors[0]["reachable"], true, "{}", doors[0]);
        for port in ports {
            assert_eq!(
                (&port["reachable"], &port["readyPods"]),
                (&reachable, &json!(1)),
                "{port:#}"
            );
        }
    }
    assert_eq!(lab.json(0, "diff", &["diff", FILE])[0]["inSync"], true);
}

fn a_changed_forward_keeps_the_container(lab: &Lab) {
    let id = || lab.run("docker", &["inspect", "dev-gw", "--format", "{{.Id}}"]);
    let before = id();
    let text = std::fs::read_to_string(FILE).expect("the topology");
    let moved = text.replace("listen: 10043", "listen: 10044");
    // Beside the original, since its paths start there, and with its claim said to have moved.
    let file = "topologies/.dev-gateway-moved.yaml";
    std::fs::write(file, moved).expect("written");
    let diff = lab.topo(&["diff", "--moved", file]);
    let applied = lab.topo(&["apply", "--moved", file]);
    std::fs::remove_file(file).expect("removed");
    assert_eq!(diff.code, 1);
    assert!(diff.out.contains("port/127.0.0.1:10044/tcp"), "{}", diff.out);
    assert_eq!(applied.code, 0);
    assert_eq!(id(), before);
    Lab::eventually("the moved forward", || lab.get("http://127.0.0.1:10044/"));
    assert!(lab.get("http://127.0.0.1:10043/").is_err());
    lab.expect(0, &["apply", "--moved", FILE]);
}

fn a_service_at_another_address_is_followed(lab: &Lab) {
    let kubectl =
        |arguments: &[&str]| lab.run("kubectl", &[&["--context", "kind-dev"], arguments].concat());
    kubectl(&[
        "annotate",
        "--overwrite",
        "service/fedora-dev-service",
        "metallb.io/loadBalancerIPs=172.22.255.222",
    ]);
    Lab::eventually("the Service's new address", || {
        let address = kubectl(&[
            "get",
            "service/fedora-dev-service",
            "-o",
            "jsonpath={.status.loadBalancer.ingress[0].ip}",
        ]);
        if address == "172.22.255.222" { Ok(()) } else { Err(address) }
    });
    lab.expect(1, &["diff", FILE]);
    lab.expect(0, &["apply", FILE]);
    answers(lab);
    in_sync(lab);
}

/// Its rule is in force and its Service as it was; nothing but the endpoints tells.
fn a_forward_without_pods_is_reported_untried(lab: &Lab) {
    lab.run(
        "kubectl",
        &["--context", "kind-dev", "scale", "deployment/fedora-dev", "--replicas=0"],
    );
    Lab::eventually("forwards without pods", || {
        let status = lab.topo(&["status", FILE]).out;
        let without = status.matches("no pod behind it is ready").count();
        if without == 3 { Ok(()) } else { Err(status) }
    });
    lab.expect(0, &["apply", FILE]);
    answers(lab);
    assert!(!lab.expect(0, &["status", FILE]).out.contains("silent"));
}
