//! A healthy machine with a healthy topology, and one fault at a time in it.

use serde_json::{Value, json};

use super::diagnose;
use crate::backend::docker::{
    Address, Container, ContainerState, Info, Network, Published, Snapshot, Subnet,
};
use crate::backend::host::Route;
use crate::backend::host::kernel::Room;
use crate::backend::nfs;
use crate::doctor::facts::{
    Balancing, Engine, Facts, File, Firewall, Kernel, Live, Machine, Program,
};
use crate::doctor::{Diagnosis, State};
use crate::finding::Finding;
use crate::resources::{Doing, Health};
use crate::topology::{Diagnostic, Place, Severity, Topology, Via};
use crate::trace::Trace;

const GIB: u64 = 1 << 30;
const KERNEL: &str = "6.1.0-28-amd64";
const RULES: &str = "-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n-A FORWARD -j DOCKER-ISOLATION-STAGE-1\n\
    -A FORWARD -o docker0 -j DOCKER\n-A FORWARD -j REJECT --reject-with icmp-host-prohibited\n";
const CHAINS: &str = "table ip filter {\n\tchain FORWARD {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n";

fn topology(extra: Value) -> Topology {
    let mut file = json!({
        "name": "dev",
        "network": { "subnet": "172.22.0.0/16" },
        "cluster": { "image": "kindest/node:v1.34.0" },
        "metallb": { "pools": [{ "name": "dev", "size": 20 }] },
        "gateway": { "publish": ["10000-10019"] },
    });
    file.as_object_mut().expect("a map").extend(extra.as_object().expect("a map").clone());
    serde_json::from_value(file).expect("a topology")
}

fn container(name: &str, labels: &[(&str, &str)]) -> Container {
    let address = Address { fixed: "172.22.0.2".parse().ok(), ..Address::default() };
    Container {
        id: name.to_owned(),
        name: name.to_owned(),
        image: "kindest/node:v1.34.0".to_owned(),
        image_id: String::new(),
        state: ContainerState::Running,
        status: "Up 3 minutes".to_owned(),
        labels: labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        addresses: [("topo-dev".to_owned(), address)].into(),
        ports: Vec::new(),
        mounts: Vec::new(),
    }
}

fn plane(name: &str) -> Container {
    let labels = [("io.x-k8s.kind.cluster", "dev"), ("io.x-k8s.kind.role", "control-plane")];
    let mounts = vec!["/etc/topo.dev/dev".to_owned()];
    Container { mounts, ..container(name, &labels) }
}

fn healthy() -> Facts {
    let program = |name, version: &str| Program { name, version: Ok(version.to_owned()) };
    let net = "172.22.0.0/16".parse().expect("a network");
    let network = Network {
        name: "topo-dev".to_owned(),
        subnets: vec![Subnet { net, range: None, gateway: None }],
        ..Network::default()
    };
    let port = Published { address: None, port: 10000, inside: 10000, udp: false };
    let gateway = Container { ports: vec![port], ..container("dev-gw", &[]) };
    Facts {
        machine: Machine {
            programs: vec![
                program("docker", "Docker version 26.1.5, build a72d7cd"),
                program("kind", "0.33.0"),
                program("kubectl", "Client Version: v1.34.4"),
            ],
            proxies: Vec::new(),
            routes: vec![Route { net, interface: "br-0123456789ab".to_owned() }],
            processes: Ok(vec![(4711, "/usr/bin/docker-proxy -proto tcp".to_owned())]),
            firewall: Firewall {
                forward: Ok(RULES.to_owned()),
                chains: Ok(CHAINS.to_owned()),
                ufw: false,
            },
        },
        kernel: Kernel {
            release: Some(KERNEL.to_owned()),
            name: Some("box".to_owned()),
            inotify_instances: Ok(1024),
            inotify_watches: Ok(524_288),
            bridge_netfilter: Some(true),
            open_files: Some(1024),
            disk: Ok(Room { free: 100 * GIB, total: 200 * GIB }),
        },
        engine: Ok(Engine {
            at: "unix:///var/run/docker.sock (a usual place)".to_owned(),
            remote: None,
            info: Info {
                name: "box".to_owned(),
                version: "26.1.5".to_owned(),
                api: "1.45".to_owned(),
                operating_system: "Debian GNU/Linux 12 (bookworm)".to_owned(),
                kernel: KERNEL.to_owned(),
                storage_driver: "overlay2".to_owned(),
                memory: 16 * GIB,
                forwards: Some(true),
                cgroup: 2,
                ..Info::default()
            },
            snapshot: Snapshot {
                networks: vec![network],
                containers: vec![plane("dev-control-plane"), gateway],
                ..Snapshot::default()
            },
        }),
        file: Some(File {
            path: "topo.yaml".to_owned(),
            problems: Vec::new(),
            topology: Some(topology(json!({}))),
            balancing: Some(Balancing {
                asking: vec!["default/web".to_owned()],
                is_lacking: false,
            }),
            unread: Vec::new(),
        }),
        live: Ok(Live {
            traces: Ok(vec![trace(None)]),
            shares: Ok(Vec::new()),
            resolves: Some(true),
        }),
    }
}

