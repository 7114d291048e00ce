use std::collections::HashSet;

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::hops;
use crate::backend::docker::ContainerState;
use crate::backend::host::Reach;
use crate::backend::host::sockets::{Listener, listening};
use crate::manifest::Kinds;
use crate::topology::Proto;
use crate::trace::rules::Drops;
use crate::trace::sight::{
    Cluster, Container, Dial, Door, Endpoint, Gateway, Inside, Node, NodeInside, Pod, Publisher,
    Remedy, Sight, Workload,
};
use crate::trace::way::{Goal, Through, Way};
use crate::trace::{State, Trace};

const HARDWARE: &str = "02:42:ac:14:00:02";
const LISTENS: &str = "0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4214854 2";
const ON_LOOPBACK: &str =
    "0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42 2";
const RULES: &str = "*filter\n:FORWARD ACCEPT [0:0]\n[2:120] -A FORWARD -m conntrack --ctstate NEW -j REJECT --reject-with icmp-host-prohibited\n\
    *nat\n[4:240] -A KUBE-SERVICES -d 172.20.127.200/32 -p tcp -m comment --comment \"default/web loadbalancer IP\" -m tcp --dport 80 -j KUBE-EXT-LOLE4ISW44XBNF3G\n";

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).expect("an object")
}

fn pod(name: &str, labels: Value, status: Value) -> DynamicObject {
    let owners =
        json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": "x" }]);
    let metadata = json!({ "name": name, "labels": labels, "ownerReferences": owners });
    object(
        json!({ "metadata": metadata, "spec": { "nodeName": "see-control-plane" }, "status": status }),
    )
}

fn ready() -> Value {
    json!({ "conditions": [{ "type": "Ready", "status": "True" }] })
}

fn endpoint(pod: &str) -> Endpoint {
    Endpoint {
        pod: pod.to_owned(),
        uid: pod.to_owned(),
        address: "10.244.0.3".parse().expect("an address"),
        node: "see-control-plane".to_owned(),
        ready: true,
        port: Some(8080),
    }
}

fn container(name: &str) -> Container {
    let status = "Up 3 minutes".to_owned();
    Container { name: name.to_owned(), state: ContainerState::Running, status, publishes: true }
}

fn cluster() -> Cluster {
    let node_addresses =
        json!({ "addresses": [{ "type": "InternalIP", "address": "172.20.0.2" }] });
    Cluster {
        service: Some(object(json!({
            "metadata": { "name": "web", "namespace": "default" },
            "spec": { "type": "LoadBalancer", "selector": { "app": "web" }, "externalTrafficPolicy": "Cluster",
                "ports": [{ "port": 80, "nodePort": 30198, "protocol": "TCP", "targetPort": 8080 }] },
            "status": { "loadBalancer": { "ingress": [{ "ip": "172.20.127.200" }] } },
        }))),
        endpoints: vec![endpoint("web-1")],
        pods: vec![pod("web-1", json!({ "app": "web" }), ready())],
        nodes: vec![object(
            json!({ "metadata": { "name": "see-control-plane" }, "status": node_addresses }),
        )],
        metallb: vec![
            pod("controller", json!({ "component": "controller" }), ready()),
            pod("speaker", json!({ "component": "speaker" }), ready()),
        ],
        pools: vec![object(
            json!({ "metadata": { "name": "main" }, "spec": { "addresses": ["172.20.127.200-172.20.127.209"] } }),
        )],
        advertisements: vec![object(
            json!({ "metadata": { "name": "main" }, "spec": { "ipAddressPools": ["main"] } }),
        )],
        proxies: vec![pod("kube-proxy", json!({}), ready())],
        ..Cluster::default()
    }
}

