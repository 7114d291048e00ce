//! Plans, endings and other data that the tests of the views show.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Doing, Ending, Health, PoolStatus, PortStatus, ResourceStatus, ShareStatus, Status,
    TunnelStatus,
};
use crate::doctor::{Check, Diagnosis, Found, Part, State as Examined};
use crate::engine::{Failure, Outcome, Report};
use crate::finding::Finding;
use crate::plan::{Action, Bond, Cause, Change, Id, Item, Plan, Shown};
use crate::topology::Severity;
use crate::trace::{Hop, State, Trace};

pub fn id(text: &str) -> Id {
    text.parse().expect("a sample id is valid")
}

/// Every action, cause and kind of value, and lines too long for 80 columns.
pub fn plan() -> Plan {
    let mut pool = item("pool/edge", Action::Update, Cause::File);
    let addresses = (json!(["172.18.255.200-250"]), json!(["172.18.255.200-254"]));
    pool.changes.push(change("addresses", addresses, "edge.yaml:9:5"));

    let mut gateway = item("gateway/edge", Action::Replace, Cause::Both);
    gateway.why = Some("about 3 s without forwards".to_owned());
    gateway.asks = Some("replaces `gateway/edge`: the addresses 172.18.255.201 and 172.18.255.202 are in use by default/web".to_owned());
    gateway.bonds.push(Bond::Rests(id("network/topo-edge")));
    let publish = (json!(["30000-30049"]), json!(["30000-30099"]));
    gateway
        .changes
        .push(Change { forces_replace: true, ..change("publish", publish, "edge.yaml:14:3") });
    let image = (json!("topo/gateway:1f6a2c77a31c"), json!("topo/gateway:77a31c1f6a2c"));
    gateway.changes.push(Change {
        cause: Cause::Drift,
        by: Some("kubectl-edit".to_owned()),
        ..change("image", image, "edge.yaml:12:3")
    });

    let mut share = item("share/media", Action::Start, Cause::Drift);
    share.why = Some("it is stopped".to_owned());

    let mut deployment =
        item("object/apps/Deployment/default/fedora-dev", Action::Update, Cause::Drift);
    let long = (
        json!("registry.example.com/team/fedora:41-with-a-very-long-tag-0123456789abcdef"),
        json!("registry.example.com/team/fedora:42"),
    );
    deployment.changes.push(Change {
        at: None,
        by: Some("kubectl-edit".to_owned()),
        ..change("spec.template.spec.containers[0].image", long, "")
    });
    let text = (json!("a\nb\nc\nd\n"), json!("a\nb\nC\nd\n"));
    deployment.changes.push(change("data.config", text, "manifests/web.yaml:31"));
    deployment.changes.push(Change {
        before: Shown::Sensitive,
        after: Shown::Sensitive,
        ..change("data.password", (json!(null), json!(null)), "manifests/web.yaml:7")
    });

    let mut forward = item("port/127.0.0.1:10001/tcp", Action::Update, Cause::File);
    forward.changes.push(Change {
        after: Shown::Unknown(id("object/core/Service/default/web")),
        ..change("address", (json!("172.18.255.201"), json!(null)), "edge.yaml:31:5")
    });

    let mut service = Item::new(id("object/core/Service/default/web"), Action::Deferred);
    service.why = Some("`cluster/edge` cannot be inspected: connection refused".to_owned());
    let mut network = Item::new(id("network/topo-edge"), Action::Blocked);
    network.why = Some("a network of that name exists and is not topo's: give `network.name` another name, or remove it with `docker network rm topo-edge`".to_owned());
    let mut metallb = Item::new(id("metallb/metallb"), Action::None);
    metallb.waits = Some("controller: 0 of 1 ready".to_owned());

    Plan {
        topology: "edge".to_owned(),
        items: vec![
            pool,
            gateway,
            share,
            deployment,
            item("port/127.0.0.1:10080-10082/tcp", Action::Create, Cause::File),
            forward,
            service,
            network,
            metallb,
            item("image/localhost/web:1", Action::Delete, Cause::File),
            Item::new(id("cluster/edge"), Action::None),
        ],
    }
}