fn trace(finding: Option<Finding>) -> Trace {
    Trace {
        topology: "dev".to_owned(),
        target: "127.0.0.1:10001/tcp to service default/web:80".to_owned(),
        hops: Vec::new(),
        finding,
    }
}

/// What is found after a change of what is healthy.
fn found(fault: impl FnOnce(&mut Facts)) -> Vec<&'static str> {
    diagnosis(fault).findings.iter().map(|found| found.finding.name).collect()
}

fn diagnosis(fault: impl FnOnce(&mut Facts)) -> Diagnosis {
    let mut facts = healthy();
    fault(&mut facts);
    diagnose(&facts)
}

fn info(facts: &mut Facts) -> &mut Info {
    &mut facts.engine.as_mut().expect("an engine").info
}

fn snapshot(facts: &mut Facts) -> &mut Snapshot {
    &mut facts.engine.as_mut().expect("an engine").snapshot
}

fn file(facts: &mut Facts) -> &mut File {
    facts.file.as_mut().expect("a file")
}

fn balancing(facts: &mut Facts) -> &mut Balancing {
    file(facts).balancing.as_mut().expect("its manifests were read")
}

fn live(facts: &mut Facts) -> &mut Live {
    facts.live.as_mut().expect("it is live")
}

fn with_file(facts: &mut Facts, extra: Value) {
    file(facts).topology = Some(topology(extra));
}

fn without_nodes(facts: &mut Facts) {
    snapshot(facts).containers.clear();
}

#[test]
fn nothing_is_found_where_nothing_is_wrong_and_all_is_examined() {
    let diagnosis = diagnosis(|_| {});
    assert_eq!(diagnosis.findings, []);
    let states: Vec<State> = diagnosis.checks.iter().map(|check| check.state).collect();
    assert!(states.iter().all(|state| *state == State::Fine), "{:?}", diagnosis.checks);
    assert!(states.len() > 15);
}

#[test]
fn an_engine_that_does_not_answer_is_the_one_thing_found() {
    let diagnosis = diagnosis(|facts| {
        facts.engine = Err("no Docker engine answers\n  unix:///nowhere: No such file".to_owned());
        facts.live = Err("no engine answers".to_owned());
    });
    let [found] = &diagnosis.findings[..] else { panic!("{:?}", diagnosis.findings) };
    assert_eq!(found.finding.name, "engine-unreachable");
    assert_eq!(found.finding.saw, "no Docker engine answers; unix:///nowhere: No such file");
}

#[test]
fn what_the_engine_tells_of_itself_is_judged() {
    assert_eq!(found(|facts| info(facts).api = "1.40".to_owned()), ["engine-too-old"]);
    assert_eq!(found(|facts| info(facts).api = "1.51".to_owned()), [""; 0]);
    assert_eq!(
        found(|facts| info(facts).storage_driver = "vfs".to_owned()),
        ["slow-storage-driver"]
    );
    assert_eq!(found(|facts| info(facts).memory = GIB), ["little-memory"]);
    assert_eq!(found(|facts| info(facts).forwards = Some(false)), ["engine-not-forwarding"]);
    let rootless = |facts: &mut Facts| {
        info(facts).is_rootless = true;
        info(facts).missing_limits = vec!["cpu"];
    };
    assert_eq!(found(rootless), ["rootless-limits"]);
    assert_eq!(found(|facts| info(facts).is_rootless = true), [""; 0]);
}

#[test]
fn rules_of_this_machines_kernel_need_an_engine_in_its_network() {
    let publish = |way: &'static str, name: &'static str| {
        found(move |facts| {
            info(facts).name = name.to_owned();
            with_file(facts, json!({ "gateway": { "publish": [10000], "publishBy": way } }));
        })
    };
    assert_eq!(publish("kernel", "colima"), ["engine-elsewhere"]);
    assert_eq!(publish("kernel", "box"), [""; 0]);
    assert_eq!(publish("engine", "colima"), [""; 0]);
}