/// A way on which all is well.
fn sight() -> Sight {
    let listen = "127.0.0.1:12300".parse().expect("a place");
    let aim = "172.20.127.200:80".parse().ok();
    Sight {
        way: Way {
            proto: Proto::Tcp,
            listen: Some(listen),
            through: Through::Gateway,
            to: Goal::Service("web".parse().expect("a Service"), Some("80".to_owned())),
        },
        remedy: Remedy {
            apply: "topo apply".to_owned(),
            kubectl: "kubectl --context kind-see".to_owned(),
            made: HashSet::new(),
        },
        door: Some(Door {
            at: listen,
            listeners: Ok(vec![Listener {
                at: listen,
                process: Some((7, "docker-proxy".to_owned())),
            }]),
            reach: Ok(Reach::Holds),
            other: None,
        }),
        gateway: Some(Gateway {
            name: "see-gw".to_owned(),
            container: Some(container("see-gw")),
            publisher: None,
            addresses: vec!["172.20.0.3".parse().expect("an address")],
            inside: Ok(Inside {
                forwarding: true,
                saved: aim,
                live: aim,
                proxy_runs: None,
                before: Drops::default(),
                after: None,
                neighbor: Ok(Some(HARDWARE.to_owned())),
            }),
        }),
        cluster: Ok(cluster()),
        has_own_nodes: true,
        nodes: vec![Node {
            container: container("see-control-plane"),
            inside: Ok(NodeInside {
                rules: RULES.to_owned(),
                before: Drops::of_iptables(RULES),
                after: None,
                pods: vec![Pod {
                    uid: "web-1".to_owned(),
                    sockets: Ok(listening(LISTENS)),
                    dial: Dial::Connected,
                }],
                answers: Ok(Vec::new()),
            }),
        }],
        aim,
        through_gateway: Dial::Connected,
        to_aim: Dial::Connected,
        hardware: vec![(HARDWARE.to_owned(), "see-control-plane".to_owned())],
        other_balancer: None,
    }
}

/// The way after something was done to it, and what connections then come to.
fn spoiled(spoil: impl FnOnce(&mut Sight), dials: Dial) -> Trace {
    let mut sight = sight();
    (sight.through_gateway, sight.to_aim) = (dials.clone(), dials);
    spoil(&mut sight);
    Trace::of("see", sight.way.to_string(), hops(&sight))
}

#[track_caller]
fn found(spoil: impl FnOnce(&mut Sight), dials: Dial, hop: &str, name: &str) -> String {
    let trace = spoiled(spoil, dials);
    let broken = trace.hops.iter().find(|hop| hop.state == State::Broken);
    let finding = trace.finding.as_ref().unwrap_or_else(|| panic!("nothing found: {trace:#?}"));
    assert_eq!((broken.map(|it| it.hop), finding.name), (Some(hop), name), "{trace:#?}");
    format!("{}. {}", finding.saw, finding.fix)
}

fn inside(sight: &mut Sight) -> &mut Inside {
    sight.gateway.as_mut().and_then(|it| it.inside.as_mut().ok()).expect("a gateway")
}

fn cluster_of(sight: &mut Sight) -> &mut Cluster {
    sight.cluster.as_mut().expect("a cluster")
}

fn on_node(sight: &mut Sight) -> &mut NodeInside {
    sight.nodes[0].inside.as_mut().expect("a node")
}

fn spec(sight: &mut Sight, key: &str, value: Value) {
    let service = cluster_of(sight).service.as_mut().expect("a Service");
    service.data["spec"][key] = value;
}

#[test]
fn where_all_is_well_nothing_is_found() {
    let trace = spoiled(|_| {}, Dial::Connected);
    assert!(trace.hops.iter().all(|hop| hop.state == State::Fine), "{trace:#?}");
    assert_eq!(trace.finding, None);
}