fn item(name: &str, action: Action, cause: Cause) -> Item {
    Item { cause: Some(cause), ..Item::new(id(name), action) }
}

fn change(path: &str, (before, after): (Value, Value), at: &str) -> Change {
    Change {
        path: path.to_owned(),
        field: path.to_owned(),
        before: Shown::Value(before),
        after: Shown::Value(after),
        at: Some(at.to_owned()),
        forces_replace: false,
        cause: Cause::File,
        by: None,
    }
}

pub fn failure() -> Failure {
    Failure::new("cannot start `gateway/edge`")
        .caused_by("port 30055 is already allocated")
        .hint("`docker ps --filter publish=30055` shows the holder")
}

/// One of each outcome.
pub fn report() -> Report {
    Report {
        outcomes: vec![
            (id("cluster/edge"), Outcome::Done(Action::None)),
            (id("pool/edge"), Outcome::Done(Action::Update)),
            (id("gateway/edge"), Outcome::Failed(failure())),
            (
                id("port/127.0.0.1:30001/tcp"),
                Outcome::Skipped("needs `gateway/edge`, which failed".to_owned()),
            ),
        ],
        lost: vec![id("gateway/edge"), id("network/topo-edge")],
        interrupted: false,
    }
}

pub fn ending(report: &Report) -> Ending<'_> {
    Ending {
        doing: Doing::Apply,
        topology: "edge",
        report,
        elapsed: Duration::from_millis(3210),
        context: None,
        ports: &[],
    }
}

/// A warning, an error and something that could not be examined.
pub fn diagnosis() -> Diagnosis {
    let check = |part, check, state, saw: &str| Check { part, check, state, saw: saw.to_owned() };
    let proxy = Finding::new(
        "proxy-on-loopback",
        "HTTPS_PROXY is http://127.0.0.1:3128",
        "kind hands it to the nodes that it makes, where this address is the node itself: they pull no images",
        "name the proxy by an address that containers reach, or `env -u HTTPS_PROXY topo apply`",
    );
    let pods = trace().finding.expect("one");
    Diagnosis {
        topo: "0.1.0",
        checks: vec![
            check(
                Part::Machine,
                "engine",
                Examined::Fine,
                "26.1.5, API 1.45, Debian GNU/Linux 12 (bookworm), at unix:///var/run/docker.sock (a usual place)",
            ),
            check(
                Part::Machine,
                "firewall",
                Examined::Unexamined,
                "the engine runs on far.example",
            ),
            check(Part::Machine, "proxies", Examined::Warning, "HTTPS_PROXY http://127.0.0.1:3128"),
            check(Part::File, "file", Examined::Fine, "topo.yaml: valid"),
            check(
                Part::Topology,
                "port",
                Examined::Error,
                "127.0.0.1:10001/tcp to service default/web:80",
            ),
        ],
        findings: vec![
            Found { severity: Severity::Error, finding: pods },
            Found { severity: Severity::Warning, finding: proxy },
        ],
    }
}

/// Of a Service that pods are missing behind: what a trace of it says.
pub fn trace() -> Trace {
    let hop = |hop, at: &str, state, saw: &str| Hop::new(hop, at, state, saw);
    let finding = Finding::new(
        "no-ready-pods",
        "the Deployment `web` is scaled to 0",
        "a Service without a ready pod does not answer, which from outside looks like a fault of the network",
        "`kubectl --context kind-dev -n default scale deployment/web --replicas=1`",
    );
    Trace {
        topology: "dev".to_owned(),
        target: "127.0.0.1:10001/tcp to service default/web:80".to_owned(),
        hops: vec![
            hop(
                "host",
                "127.0.0.1:10001",
                State::Fine,
                "docker-proxy (pid 4711) listens; a connection is taken",
            ),
            hop("gateway", "dev-gw", State::Fine, "Up 3 minutes (healthy), publishes the port"),
            hop(
                "address",
                "172.22.255.201",
                State::Follows,
                "no machine on the network answers for 172.22.255.201",
            ),
            hop("endpoints", "web", State::Broken, &finding.saw),
            hop("pod", "web", State::Unexamined, "its node is not inspected"),
        ],
        finding: Some(finding),
    }
}