#[test]
fn docker_desktop_freezes_at_the_last_port_alone() {
    let on_desktop = |version: &'static str, publish: &'static str| {
        found(move |facts| {
            info(facts).product = format!("Docker Desktop {version}");
            let gateway = json!({ "publish": [publish], "allowLargeRange": true });
            with_file(facts, json!({ "gateway": gateway }));
        })
    };
    assert_eq!(on_desktop("4.55.0 (213807)", "65000-65535"), ["desktop-freezes"]);
    assert_eq!(on_desktop("4.54.0 (212467)", "65000-65535"), [""; 0]);
    assert_eq!(on_desktop("4.55.0 (213807)", "10000-10019"), [""; 0]);
}

#[test]
fn cgroup_v1_matters_to_nodes_of_1_35_that_are_still_to_be_made() {
    let of_image = |cluster: Value, made: bool| {
        found(move |facts| {
            info(facts).cgroup = 1;
            with_file(facts, json!({ "cluster": cluster }));
            if !made {
                without_nodes(facts);
                facts.live = Err("`dev` is not applied".to_owned());
            }
        })
    };
    let new = json!({ "image": "kindest/node:v1.35.0" });
    assert_eq!(of_image(new.clone(), false), ["cgroup-v1"]);
    assert_eq!(of_image(new, true), [""; 0]);
    assert_eq!(of_image(json!({}), false), ["cgroup-v1"]);
    assert_eq!(of_image(json!({ "image": "kindest/node:v1.34.0" }), false), [""; 0]);
    let told = json!({ "kindConfig": { "kubeadmConfigPatches": ["kind: KubeletConfiguration\nfailCgroupV1: false\n"] } });
    assert_eq!(of_image(told, false), [""; 0]);
}

#[test]
fn a_disk_that_is_nearly_full_is_found() {
    let with_free = |free| {
        let findings = diagnosis(|facts| facts.kernel.disk = Ok(Room { free, total: 200 * GIB }));
        findings.findings.first().map(|found| (found.finding.name, found.severity))
    };
    assert_eq!(with_free(GIB / 2), Some(("little-disk", Severity::Error)));
    assert_eq!(with_free(2 * GIB), Some(("little-disk", Severity::Warning)));
    assert_eq!(with_free(10 * GIB), None);
}

#[test]
fn programs_are_missed_where_something_calls_them() {
    let without = |name: &'static str| {
        found(move |facts| {
            let programs = &mut facts.machine.programs;
            let program = programs.iter_mut().find(|program| program.name == name);
            program.expect("it is listed").version = Err("not on PATH".to_owned());
        })
    };
    assert_eq!(without("docker"), ["no-docker-program"]);
    assert_eq!(without("kind"), [""; 0]);
    assert_eq!(without("kubectl"), [""; 0]);
}

#[test]
fn inotify_has_to_do_for_all_nodes_of_the_engine() {
    let few = |facts: &mut Facts| facts.kernel.inotify_instances = Ok(60);
    assert_eq!(found(few), ["inotify-limit"]);
    assert_eq!(found(|facts| facts.kernel.inotify_watches = Ok(8192)), ["inotify-limit"]);
    assert_eq!(found(|facts| facts.kernel.inotify_instances = Ok(128)), [""; 0]);
    let crowded = |facts: &mut Facts| {
        facts.kernel.inotify_instances = Ok(128);
        let other = |at: usize| container(&format!("other{at}"), &[("io.x-k8s.kind.cluster", "o")]);
        snapshot(facts).containers.extend((0..3).map(other));
    };
    assert_eq!(found(crowded), ["inotify-limit"]);
    assert_eq!(found(|facts| facts.kernel.open_files = Some(128)), ["open-files-limit"]);
    assert_eq!(found(|facts| facts.kernel.open_files = None), [""; 0]);
}

#[test]
fn the_userland_proxy_is_missed_at_the_loopback_of_ipv6() {
    let off = |facts: &mut Facts| facts.machine.processes = Ok(Vec::new());
    assert_eq!(found(off), [""; 0]);
    let with_v6 = |facts: &mut Facts| {
        off(facts);
        with_file(facts, json!({ "gateway": { "publish": ["[::1]:10000-10019"] } }));
    };
    assert_eq!(found(with_v6), ["no-userland-proxy"]);
}

