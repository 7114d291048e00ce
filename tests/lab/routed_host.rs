//! topologies/routed-host.yaml: LoadBalancer addresses used as they are, and the container end of
//! docker-connector. Its own image is not to be had in the lab: another one stands in for it, so
//! what is shown is how the container is run, not that the tunnel works.

use crate::example::Example;
use crate::lab::Lab;

const STAND_IN: &str = "lab-connector:1";
const CONTAINER: &str = "routed-host-connector";

#[test]
#[ignore = "needs the lab"]
fn routed_host() {
    let lab = Lab::open("routed-host").of(&["routed-host"]);
    stand_in(&lab);
    lab.run(
        "docker",
        &[
            "network",
            "create",
            "--ipv6",
            "--subnet",
            "fd00:77::/64",
            "--subnet",
            "192.168.177.0/24",
            "two-families",
        ],
    );
    let example = Example::of(&lab, "routed-host");
    example.change("${CONNECTOR_IMAGE:-wenjunxiao/desktop-docker-connector}", STAND_IN);
    example.apply();
    example.answers("http://172.28.255.201/");
    example.answers("http://127.0.0.1:12220/");
    example.settles();

    let status = lab.expect(0, &["status", "--probe", &example.path()]).out;
    let line = status.lines().find(|line| line.contains("12220")).unwrap_or_default();
    assert!(line.contains("answers") && line.ends_with("direct"), "{status}");
    it_is_run_as_its_makers_say(&lab);
    its_routes_are_one_a_network(&lab, &example);

    lab.run("docker", &["stop", "-t", "1", CONTAINER]);
    let diff = example.diff(1);
    assert!(diff.out.contains("! connector/routed-host"), "{}", diff.out);
    example.apply();
    example.settles();

    example.change("port: 2511", "port: 2600");
    let diff = example.diff(1);
    assert!(diff.out.contains("± connector/routed-host"), "{}", diff.out);
    example.apply();
    let told = lab.run("docker", &["inspect", CONTAINER, "--format", "{{.Args}}"]);
    assert!(told.contains("-port 2600"), "{told}");
    example.settles();

    example.destroy();
    lab.run("docker", &["network", "rm", "two-families"]);
    lab.run("docker", &["rmi", STAND_IN]);
}

/// It stays up, whatever it is told.
fn stand_in(lab: &Lab) {
    let folder = lab.own("connector");
    std::fs::create_dir(&folder).expect("made");
    let base = std::env::var("GATEWAY_BASE").expect("set by the lab");
    let program = "RUN printf '#!/bin/sh\\nexec sleep infinity\\n' >/bin/connector && chmod +x /bin/connector";
    let text = format!("FROM {base}\n{program}\nCMD [\"connector\"]\n");
    std::fs::write(folder.join("Dockerfile"), text).expect("written");
    lab.run("docker", &["build", "-q", "-t", STAND_IN, &folder.display().to_string()]);
}

fn it_is_run_as_its_makers_say(lab: &Lab) {
    let format = "{{.HostConfig.NetworkMode}} {{.HostConfig.CapAdd}} {{.HostConfig.Privileged}} {{.HostConfig.RestartPolicy.Name}} {{.State.Running}}";
    let how = lab.run("docker", &["inspect", CONTAINER, "--format", format]);
    assert_eq!(how.trim(), "host [NET_ADMIN] false always true");
}

fn its_routes_are_one_a_network(lab: &Lab, example: &Example) {
    let file = lab.expect(0, &["render", "connector", "-f", &example.path()]).out;
    let routes: Vec<&str> = file.lines().filter(|line| line.starts_with("route ")).collect();
    for network in ["route 172.28.128.0/17", "route 192.168.177.0/24"] {
        let count = routes.iter().filter(|route| **route == network).count();
        assert_eq!(count, 1, "{network} in {file}");
    }
    assert!(!file.contains("fd00"), "{file}");
    assert!(file.contains("\naddr 192.168.251.1/24\nport 2511\nmtu 1400\n"), "{file}");
}