pub fn status() -> Status {
    let resource = |name: &str, state, detail: Option<&str>| ResourceStatus {
        id: id(name),
        state,
        detail: detail.map(str::to_owned),
    };
    Status {
        topology: "dev".to_owned(),
        at_work: Some("pid 4711: topo apply".to_owned()),
        context: Some("kind-dev".to_owned()),
        resources: vec![
            resource("network/topo-dev", Health::Ready, Some("172.22.0.0/16")),
            resource("node/dev-control-plane", Health::Ready, None),
            resource(
                "node/dev-worker2",
                Health::Stopped,
                Some(
                    "the container has exited (137) after the engine was restarted, 3 minutes ago",
                ),
            ),
            resource("gateway/dev-gw", Health::Degraded, Some("sshd does not answer")),
        ],
        ports: ports(),
        pools: vec![PoolStatus {
            name: "dev".to_owned(),
            addresses: vec!["172.22.255.200-172.22.255.250".to_owned()],
            used: Some(2),
            free: Some(49),
        }],
        shares: vec![
            ShareStatus {
                name: "docs".to_owned(),
                via: "server".to_owned(),
                source: "/home/me/docs/studio".to_owned(),
                claim: Some("default/docs".to_owned()),
                state: Health::Ready,
                detail: None,
                finding: None,
                hint: None,
            },
            ShareStatus {
                name: "sets".to_owned(),
                via: "external".to_owned(),
                source: "nas.local:/srv/sets".to_owned(),
                claim: Some("default/sets".to_owned()),
                state: Health::Degraded,
                detail: Some(
                    "v4-not-served: the server said that it supports version 3 only".to_owned(),
                ),
                finding: Some("v4-not-served".to_owned()),
                hint: Some(
                    "write `nfs: { version: 3 }`, or switch version 4 on in the server".to_owned(),
                ),
            },
        ],
        tunnels: vec![TunnelStatus {
            name: "docs".to_owned(),
            state: Health::Degraded,
            detail: Some("reconnecting, tried 3 times".to_owned()),
        }],
    }
}

pub fn ports() -> Vec<PortStatus> {
    let port = |listen: &str, to: &str, address: Option<&str>| PortStatus {
        listen: listen.to_owned(),
        to: to.to_owned(),
        address: address.map(str::to_owned),
        ready_pods: None,
        reachable: None,
        detail: None,
        direct: None,
    };
    vec![
        PortStatus {
            ready_pods: Some(1),
            reachable: Some(true),
            ..port(
                "127.0.0.1:10001/tcp",
                "service default/fedora-dev-service:22",
                Some("172.22.255.201:22"),
            )
        },
        PortStatus {
            ready_pods: Some(0),
            reachable: Some(false),
            detail: Some("refused behind the gateway".to_owned()),
            direct: Some("172.22.255.202:8080-8082".to_owned()),
            ..port(
                "127.0.0.1:10080-10082/tcp",
                "service default/web:8080-8082",
                Some("172.22.255.202:8080-8082"),
            )
        },
        PortStatus {
            ready_pods: Some(2),
            ..port(
                "127.0.0.1:10010/tcp",
                "service default/fedora-dev-service:80",
                Some("172.22.255.201:80"),
            )
        },
        port("127.0.0.1:10090/udp", "nodePort 30880", None),
    ]
}