#[test]
fn rules_that_drop_in_front_of_the_engines_own_or_in_their_place_are_found() {
    let with_rules = |rules: &'static str| {
        found(move |facts| facts.machine.firewall.forward = Ok(rules.to_owned()))
    };
    assert_eq!(with_rules("-P FORWARD DROP\n"), ["docker-rules-missing"]);
    assert_eq!(with_rules("-P FORWARD ACCEPT\n"), [""; 0]);
    let rejected = "-P FORWARD ACCEPT\n-A FORWARD -j REJECT --reject-with icmp-host-prohibited\n-A FORWARD -j DOCKER-USER\n";
    assert_eq!(with_rules(rejected), ["forward-rejected"]);
    let by_itself = |facts: &mut Facts| {
        facts.machine.firewall.forward = Ok("-P FORWARD DROP\n".to_owned());
        facts.machine.firewall.chains = Ok("table ip docker-bridges {\n}\n".to_owned());
    };
    assert_eq!(found(by_itself), [""; 0]);
}

#[test]
fn a_table_of_nft_that_drops_is_found_unless_it_is_the_engines() {
    let chains = "table inet filter {\n\tchain forward {\n\t\ttype filter hook forward priority filter; policy drop;\n\t}\n}\n";
    let diagnosis = diagnosis(|facts| facts.machine.firewall.chains = Ok(chains.to_owned()));
    let [found] = &diagnosis.findings[..] else { panic!("{:?}", diagnosis.findings) };
    assert_eq!(found.finding.name, "nft-drops-forward");
    assert!(found.finding.fix.starts_with("`sudo nft add rule inet filter forward "));
}

#[test]
fn a_firewall_that_published_ports_pass_by_is_told() {
    let open = json!({ "gateway": { "publish": ["0.0.0.0:10000-10019"] } });
    let with_ufw = |facts: &mut Facts| facts.machine.firewall.ufw = true;
    assert_eq!(found(with_ufw), [""; 0]);
    let published = |facts: &mut Facts| {
        with_ufw(facts);
        with_file(facts, open.clone());
    };
    assert_eq!(found(published), ["firewall-bypassed"]);
    let with_firewalld = |facts: &mut Facts| {
        let command = "/usr/bin/python3 -sP /usr/sbin/firewalld --nofork".to_owned();
        facts.machine.processes.as_mut().expect("they are listed").push((800, command));
        with_file(facts, open);
    };
    assert_eq!(found(with_firewalld), ["firewall-bypassed"]);
}

#[test]
fn a_route_that_takes_some_of_the_network_is_found() {
    let with_route = |net: &'static str| {
        found(move |facts| {
            let route =
                Route { net: net.parse().expect("a network"), interface: "tun0".to_owned() };
            facts.machine.routes.push(route);
        })
    };
    assert_eq!(with_route("172.22.7.0/24"), ["route-overlaps"]);
    assert_eq!(with_route("10.0.0.0/8"), [""; 0]);
}

#[test]
fn proxies_are_judged_by_who_will_use_them() {
    let with_proxy = |proxy: &'static str, engines: Option<&'static str>| {
        found(move |facts| {
            facts.machine.proxies = vec![("HTTPS_PROXY", proxy.to_owned())];
            info(facts).proxy = engines.map(str::to_owned);
        })
    };
    let far = "http://proxy.example:3128";
    assert_eq!(with_proxy(far, Some(far)), [""; 0]);
    assert_eq!(with_proxy(far, None), ["engine-without-proxy"]);
    for near in ["http://127.0.0.1:3128", "localhost:3128", "http://[::1]:3128/"] {
        assert_eq!(with_proxy(near, Some(far)), ["proxy-on-loopback"], "{near}");
    }
}

#[test]
fn no_secret_of_an_address_is_in_what_is_said() {
    let secret = "http://me:hunter2@proxy.example:3128";
    let diagnosis = diagnosis(|facts| {
        info(facts).proxy = Some(secret.to_owned());
        let said = format!("AllocationFailed: `{secret}` and http://you:hunter2/x@other.example");
        let finding = Finding::new("no-address", said.clone(), said.clone(), said);
        live(facts).traces = Ok(vec![trace(Some(finding))]);
    });
    let all = format!("{diagnosis:?}");
    assert!(!all.contains("hunter2"), "{all}");
    assert!(all.contains("the engine http://proxy.example:3128"), "{all}");
    assert!(all.contains("`http://proxy.example:3128` and http://other.example"), "{all}");
}

