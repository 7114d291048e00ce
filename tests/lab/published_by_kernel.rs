//! Ports of the gateway that rules of this machine's kernel publish: what they lead to and what they
//! do not open, how they change, and that nothing of them is left.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use crate::lab::{Lab, Ran};

const FILE: &str = "apiVersion: topo/v1alpha1
kind: Topology
name: nat
network: { name: nat-net }
gateway:
  image:
    base: ${GATEWAY_BASE}
  publishBy: kernel
  publish: [12410-12419, 12410-12411/udp]
  ports:
    - { listen: 12410, to: { address: 172.20.194.50, port: 8080 } }
    - { listen: 12411/udp, to: { address: 172.20.194.1, port: 12411 } }
";
/// Of the network's bridge on this machine.
const HOST: Ipv4Addr = Ipv4Addr::new(172, 20, 194, 1);
const PUBLISHER: &str = "nat-gw-ports";
/// An image with nft, that outlives the gateway's.
const NFT: &str = "nat-nft:1";

struct Machine {
    lab: Lab,
    path: String,
    knob: String,
}

#[test]
#[ignore = "needs the lab"]
fn rules_of_the_kernel_publish_ports_and_leave_nothing() {
    let lab = Lab::open("published_by_kernel").of(&["nat"]);
    let before = lab.listing();
    let subnet = ["--subnet", "172.20.194.0/24", "nat-net"];
    let network = lab.run("docker", &[&["network", "create"], &subnet[..]].concat());
    let knob = format!("/proc/sys/net/ipv4/conf/br-{}/route_localnet", &network[..12]);
    let machine = Machine { path: lab.own("topo.yaml").display().to_string(), knob, lab };
    machine.write(FILE);
    let echo = std::env::var("ECHO_IMAGE").expect("set by the lab");
    let at = ["--network", "nat-net", "--ip", "172.20.194.50", &echo];
    machine.lab.run("docker", &[&["run", "-d", "--name", "nat-web"], &at[..]].concat());
    machine.lab.run("docker", &["run", "-d", "--name", "nat-other", &echo]);

    a_port_that_a_program_has_is_refused(&machine);
    machine.topo(0, &["apply", "--yes"]);
    machine.topo(0, &["diff"]);
    machine.lab.run("docker", &["tag", &machine.inspect("nat-gw", "{{.Config.Image}}"), NFT]);
    tcp_and_udp_come_through(&machine);
    nothing_is_opened_and_what_is_flushed_is_drift(&machine);
    a_range_changes_in_place(&machine);
    it_stands_still_and_comes_back(&machine);
    it_goes_without_its_container(&machine);
    one_that_was_killed_midway_goes_too(&machine);

    machine.lab.run("docker", &["rm", "-f", "nat-web", "nat-other"]);
    machine.lab.run("docker", &["rmi", NFT]);
    machine.lab.run("docker", &["network", "rm", "nat-net"]);
    machine.lab.is_as_before(&before);
}

fn a_port_that_a_program_has_is_refused(machine: &Machine) {
    let _program = TcpListener::bind("127.0.0.1:12412").expect("a free port");
    let said = machine.topo(2, &["apply", "--yes"]);
    let who = format!("(pid {}) listens on 127.0.0.1:12412/tcp", std::process::id());
    assert!(said.contains(&who), "{said}");
    assert!(!machine.lab.run("docker", &["ps", "-a"]).contains("nat-gw"));
}

fn tcp_and_udp_come_through(machine: &Machine) {
    machine.answers();
    let server = UdpSocket::bind((HOST, 12411)).expect("a free port");
    let client = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    client.set_read_timeout(Some(Duration::from_secs(3))).expect("set");
    client.send_to(b"there", "127.0.0.1:12411").expect("sent");
    let mut bytes = [0; 16];
    let (_, from) = server.recv_from(&mut bytes).expect("comes through");
    server.send_to(b"back", from).expect("sent");
    let (length, from) = client.recv_from(&mut bytes).expect("comes back");
    assert_eq!((&bytes[..length], from.to_string()), (&b"back"[..], "127.0.0.1:12411".to_owned()));
    let told = machine.topo(0, &["trace", "12410", "-f"]);
    assert!(told.contains("rules of the kernel publish it"), "{told}");
    let listed = machine.lab.expect(0, &["ls"]).out;
    assert!(listed.contains("12410-12419"), "{listed}");
}