#[test]
fn a_gateway_that_does_not_run_is_the_fault_and_not_the_port() {
    let stop = |sight: &mut Sight| {
        let gateway = sight.gateway.as_mut().expect("a gateway");
        gateway.container.as_mut().expect("one").state = ContainerState::Exited;
        gateway.inside = Err("it is stopped".to_owned());
        let door = sight.door.as_mut().expect("a door");
        (door.listeners, door.reach) = (Ok(Vec::new()), Ok(Reach::Refused));
    };
    found(stop, Dial::Untried(String::new()), "gateway", "gateway-stopped");
    let also_held = |sight: &mut Sight| {
        stop(sight);
        let door = sight.door.as_mut().expect("a door");
        let python = Some((4711, "python3".to_owned()));
        door.listeners = Ok(vec![Listener { at: door.at, process: python }]);
    };
    let said = found(also_held, Dial::Untried(String::new()), "host", "port-held");
    assert!(said.contains("`python3` (pid 4711)") && said.contains("`kill 4711`"), "{said}");
}

#[test]
fn rules_of_the_kernel_that_publish_the_port_are_in_force_or_the_fault() {
    let by_rules = |in_force: Result<bool, String>| {
        move |sight: &mut Sight| {
            let gateway = sight.gateway.as_mut().expect("a gateway");
            gateway.container.as_mut().expect("one").publishes = false;
            gateway.publisher = Some(Publisher { name: "see-gw-ports".to_owned(), in_force });
            sight.door.as_mut().expect("a door").listeners = Ok(Vec::new());
        }
    };
    assert_eq!(spoiled(by_rules(Ok(true)), Dial::Connected).finding, None);
    let said = found(by_rules(Ok(false)), Dial::Connected, "host", "port-not-published");
    assert!(said.contains("the rules of `see-gw-ports` are not in force"), "{said}");
    let unseen = spoiled(by_rules(Err("exec is refused".to_owned())), Dial::Connected);
    assert_eq!(unseen.finding, None);
}

#[test]
fn what_the_gateway_does_with_the_port() {
    let fails = || Dial::Silent;
    found(|sight| inside(sight).live = None, fails(), "forward", "forward-not-in-force");
    found(|sight| inside(sight).forwarding = false, fails(), "forward", "ip-forward-off");
    let moved = |sight: &mut Sight| inside(sight).live = "172.20.127.201:80".parse().ok();
    let said = found(moved, fails(), "forward", "stale-target");
    assert!(said.contains("is at 172.20.127.200:80"), "{said}");
    let drops = |sight: &mut Sight| sight.to_aim = Dial::Connected;
    found(drops, fails(), "forward", "dropped-in-gateway");
}

#[test]
fn no_answer_for_the_address_is_a_fault_only_where_nothing_explains_it() {
    let silent = |sight: &mut Sight| inside(sight).neighbor = Ok(None);
    found(silent, Dial::NoRoute, "address", "nobody-has-address");
    let without_speaker = |sight: &mut Sight| {
        silent(sight);
        cluster_of(sight).metallb.pop();
    };
    found(without_speaker, Dial::NoRoute, "load-balancer", "speaker-missing");
    let twice =
        |sight: &mut Sight| on_node(sight).answers = Ok(vec!["02:42:00:00:00:09".to_owned()]);
    found(twice, Dial::Connected, "address", "address-answered-twice");
    let unheard = |sight: &mut Sight| {
        inside(sight).neighbor = Ok(Some("02:42:00:00:00:09".to_owned()));
    };
    found(unheard, Dial::Refused, "address", "address-answered-twice");
    let taken = |sight: &mut Sight| {
        unheard(sight);
        cluster_of(sight).metallb.clear();
    };
    found(taken, Dial::Refused, "address", "address-taken");
}