#[test]
fn kernel_and_firewall_of_another_machine_are_not_taken_for_the_engines() {
    let bad = |facts: &mut Facts| {
        facts.kernel.inotify_instances = Ok(1);
        facts.kernel.disk = Ok(Room { free: 0, total: 1 });
        facts.machine.firewall.forward = Ok("-P FORWARD DROP\n".to_owned());
    };
    let remote = diagnosis(|facts| {
        bad(facts);
        facts.engine.as_mut().expect("an engine").remote = Some("far.example".to_owned());
    });
    assert_eq!(remote.findings, []);
    let why = |check: &str, diagnosis: &Diagnosis| {
        let check = diagnosis.checks.iter().find(|it| it.check == check).expect("it is listed");
        assert_eq!(check.state, State::Unexamined);
        check.saw.clone()
    };
    assert_eq!(why("inotify", &remote), "the engine runs on far.example");
    let desktop = diagnosis(|facts| {
        bad(facts);
        facts.kernel.release = None;
    });
    assert_eq!(desktop.findings, []);
    assert_eq!(why("firewall", &desktop), "the engine runs in a virtual machine");
}

#[test]
fn what_only_root_is_shown_is_not_examined_by_others() {
    let diagnosis = diagnosis(|facts| {
        facts.machine.firewall.forward = Err("Permission denied (you must be root)".to_owned());
    });
    let check = diagnosis.checks.iter().find(|it| it.check == "firewall").expect("it is listed");
    assert_eq!(check.state, State::Unexamined);
    let said = "neither ufw nor firewalld; the rules: Permission denied (you must be root)";
    assert_eq!(check.saw, said);
}

#[test]
fn what_validate_says_is_told_by_its_names() {
    let problem = |severity, code| {
        let place = Place { file: "topo.yaml".to_owned(), line: 9, column: 3, span: 0..1 };
        Diagnostic::new(severity, code, place, "300 ports are published").help("write less")
    };
    let warned = diagnosis(|facts| {
        file(facts).problems = vec![problem(Severity::Warning, "range-is-slow")];
    });
    let [found] = &warned.findings[..] else { panic!("{:?}", warned.findings) };
    assert_eq!((found.severity, found.finding.name), (Severity::Warning, "range-is-slow"));
    assert_eq!(found.finding.saw, "topo.yaml:9:3: 300 ports are published");
    let invalid = diagnosis(|facts| {
        file(facts).problems = vec![problem(Severity::Error, "x"), problem(Severity::Error, "y")];
        file(facts).topology = None;
    });
    let [found] = &invalid.findings[..] else { panic!("{:?}", invalid.findings) };
    assert_eq!((found.severity, found.finding.name), (Severity::Error, "invalid-file"));
    assert_eq!(found.finding.saw, "2 errors, the first: topo.yaml:9:3: 300 ports are published");
}

#[test]
fn a_service_that_asks_for_an_address_needs_somebody_who_gives_it() {
    let lacks = |facts: &mut Facts| {
        file(facts).topology.as_mut().expect("a topology").metallb = None;
        balancing(facts).is_lacking = true;
    };
    assert_eq!(found(lacks), ["no-load-balancer"]);
    let none_asks = |facts: &mut Facts| {
        lacks(facts);
        balancing(facts).asking.clear();
    };
    assert_eq!(found(none_asks), [""; 0]);
    let of_kind = |facts: &mut Facts| {
        lacks(facts);
        snapshot(facts).containers.push(container("cloud-provider-kind", &[]));
    };
    assert_eq!(found(of_kind), [""; 0]);
}

