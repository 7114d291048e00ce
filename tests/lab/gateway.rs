//! A gateway by itself, without a cluster: what its services lead to, what is known of it when the
//! engine refuses to look inside, and how it is told that it does not work.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::lab::{Lab, Ran};
use crate::refuser;

const FILE: &str = "apiVersion: topo/v1alpha1
kind: Topology
name: gate
network: { subnet: 172.20.192.0/24 }
gateway:
  image:
    base: ${GATEWAY_BASE}
  publish: [12396-12397]
  ssh:
    listen: 12398
    authorizedKeys:
      - ${SSH_PUBLIC_KEY}
  httpProxy: { listen: 12399 }
  ports:
    - { listen: 12396, to: { address: 172.20.192.50, port: 8080 } }
    - { listen: 12397, to: { address: 172.20.192.50, port: 8080 } }
";
const WEB: &str = "172.20.192.50:8080";

struct Gate<'a> {
    lab: &'a Lab,
    path: String,
}

impl<'a> Gate<'a> {
    fn of(lab: &'a Lab) -> Self {
        let gate = Self { lab, path: lab.own("topo.yaml").display().to_string() };
        gate.write(FILE);
        gate
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.path, text).expect("written");
    }

    #[track_caller]
    fn topo(&self, code: i32, arguments: &[&str]) -> Ran {
        self.lab.expect(code, &[arguments, &[self.path.as_str()]].concat())
    }

    fn inside(&self, command: &[&str]) -> Ran {
        self.lab.try_run("docker", &[&["exec", "gate-gw"], command].concat())
    }

    /// How squid answers: to a page, and to a way that shall be opened.
    fn through_squid(&self, place: &str) -> String {
        let ask = |how: &[&str]| {
            let usual =
                ["-s", "-o", "/dev/null", "--max-time", "5", "-x", "http://127.0.0.1:12399"];
            self.lab.try_run("curl", &[&usual[..], how, &[&format!("http://{place}")]].concat()).out
        };
        let opened = ask(&["--proxytunnel", "-w", "%{http_connect}"]);
        format!("{} {opened}", ask(&["-w", "%{http_code}"]))
    }

    /// What answers at a place that the gateway's sshd leads to.
    fn through_sshd(&self, place: &str) -> String {
        let key = self.lab.key().display().to_string();
        let mut ssh = Command::new("timeout")
            .args(["5", "ssh", "-i", &key, "-p", "12398", "-W", place])
            .args(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null", "root@127.0.0.1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ssh runs");
        let mut input = ssh.stdin.take().expect("a pipe");
        input.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("written");
        let said = ssh.wait_with_output().expect("ssh ends").stdout;
        String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned()
    }
}

#[test]
#[ignore = "needs the lab"]
fn a_gateway_leads_into_its_network_and_tells_what_is_known_of_it() {
    let lab = Lab::open("gateway").of(&["gate"]);
    let before = lab.listing();
    let gate = Gate::of(&lab);
    gate.topo(0, &["apply", "--yes"]);
    let echo = std::env::var("ECHO_IMAGE").expect("set by the lab");
    let (network, at) = ("topo-gate", ["--ip", "172.20.192.50"]);
    let web =
        ["run", "-d", "--rm", "--name", "gate-web", "--network", network, at[0], at[1], &echo];
    lab.run("docker", &web);
    Lab::eventually("an answer", || lab.get("http://127.0.0.1:12396/"));

    its_programs_accept_what_they_are_given(&gate);
    it_leads_into_the_network_alone(&gate);
    what_cannot_be_inspected_is_not_said_to_be_unchanged(&gate);
    a_port_leaves_a_gateway_that_stands_still(&gate);
    one_that_is_changed_from_inside_starts_as_it_was_made(&gate);

    lab.run("docker", &["rm", "-f", "gate-web"]);
    one_that_exits_is_quoted(&gate);
    lab.expect(0, &["destroy", "--yes", "--name", "gate"]);
    lab.is_as_before(&before);
}

fn its_programs_accept_what_they_are_given(gate: &Gate) {
    for check in [
        "$(command -v sshd) -t -f /run/topo/sshd_config",
        "squid -k parse -f /run/topo/squid.conf",
        "nft list ruleset | grep -v '^#' | sed -n '/^table ip topo/,/^}/p' | nft -c -f -",
    ] {
        let ran = gate.inside(&["sh", "-c", check]);
        assert_eq!(ran.code, 0, "{check}: {}{}", ran.out, ran.err);
        assert!(!ran.err.contains("WARNING"), "{check}: {}", ran.err);
    }
}

