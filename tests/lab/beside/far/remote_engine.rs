//! topologies/remote-engine.yaml: a cluster on another machine, used as if it were here.

use crate::beside::far::{self, OverSsh};
use crate::lab::Lab;

const FILE: &str = "topologies/remote-engine.yaml";

#[test]
#[ignore = "needs the lab"]
fn remote_engine() {
    let lab = far::over_tls("remote-engine").of(&["far"]);
    let ssh = OverSsh::of(&lab);
    let before = lab.listing();
    folders_of_this_machine_are_refused(&lab);
    a_killed_topo_leaves_no_ssh(&lab, &ssh);
    a_lost_connection_is_told(&lab, &ssh);
    made_over_one_connection(&lab, &ssh);

    // From here on over TLS, and published at that machine's address.
    lab.expect(0, &["apply", "--yes", FILE]);
    answers(&lab, "127.0.0.1");
    answers(&lab, &far::address());
    the_cluster_is_used_from_here(&lab);
    lab.expect(0, &["diff", FILE]);
    a_second_cluster_would_take_another_port(&lab);
    a_tunnel_that_ended_is_drift(&lab);
    the_key_may_do_nothing_else(&lab);
    another_host_key_is_pinned(&lab);

    let keeper = keeper(&lab);
    let (_, logins) = ssh.expect(&lab, 0, &["destroy", "--yes", FILE]);
    assert_eq!(logins, 1);
    assert_eq!(ssh.running(&lab), "");
    lab.is_as_before(&before);
    assert!(has_ended(&lab, keeper), "the tunnel's process {keeper} goes on");
}

fn a_killed_topo_leaves_no_ssh(lab: &Lab, ssh: &OverSsh) {
    ssh.kill_when_connected(lab, &["diff", FILE]);
    Lab::eventually("ssh's end", || match ssh.running(lab) {
        none if none.is_empty() => Ok(()),
        some => Err(some),
    });
}

/// While kind makes the cluster. What it leaves half done the next apply finishes, without asking.
fn a_lost_connection_is_told(lab: &Lab, ssh: &OverSsh) {
    let ran = ssh.cut(lab, &["apply", FILE], || {
        match lab.run("docker", &["ps", "-q", "--filter", "name=far-control-plane"]) {
            none if none.is_empty() => Err("no node is there".to_owned()),
            _ => Ok(()),
        }
    });
    assert_eq!(ran.code, 3);
    let said = "the ssh that carries the engine `ssh://";
    assert!(ran.err.contains(said) && ran.err.contains("has ended"), "{}", ran.err);
}

/// kind and all that topo asks ride on one connection, and what it published on that machine's
/// loopback is reached here: the tunnel goes in by the same login, which is the second one.
fn made_over_one_connection(lab: &Lab, ssh: &OverSsh) {
    let (_, logins) = ssh.expect(lab, 0, &["apply", FILE]);
    assert_eq!(logins, 2, "one for the engine and one for the tunnel");
    answers(lab, "127.0.0.1");
    assert!(lab.get(&format!("http://{}:12100/", far::address())).is_err());
    the_cluster_is_used_from_here(lab);
    for look in ["diff", "status"] {
        let (_, logins) = ssh.expect(lab, 0, &[look, FILE]);
        assert_eq!(logins, 1, "topo {look}");
    }
}

fn answers(lab: &Lab, host: &str) {
    let said =
        Lab::eventually("the pod's web server", || lab.get(&format!("http://{host}:12100/")));
    assert!(said.starts_with("pod=web-"), "{said}");
}

fn the_cluster_is_used_from_here(lab: &Lab) {
    let nodes = lab.run("kubectl", &["--context", "kind-far", "get", "nodes", "-o", "name"]);
    assert_eq!(nodes.trim(), "node/far-control-plane");
    let server = "jsonpath={.clusters[?(@.name==\"kind-far\")].cluster.server}";
    let server = lab.run("kubectl", &["config", "view", "-o", server]);
    assert!(server.starts_with(&format!("https://{}:64", far::address())), "{server}");
    assert_eq!(lab.run("kind", &["get", "clusters"]).trim(), "far");
}

/// The plan of another topology is made only when it is applied, so what stands in the claim is read.
fn a_second_cluster_would_take_another_port(lab: &Lab) {
    let filter = ["volume", "ls", "-q", "--filter", "label=dev.topo.topology=far"];
    let volumes = lab.run("docker", &filter);
    let claim = volumes.lines().find(|name| name.starts_with("topo-far.")).expect("a claim");
    let labels = lab.run("docker", &["volume", "inspect", claim, "--format", "{{json .Labels}}"]);
    assert!(labels.contains("apiServerPort"), "{labels}");
}