#[test]
fn a_service_that_cannot_be_reached() {
    let fails = || Dial::Refused;
    found(|sight| cluster_of(sight).service = None, fails(), "service", "service-missing");
    found(
        |sight| spec(sight, "type", json!("ClusterIP")),
        fails(),
        "service",
        "service-not-reachable",
    );
    let ranges =
        |sight: &mut Sight| spec(sight, "loadBalancerSourceRanges", json!(["10.9.0.0/16"]));
    found(ranges, Dial::Silent, "service", "source-ranges");
    let udp = |sight: &mut Sight| {
        let port = json!([{ "port": 80, "protocol": "UDP", "targetPort": 8080 }]);
        spec(sight, "ports", port);
    };
    found(udp, fails(), "service", "wrong-protocol");
    let other =
        |sight: &mut Sight| spec(sight, "ports", json!([{ "port": 81, "targetPort": 8080 }]));
    found(other, fails(), "service", "no-such-port");
}

#[test]
fn a_service_without_an_address_says_why() {
    let pending = |sight: &mut Sight| {
        let service = cluster_of(sight).service.as_mut().expect("a Service");
        service.data["status"] = json!({});
    };
    let fails = || Dial::NoRoute;
    let outside = |sight: &mut Sight| {
        pending(sight);
        let warning = "AllocationFailed: Failed to allocate IP for \"default/web\": [\"10.1.1.1\"] is not allowed in config";
        cluster_of(sight).warnings = vec![warning.to_owned()];
    };
    let said = found(outside, fails(), "load-balancer", "address-not-in-pools");
    assert!(said.contains("is not allowed in config"), "{said}");
    let no_pools = |sight: &mut Sight| {
        pending(sight);
        cluster_of(sight).pools.clear();
    };
    found(no_pools, fails(), "load-balancer", "pool-missing");
    let none = |sight: &mut Sight| {
        pending(sight);
        cluster_of(sight).metallb.clear();
    };
    found(none, fails(), "load-balancer", "no-load-balancer");
}

#[test]
fn no_ready_pods_are_told_in_their_own_words() {
    let without = |sight: &mut Sight| {
        let cluster = cluster_of(sight);
        cluster.endpoints.clear();
        cluster.pods.clear();
        inside(sight).neighbor = Ok(None);
    };
    let deployment = |replicas: u32| Workload {
        kind: Kinds::default().named(&"apps/v1".into(), &"Deployment".into()),
        object: object(json!({ "metadata": { "name": "web" }, "spec": {
            "replicas": replicas, "template": { "metadata": { "labels": { "app": "web" } } },
        }})),
    };
    let scaled = |sight: &mut Sight| {
        without(sight);
        cluster_of(sight).workloads = vec![deployment(0)];
    };
    let said = found(scaled, Dial::NoRoute, "endpoints", "no-ready-pods");
    assert!(
        said.starts_with(
            "the Deployment `web` is scaled to 0. `kubectl --context kind-see -n default scale"
        ),
        "{said}"
    );
    let pulling = |sight: &mut Sight| {
        let cluster = cluster_of(sight);
        cluster.endpoints[0].ready = false;
        cluster.complaints = vec!["pod web-1: web: ImagePullBackOff: no such image".to_owned()];
    };
    let said = found(pulling, Dial::Refused, "endpoints", "no-ready-pods");
    assert!(said.contains("ImagePullBackOff"), "{said}");
    let others = |sight: &mut Sight| {
        without(sight);
        cluster_of(sight).others = vec![pod("api-1", json!({ "app": "api" }), ready())];
    };
    let said = found(others, Dial::NoRoute, "endpoints", "selector-matches-nothing");
    assert!(said.contains("app=web") && said.contains("app=api"), "{said}");
    let nameless = |sight: &mut Sight| cluster_of(sight).endpoints[0].port = None;
    found(nameless, Dial::Refused, "endpoints", "no-such-target-port");
}