fn it_leads_into_the_network_alone(gate: &Gate) {
    assert_eq!(gate.through_squid(WEB), "200 200");
    assert_eq!(gate.through_squid("gate-web:8080"), "200 200");
    for elsewhere in [
        "127.0.0.1:22",
        "localhost:3128/squid-internal-mgr/info",
        "gate-gw:22",
        "172.20.192.1:22",
        "169.254.169.254",
        "192.0.2.1",
        "[::1]:22",
    ] {
        assert_eq!(gate.through_squid(elsewhere), "403 403", "{elsewhere}");
    }
    assert!(gate.through_sshd(WEB).starts_with("HTTP/1."), "{}", gate.through_sshd(WEB));
    assert!(gate.through_sshd("gate-gw:12396").starts_with("HTTP/1."));
    // The lab's engine listens on its networks' own addresses only where a scenario publishes there.
    assert_eq!(gate.through_sshd("192.0.2.1:80"), "");
    let rules = gate.inside(&["nft", "list", "chain", "ip", "topo", "reach"]).out;
    assert!(rules.contains("@machine drop") && rules.contains("@reachable drop"), "{rules}");
}

fn what_cannot_be_inspected_is_not_said_to_be_unchanged(gate: &Gate) {
    gate.inside(&["nft", "flush", "map", "ip", "topo", "forwards"]);
    let refuser = refuser::on_the_way(gate.lab);
    let without_exec = [("DOCKER_HOST", refuser)];
    let diff = gate.lab.topo_with(&["diff", &gate.path], &without_exec);
    assert_eq!(diff.code, 1, "{}{}", diff.out, diff.err);
    assert_eq!(diff.out.matches("it cannot be inspected").count(), 2, "{}", diff.out);
    assert!(diff.out.contains("exec is refused"), "{}", diff.out);
    let status = gate.lab.topo_with(&["status", &gate.path], &without_exec);
    assert_eq!(status.out.matches("cannot be inspected").count(), 2, "{}", status.out);
    let diff = gate.topo(1, &["diff"]);
    assert!(diff.out.contains("drift"), "{}", diff.out);
    gate.topo(0, &["apply", "--yes"]);
    gate.topo(0, &["diff"]);
    let status = gate.lab.expect(0, &["status", "--name", "gate"]);
    assert!(!status.out.contains("degraded"), "{}", status.out);
}

fn a_port_leaves_a_gateway_that_stands_still(gate: &Gate) {
    let second = "    - { listen: 12397, to: { address: 172.20.192.50, port: 8080 } }\n";
    assert!(FILE.contains(second));
    gate.lab.run("docker", &["stop", "-t", "2", "gate-gw"]);
    gate.write(&FILE.replace(second, ""));
    gate.topo(0, &["apply", "--yes", "--target", "port/127.0.0.1:12397/tcp"]);
    gate.topo(0, &["diff"]);
    assert!(gate.lab.get("http://127.0.0.1:12397/").is_err());
    Lab::eventually("an answer", || gate.lab.get("http://127.0.0.1:12396/"));
}

/// Root inside can write to the volume: nothing of it is run, and what is no forward is left out.
fn one_that_is_changed_from_inside_starts_as_it_was_made(gate: &Gate) {
    let change = "cd /var/lib/topo; echo 'touch /tmp/run' | tee entrypoint health load >/dev/null; \
        echo 'tcp 1 }; add table ip mine; # 2 plain' >>forwards; echo 'tcp $(touch /tmp/run) 1 1 plain' >>forwards";
    gate.inside(&["sh", "-c", change]);
    gate.lab.run("docker", &["restart", "-t", "2", "gate-gw"]);
    Lab::eventually("an answer", || gate.lab.get("http://127.0.0.1:12396/"));
    let seen = gate.inside(&["sh", "-c", "ls /tmp; nft list tables"]);
    assert!(!seen.out.contains("run") && !seen.out.contains("mine"), "{}", seen.out);
    gate.topo(0, &["diff"]);
}

fn one_that_exits_is_quoted(gate: &Gate) {
    let base = "image:\n    base: ${GATEWAY_BASE}";
    assert!(FILE.contains(base));
    gate.write(&FILE.replace(base, "image: ${GATEWAY_BASE}"));
    let ran = gate.topo(3, &["apply", "--yes"]);
    assert!(ran.err.contains("`gate-gw` does not stay up"), "{}", ran.err);
    assert!(ran.err.contains("the image lacks: nft sshd squid"), "{}", ran.err);
    assert!(!ran.err.contains("exec session"), "{}", ran.err);
}