/// Containers send what is for 127.0.0.1 to this machine, whose own loopback it would be.
fn nothing_is_opened_and_what_is_flushed_is_drift(machine: &Machine) {
    let _service = TcpListener::bind("127.0.0.1:12408").expect("a free port");
    let reach = |container: &str| {
        let script = "sysctl -qw net.ipv4.conf.all.route_localnet=1; ip addr flush dev lo
            ip route replace 127.0.0.0/8 via $(ip route show default | cut -d' ' -f3)
            timeout 2 bash -c '</dev/tcp/127.0.0.1/12408'";
        let pid = machine.inspect(container, "{{.State.Pid}}");
        machine.lab.try_run("nsenter", &["-t", &pid, "-n", "bash", "-c", script]).code == 0
    };
    assert_eq!(machine.knob(), "1");
    assert!(!reach("nat-web") && !reach("nat-other"));
    machine.rules("delete chain ip topo-nat guard");
    assert!(reach("nat-web"), "the test does not do what would get through");

    machine.is_mended();
    assert!(!reach("nat-web"));
    machine.rules("delete table ip topo-nat");
    assert!(machine.lab.get("http://127.0.0.1:12410/").is_err());
    machine.is_mended();
    std::fs::write(&machine.knob, "0").expect("written");
    machine.is_mended();
}

fn a_range_changes_in_place(machine: &Machine) {
    let gateway = machine.inspect("nat-gw", "{{.Id}}");
    machine.write(&FILE.replace("12410-12419", "12410-32419"));
    let started = Instant::now();
    machine.topo(0, &["apply", "--yes"]);
    eprintln!("20,000 ports for 10: {:.1} s", started.elapsed().as_secs_f64());
    machine.topo(0, &["diff"]);
    machine.answers();
    assert_eq!(machine.inspect("nat-gw", "{{.Id}}"), gateway);
    machine.write(FILE);
    machine.topo(0, &["apply", "--yes"]);
}

fn it_stands_still_and_comes_back(machine: &Machine) {
    machine.topo(0, &["stop"]);
    machine.leaves_nothing_in_the_kernel();
    machine.topo(0, &["start"]);
    machine.answers();
    machine.lab.run("docker", &["restart", PUBLISHER]);
    machine.answers();
    machine.topo(0, &["diff"]);
}

fn it_goes_without_its_container(machine: &Machine) {
    machine.lab.run("docker", &["rm", "-f", PUBLISHER]);
    assert_eq!(machine.knob(), "1");
    machine.lab.expect(0, &["destroy", "--yes", "--name", "nat"]);
    machine.leaves_nothing_in_the_kernel();
}

fn one_that_was_killed_midway_goes_too(machine: &Machine) {
    let mut topo = machine.lab.begin(&["apply", "--yes", &machine.path], &[]);
    Lab::eventually("its container", || {
        let all = machine.lab.run("docker", &["ps", "-a"]);
        if all.contains(PUBLISHER) { Ok(()) } else { Err(all) }
    });
    topo.kill().expect("killed");
    topo.wait().expect("ended");
    machine.topo(0, &["destroy", "--yes"]);
    machine.leaves_nothing_in_the_kernel();
}

impl Machine {
    fn write(&self, text: &str) {
        std::fs::write(&self.path, text).expect("written");
    }

    #[track_caller]
    fn topo(&self, code: i32, command: &[&str]) -> String {
        let Ran { out, err, .. } =
            self.lab.expect(code, &[command, &[self.path.as_str()]].concat());
        out + &err
    }

    #[track_caller]
    fn answers(&self) {
        Lab::eventually("an answer", || self.lab.get("http://127.0.0.1:12410/"));
    }

    #[track_caller]
    fn is_mended(&self) {
        let said = self.topo(1, &["diff"]);
        assert!(said.contains("~ publisher/nat-gw-ports") && said.contains("drift"), "{said}");
        self.topo(0, &["apply", "--yes"]);
        self.topo(0, &["diff"]);
        self.answers();
    }

    #[track_caller]
    fn leaves_nothing_in_the_kernel(&self) {
        let tables = self.rules("list tables");
        assert!(!tables.contains("topo-nat"), "{tables}");
        assert_eq!(self.knob(), "0");
    }

    /// Somebody else's hands, in this machine's network.
    fn rules(&self, command: &str) -> String {
        let in_host = ["run", "--rm", "--network", "host", "--cap-add", "NET_ADMIN", NFT];
        self.lab.run("docker", &[&in_host[..], &["nft", command]].concat())
    }

    fn knob(&self) -> String {
        std::fs::read_to_string(&self.knob).expect("the bridge").trim().to_owned()
    }

    fn inspect(&self, container: &str, format: &str) -> String {
        let text = self.lab.run("docker", &["inspect", container, "--format", format]);
        text.trim().to_owned()
    }
}