#[test]
fn cloud_provider_kind_is_found_as_a_container_and_as_a_program_and_by_what_it_left() {
    let envoy = || container("kindccm-ABC", &[("io.x-k8s.cloud-provider-kind.cluster", "dev")]);
    let as_container = diagnosis(|facts| {
        let image = "registry.k8s.io/cloud-provider-kind/cloud-controller-manager:v0.10.0";
        let program = Container { image: image.to_owned(), ..container("cpk", &[]) };
        snapshot(facts).containers.extend([program, envoy()]);
    });
    let [found_first] = &as_container.findings[..] else { panic!("{:?}", as_container.findings) };
    assert_eq!(found_first.finding.name, "two-load-balancers");
    assert_eq!(found_first.finding.fix, "`docker stop cpk`, then `docker rm -f kindccm-ABC`");
    let as_program = |facts: &mut Facts| {
        let command = "/home/me/go/bin/cloud-provider-kind --gateway-channel standard".to_owned();
        facts.machine.processes.as_mut().expect("they are listed").push((99, command));
    };
    assert_eq!(found(as_program), ["two-load-balancers"]);
    let left = |facts: &mut Facts| snapshot(facts).containers.push(envoy());
    assert_eq!(found(left), ["kindccm-in-the-way"]);
    let of_another = |facts: &mut Facts| {
        let labels = [("io.x-k8s.cloud-provider-kind.cluster", "other")];
        let envoy = Container { addresses: [].into(), ..container("kindccm-DEF", &labels) };
        snapshot(facts).containers.push(envoy);
    };
    assert_eq!(found(of_another), [""; 0]);
}

#[test]
fn control_planes_without_fixed_addresses_are_found_where_there_are_several() {
    let moving = |name: &str| {
        let addresses = [("topo-dev".to_owned(), Address::default())];
        Container { addresses: addresses.into(), ..plane(name) }
    };
    let several = |facts: &mut Facts| {
        snapshot(facts)
            .containers
            .extend([moving("dev-control-plane2"), moving("dev-control-plane3")]);
    };
    assert_eq!(found(several), ["addresses-moved"]);
    let one = |facts: &mut Facts| {
        without_nodes(facts);
        snapshot(facts).containers.push(moving("dev-control-plane"));
    };
    assert_eq!(found(one), [""; 0]);
}

#[test]
fn what_is_live_is_told_once() {
    assert_eq!(found(|facts| live(facts).resolves = Some(false)), ["embedded-dns-lost"]);
    assert_eq!(found(|facts| live(facts).resolves = None), [""; 0]);
    let silent = || Finding::new("api-silent", "the API server does not answer", "why", "fix");
    let twice = |facts: &mut Facts| {
        live(facts).traces = Ok(vec![trace(Some(silent())), trace(Some(silent()))]);
    };
    assert_eq!(found(twice), ["api-silent"]);
    let unexplained = diagnosis(|facts| {
        let finding = Finding::new("unexplained", "a connection fails", "why", "fix");
        live(facts).traces = Ok(vec![trace(Some(finding))]);
    });
    let fix = "`topo trace 127.0.0.1:10001/tcp` follows it hop by hop";
    assert_eq!(unexplained.findings[0].finding.fix, fix);
    let pending = diagnosis(|facts| {
        let finding = Finding::new("no-address", "the Service has no address", "why", "fix");
        live(facts).traces = Ok(vec![trace(Some(finding))]);
    });
    let saw = "the Service `default/web:80` has no address";
    assert_eq!(pending.findings[0].finding.saw, saw);
    let late = diagnosis(|facts| live(facts).traces = Err("no answer in time".to_owned()));
    let check = late.checks.iter().find(|it| it.check == "port").expect("it is listed");
    assert_eq!((late.findings.len(), check.state), (0, State::Unexamined));
}

#[test]
fn shares_are_told_by_what_their_server_says() {
    let share = |state| Health {
        name: "docs".to_owned(),
        via: Via::External,
        source: "nas.local:/srv/docs".to_owned(),
        claim: "default/docs".to_owned(),
        state,
    };
    let with = |state| found(|facts| live(facts).shares = Ok(vec![share(state)]));
    assert_eq!(with(Doing::Well), [""; 0]);
    assert_eq!(with(Doing::Missing), ["share-not-ready"]);
    assert_eq!(with(Doing::Badly("its server is stopped".to_owned())), ["share-not-ready"]);
    assert_eq!(with(Doing::Unknown("no node runs".to_owned())), [""; 0]);
    let finding = nfs::Finding {
        name: "nothing-listens",
        step: "connecting",
        saw: "refused".to_owned(),
        cause: "The server is stopped.",
        fix: "start it".to_owned(),
    };
    assert_eq!(with(Doing::Fails(finding)), ["nothing-listens"]);
}

#[test]
fn of_what_is_not_applied_nothing_is_expected() {
    let diagnosis = diagnosis(|facts| {
        without_nodes(facts);
        facts.live = Err("`dev` is not applied".to_owned());
    });
    assert_eq!(diagnosis.findings, []);
    let last = diagnosis.checks.last().expect("one");
    assert_eq!((last.check, last.state), ("live", State::Unexamined));
}
