//! `topo trace` on a real cluster: faults put in by hand, one at a time and at every hop, each named at
//! its own hop and mended again; between them nothing is found.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lab::Lab;
use crate::small;

const TOPOLOGY: &str = "apiVersion: topo/v1alpha1
kind: Topology
name: trc
network:
  subnet: 172.20.128.0/17
cluster:
  image: ${NODE_IMAGE}
images:
  - ${ECHO_IMAGE}
metallb:
  pools:
    - { name: main, addresses: [172.20.255.200-172.20.255.209] }
manifests:
  - path: web.yaml
gateway:
  image:
    base: ${GATEWAY_BASE}
  publish: [12320-12329]
  ports:
    - { listen: 12320, to: { service: web, port: 80 } }
";

const SLOWEST: Duration = Duration::from_secs(10);

/// What somebody does, what a trace must say of it, and what takes it back.
struct Fault<'a> {
    spoil: &'a str,
    hop: &'a str,
    name: &'a str,
    mend: &'a str,
}

const FAULTS: [Fault; 12] = [
    Fault {
        spoil: "docker stop -t 1 trc-gw",
        hop: "gateway",
        name: "gateway-stopped",
        mend: "docker start trc-gw",
    },
    Fault {
        spoil: "docker exec trc-gw nft flush map ip topo forwards",
        hop: "forward",
        name: "forward-not-in-force",
        mend: "docker restart -t 1 trc-gw",
    },
    Fault {
        spoil: "in_network trc-gw iptables -I FORWARD -m conntrack --ctstate NEW -j DROP",
        hop: "forward",
        name: "dropped-in-gateway",
        mend: "docker restart -t 1 trc-gw",
    },
    Fault {
        spoil: "docker run -d --rm --name trc-thief --network topo-trc --cap-add NET_ADMIN --entrypoint sh $NODE_IMAGE -c 'ip address add 172.20.255.200/17 dev eth0; exec sleep 600'",
        hop: "address",
        name: "address-answered-twice",
        mend: "docker rm -f trc-thief",
    },
    Fault {
        spoil: "docker exec trc-control-plane iptables -I FORWARD -m conntrack --ctstate NEW -j REJECT --reject-with icmp-host-prohibited",
        hop: "firewall",
        name: "dropped-on-node",
        mend: "docker exec trc-control-plane iptables -D FORWARD 1",
    },
    Fault {
        spoil: "$K patch service web --type=merge -p '{\"spec\":{\"loadBalancerSourceRanges\":[\"10.9.0.0/16\"]}}'",
        hop: "service",
        name: "source-ranges",
        mend: "$K patch service web --type=json -p '[{\"op\":\"remove\",\"path\":\"/spec/loadBalancerSourceRanges\"}]'",
    },
    Fault {
        spoil: "$K patch service web --type=merge -p '{\"spec\":{\"selector\":{\"app\":\"wrong\"}}}'",
        hop: "endpoints",
        name: "selector-matches-nothing",
        mend: "$K patch service web --type=merge -p '{\"spec\":{\"selector\":{\"app\":\"web\"}}}'",
    },
    Fault {
        spoil: "$K patch service web --type=json -p '[{\"op\":\"replace\",\"path\":\"/spec/ports/0/targetPort\",\"value\":9}]'",
        hop: "pod",
        name: "pod-not-listening",
        mend: "$K patch service web --type=json -p '[{\"op\":\"replace\",\"path\":\"/spec/ports/0/targetPort\",\"value\":8080}]'",
    },
    Fault {
        spoil: "$K scale deployment web --replicas=0; $K wait --for=delete pod -l app=web --timeout=20s",
        hop: "endpoints",
        name: "no-ready-pods",
        mend: "$K scale deployment web --replicas=1",
    },
    Fault {
        spoil: "$K -n metallb-system patch daemonset speaker --type=merge -p '{\"spec\":{\"template\":{\"spec\":{\"nodeSelector\":{\"no\":\"node\"}}}}}'; $K -n metallb-system wait --for=delete pod -l component=speaker --timeout=20s",
        hop: "load-balancer",
        name: "speaker-missing",
        mend: "$K -n metallb-system patch daemonset speaker --type=json -p '[{\"op\":\"remove\",\"path\":\"/spec/template/spec/nodeSelector/no\"}]'",
    },
    Fault {
        spoil: "$K delete service web",
        hop: "service",
        name: "service-missing",
        mend: "$TOPO apply --yes $FILE",
    },
    Fault {
        spoil: "docker stop -t 1 trc-control-plane",
        hop: "node",
        name: "node-stopped",
        mend: "docker start trc-control-plane",
    },
];