fn folders_of_this_machine_are_refused(lab: &Lab) {
    let text = std::fs::read_to_string(FILE).expect("the topology");
    let mounts = "cluster:\n  mounts: [{ hostPath: ., containerPath: /src }]\n";
    let file = "topologies/.remote-engine-mounts.yaml";
    std::fs::write(file, text.replace("cluster:\n", mounts)).expect("written");
    let ran = lab.topo(&["diff", file]);
    std::fs::remove_file(file).expect("removed");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("none of this machine's folders"), "{}", ran.err);
    assert!(ran.err.contains("via: ssh"), "{}", ran.err);
}

fn a_tunnel_that_ended_is_drift(lab: &Lab) {
    lab.run("kill", &["-KILL", &keeper(lab).to_string()]);
    Lab::eventually("the tunnel's end", || match lab.get("http://127.0.0.1:12100/") {
        Ok(_) => Err("it still carries".to_owned()),
        Err(_) => Ok(()),
    });
    let ran = lab.expect(1, &["diff", FILE]);
    let line = ran.out.lines().find(|line| line.contains("tunnel/gateway"));
    assert!(
        line.is_some_and(|line| line.contains("start") && line.contains("drift")),
        "{}",
        ran.out
    );
    let status = lab.expect(1, &["status", FILE]);
    assert!(status.out.contains("not running") || status.out.contains("stopped"), "{}", status.out);
    lab.expect(0, &["apply", FILE]);
    answers(lab, "127.0.0.1");
    lab.expect(0, &["diff", FILE]);
}

/// The tunnel's own key lets nobody in: no shell, no port but the gateway's own, none to listen on.
fn the_key_may_do_nothing_else(lab: &Lab) {
    let own = std::fs::read_to_string(tunnel_file(lab, "ssh_config")).expect("the settings");
    let bare: Vec<&str> = own.lines().filter(|line| !line.contains("LocalForward")).collect();
    let config = lab.own("bare_config");
    std::fs::write(&config, bare.join("\n")).expect("written");
    let config = config.display().to_string();
    let ssh =
        |more: &[&str]| lab.try_run("timeout", &[&["5", "ssh", "-F", &config], more].concat());
    let command = ssh(&["topo-far-gateway", "id"]);
    assert!(!command.out.contains("uid="), "{}", command.out);
    let elsewhere = ssh(&["-W", "10.96.0.1:443", "topo-far-gateway"]);
    assert!(elsewhere.err.contains("administratively prohibited"), "{}", elsewhere.err);
    let listening = ssh(&["-R", "0.0.0.0:2049:127.0.0.1:2049", "topo-far-gateway"]);
    assert!(listening.err.contains("failed for listen port 2049"), "{}", listening.err);
    std::fs::remove_file(config).expect("removed");
}

fn another_host_key_is_pinned(lab: &Lab) {
    let key = "/var/lib/topo/ssh_host_ed25519_key";
    lab.run("docker", &["exec", "far-gw", "sh", "-c", &format!("rm {key} {key}.pub")]);
    lab.run("docker", &["restart", "-t", "1", "far-gw"]);
    let ran = lab.expect(1, &["diff", FILE]);
    assert!(ran.out.contains("hostKey"), "{}", ran.out);
    lab.expect(0, &["apply", FILE]);
    answers(lab, "127.0.0.1");
    lab.expect(0, &["diff", FILE]);
}

fn keeper(lab: &Lab) -> u32 {
    let lock = std::fs::read_to_string(tunnel_file(lab, "lock")).expect("the tunnel's lock");
    lock.split(' ').next().and_then(|pid| pid.parse().ok()).expect("a pid")
}

fn tunnel_file(lab: &Lab, name: &str) -> String {
    let folder = lab.home.path().join(".local/state/topo/far/tunnels/gateway");
    folder.join(name).display().to_string()
}

/// It may stay listed as a zombie, where the machine's first process looks after no orphans.
fn has_ended(lab: &Lab, pid: u32) -> bool {
    let state = lab.try_run("ps", &["-o", "stat=", "-p", &pid.to_string()]).out;
    state.is_empty() || state.starts_with('Z')
}
