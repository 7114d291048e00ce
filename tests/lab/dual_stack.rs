//! A network, a cluster and a pool of both families: every forward leads on in the family that it is
//! reached in, and nodes come back with the addresses of both.

use crate::lab::Lab;

const TOPOLOGY: &str = r#"name: dual
network: { subnets: [172.31.96.0/20, "fd00:31:96::/64"] }
cluster:
  image: ${NODE_IMAGE}
  workers: 1
  kindConfig: { networking: { ipFamily: dual } }
images:
  - ${ECHO_IMAGE}
metallb:
  pools:
    - name: dual
      addresses: [172.31.111.200-172.31.111.209, "fd00:31:96::f0-fd00:31:96::f9"]
vars:
  webImage: ${ECHO_IMAGE}
manifests:
  - path: hello.yaml.j2
gateway:
  image:
    base: ${GATEWAY_BASE}
  publish: [12450-12452, "[::1]:12450-12452"]
  ports:
    - { listen: "127.0.0.1:12450", to: { service: hello, port: 80 } }
    - { listen: "[::1]:12450", to: { service: hello, port: 80 } }
    - { listen: "[::1]:12451", to: { address: "fd00:31:96::f0", port: 80 } }
"#;
const NODES: [&str; 2] = ["dual-control-plane", "dual-worker"];

#[test]
#[ignore = "needs the lab"]
fn dual_stack() {
    let lab = Lab::open("dual-stack").of(&["dual"]);
    let file = write(&lab, TOPOLOGY);
    let before = lab.listing();
    lab.expect(0, &["apply", &file]);
    answers(&lab);
    let addresses = given_addresses(&lab);
    assert_eq!(addresses, ["172.31.111.200", "fd00:31:96::f0"]);
    for address in ["172.31.111.200", "[fd00:31:96::f0]"] {
        get(&lab, &format!("http://{address}/"));
    }
    lab.expect(0, &["diff", &file]);

    a_rule_of_one_family_is_drift_of_its_own(&lab, &file);
    nodes_come_back_with_both_addresses(&lab, &file);
    a_proxy_leads_from_one_family_to_the_other(&lab);

    lab.expect(0, &["destroy", "--yes", &file]);
    lab.is_as_before(&before);
}

fn write(lab: &Lab, topology: &str) -> String {
    let hello = std::fs::read_to_string("topologies/manifests/hello.yaml.j2").expect("readable");
    let hello = hello.replace(
        "type: LoadBalancer",
        "type: LoadBalancer\n  ipFamilyPolicy: RequireDualStack\n  ipFamilies: [IPv4, IPv6]",
    );
    std::fs::write(lab.own("hello.yaml.j2"), hello).expect("written");
    let file = lab.own("topo.yaml");
    std::fs::write(&file, topology).expect("written");
    file.display().to_string()
}

#[track_caller]
fn answers(lab: &Lab) {
    for door in ["127.0.0.1:12450", "[::1]:12450", "[::1]:12451"] {
        get(lab, &format!("http://{door}/"));
    }
}

#[track_caller]
fn get(lab: &Lab, url: &str) {
    let said = Lab::eventually(url, || lab.get(url));
    assert!(said.starts_with("pod=hello-"), "{url}: {said}");
}

fn given_addresses(lab: &Lab) -> Vec<String> {
    let path = "jsonpath={range .status.loadBalancer.ingress[*]}{.ip}{\"\\n\"}{end}";
    let get = ["--context", "kind-dual", "get", "service/hello", "-o", path];
    let mut addresses: Vec<String> = lab.run("kubectl", &get).lines().map(str::to_owned).collect();
    addresses.sort_unstable();
    addresses
}

fn a_rule_of_one_family_is_drift_of_its_own(lab: &Lab, file: &str) {
    let element = "{ tcp . 12450 : fd00:31:96::f0 . 80 }";
    let delete = ["nft", "delete", "element", "ip6", "topo", "forwards", element];
    lab.run("docker", &[&["exec", "dual-gw"], &delete[..]].concat());
    let ran = lab.expect(1, &["diff", file]);
    let changed: Vec<&str> = ran.out.lines().filter(|line| line.ends_with("drift")).collect();
    let [line] = changed[..] else { panic!("{}", ran.out) };
    assert!(line.contains("port/[::1]:12450/tcp"), "{line}");
    lab.expect(0, &["apply", file]);
    answers(lab);
}

fn nodes_come_back_with_both_addresses(lab: &Lab, file: &str) {
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.GlobalIPv6Address}}{{end}}";
    let addresses = || NODES.map(|node| lab.run("docker", &["inspect", node, "--format", format]));
    let before = addresses();
    assert!(before.iter().all(|both| both.contains("fd00:31:96::")), "{before:?}");
    lab.run("docker", &[&["stop", "-t", "5"], &NODES[..]].concat());
    for node in ["dual-worker", "dual-control-plane"] {
        lab.run("docker", &["start", node]);
    }
    assert_eq!(addresses(), before);
    answers(lab);
    lab.comes_in_sync(file);
}

/// The kernel translates no address to one of the other family; a program that ends the connection does.
fn a_proxy_leads_from_one_family_to_the_other(lab: &Lab) {
    let crossed = TOPOLOGY.replace("\"[::1]:12451\", to", "\"127.0.0.1:12451\", to");
    let file = write(lab, &crossed);
    let ran = lab.expect(2, &["diff", &file]);
    assert!(ran.err.contains("`mode: dnat` cannot forward from IPv4 to IPv6"), "{}", ran.err);
    write(lab, &crossed.replace("  publish:", "  mode: proxy\n  publish:"));
    lab.expect(0, &["apply", "--yes", &file]);
    for door in ["127.0.0.1:12450", "[::1]:12450", "127.0.0.1:12451"] {
        get(lab, &format!("http://{door}/"));
    }
    lab.comes_in_sync(&file);
}