#[test]
fn a_pod_that_does_not_listen_where_the_service_leads() {
    let deaf = |tables: &'static str| {
        move |sight: &mut Sight| {
            let pod = &mut on_node(sight).pods[0];
            (pod.sockets, pod.dial) = (Ok(listening(tables)), Dial::Refused);
        }
    };
    let said = found(deaf(""), Dial::Refused, "pod", "pod-not-listening");
    assert!(said.contains("it listens on no port"), "{said}");
    found(deaf(ON_LOOPBACK), Dial::Refused, "pod", "pod-on-loopback");
    found(deaf(LISTENS), Dial::Refused, "pod", "pod-on-ipv6-only");
    let beside_another = |sight: &mut Sight| {
        deaf("")(sight);
        let cluster = cluster_of(sight);
        cluster.endpoints.push(endpoint("api-1"));
        cluster.pods.push(pod("api-1", json!({ "app": "web" }), ready()));
    };
    found(beside_another, Dial::Connected, "pod", "selector-too-wide");
}

#[test]
fn what_stops_a_connection_on_the_node() {
    let rejects = |sight: &mut Sight| {
        on_node(sight).after = Some(Drops::of_iptables(&RULES.replace("[2:120]", "[5:300]")));
    };
    let said = found(rejects, Dial::NoRoute, "firewall", "dropped-on-node");
    assert!(said.contains("-j REJECT") && said.contains("0x4000/0x4000"), "{said}");
    let refuses = |sight: &mut Sight| {
        rejects(sight);
        cluster_of(sight).policies = vec![object(json!({
            "metadata": { "name": "deny" }, "spec": { "podSelector": {}, "policyTypes": ["Ingress"] },
        }))];
    };
    found(refuses, Dial::Silent, "policy", "network-policy");
    let stop = |sight: &mut Sight| {
        sight.nodes[0].container.state = ContainerState::Exited;
        sight.cluster = Err("connection refused".to_owned());
    };
    found(stop, Dial::NoRoute, "node", "node-stopped");
    let proxy = |sight: &mut Sight| {
        cluster_of(sight).proxies.clear();
        on_node(sight).rules = ":KUBE-SERVICES - [0:0]\n".to_owned();
    };
    found(proxy, Dial::Refused, "kube-proxy", "kube-proxy-missing");
    let local = |sight: &mut Sight| {
        spec(sight, "externalTrafficPolicy", json!("Local"));
        cluster_of(sight).endpoints[0].node = "see-worker".to_owned();
    };
    found(local, Dial::Silent, "kube-proxy", "no-local-pods");
}

#[test]
fn a_policy_that_lets_the_port_in_is_no_fault() {
    let policy = |ingress: Value| {
        move |sight: &mut Sight| {
            let spec =
                json!({ "podSelector": { "matchLabels": { "app": "web" } }, "ingress": ingress });
            cluster_of(sight).policies =
                vec![object(json!({ "metadata": { "name": "p" }, "spec": spec }))];
        }
    };
    let unexplained =
        |ingress: Value| found(policy(ingress), Dial::Silent, "answer", "unexplained");
    unexplained(json!([{ "ports": [{ "port": 8080 }] }]));
    unexplained(json!([{ "from": [{ "ipBlock": { "cidr": "172.20.0.0/17" } }] }]));
    found(policy(json!([{ "ports": [{ "port": 22 }] }])), Dial::Silent, "policy", "network-policy");
    found(
        policy(json!([{ "from": [{ "podSelector": {} }] }])),
        Dial::Silent,
        "policy",
        "network-policy",
    );
}

#[test]
fn what_could_not_be_looked_at_says_so_and_is_no_fault() {
    let blind = |sight: &mut Sight| {
        sight.nodes.clear();
        sight.has_own_nodes = false;
        sight.through_gateway = Dial::Untried("no node can be inspected".to_owned());
    };
    let trace = spoiled(blind, Dial::Connected);
    assert_eq!(trace.finding, None);
    let unexamined =
        |name: &str| trace.hops.iter().any(|hop| hop.hop == name && hop.state == State::Unexamined);
    assert!(unexamined("node") && unexamined("pod"), "{trace:#?}");
}