#[test]
#[ignore = "needs the lab"]
fn trace() {
    let mut lab = Lab::open("trace").of(&["trc"]);
    let before = lab.listing();
    let file = lab.own("topo.yaml");
    std::fs::write(&file, TOPOLOGY).expect("written");
    std::fs::write(lab.own("web.yaml"), small::web()).expect("written");
    let file = file.display().to_string();
    lab.set("FILE", file.clone());
    lab.set("TOPO", env!("CARGO_BIN_EXE_topo"));
    lab.set("K", "kubectl --context kind-trc");
    lab.expect(0, &["apply", "--yes", &file]);
    heals(&lab, &file, "nothing yet");

    for fault in &FAULTS {
        shell(&lab, fault.spoil);
        let started = Instant::now();
        let found = traced(&lab, &file);
        let took = started.elapsed();
        assert_eq!(
            (broken(&found), found["finding"]["name"].as_str()),
            (Some(fault.hop), Some(fault.name)),
            "after {}: {found:#}",
            fault.spoil
        );
        assert!(took < SLOWEST, "{} took {took:?}", fault.name);
        shell(&lab, fault.mend);
        heals(&lab, &file, fault.name);
    }
    held(&lab, &file);

    lab.expect(0, &["destroy", "--yes", &file]);
    lab.is_as_before(&before);
}

/// Another program has the port, since the gateway let go of it.
fn held(lab: &Lab, file: &str) {
    shell(lab, "docker stop -t 1 trc-gw");
    let listener = Lab::eventually("the port to be free", || {
        TcpListener::bind("127.0.0.1:12320").map_err(|error| error.to_string())
    });
    let found = traced(lab, file);
    assert_eq!(found["finding"]["name"], "port-held", "{found:#}");
    drop(listener);
    shell(lab, "docker start trc-gw");
    heals(lab, file, "port-held");
}

/// Nothing is found any more, with what was mended back at work.
#[track_caller]
fn heals(lab: &Lab, file: &str, after: &str) {
    Lab::within(90, after, || {
        lab.get("http://127.0.0.1:12320/")?;
        let found = traced(lab, file);
        if found["finding"].is_null() { Ok(()) } else { Err(found.to_string()) }
    });
}

fn traced(lab: &Lab, file: &str) -> Value {
    let ran = lab.topo(&["trace", "12320", file, "-o", "json"]);
    assert!([0, 1].contains(&ran.code), "{}", ran.err);
    serde_json::from_str(&ran.out).expect("JSON")
}

fn broken(found: &Value) -> Option<&str> {
    let hops = found["hops"].as_array()?;
    hops.iter().find(|hop| hop["state"] == "broken")?["hop"].as_str()
}

/// As a person types it; `in_network CONTAINER COMMAND…` runs a program of the node's image in the
/// network of a container that has none.
#[track_caller]
fn shell(lab: &Lab, line: &str) {
    let run = "in_network() { container=$1; program=$2; shift 2; docker run --rm --network \"container:$container\" --cap-add NET_ADMIN --entrypoint \"$program\" \"$NODE_IMAGE\" \"$@\"; }";
    lab.run("bash", &["-euc", &format!("{run}\n{line}")]);
}
