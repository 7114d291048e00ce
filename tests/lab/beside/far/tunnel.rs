//! topologies/share-ssh.yaml: the cluster on another machine, the folder and its NFS server here, and
//! nothing but ssh in between, which is broken in every way that ssh breaks.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::beside::far;
use crate::lab::Lab;

const FILE: &str = "topologies/share-ssh.yaml";
const NFS_PORT: &str = "12149";
const MOUNT_PORT: &str = "12148";
const SERVER: &str = "nfst-tunnel";
/// How long the link is down: long enough for either end to have given the connection up.
const LINK_DOWN: Duration = Duration::from_mins(1);
/// Longer than the longest pause between two tries, and the time that a try takes.
const BACK: Duration = Duration::from_secs(45);

#[test]
#[ignore = "needs the lab"]
fn tunnel() {
    let mut lab = far::over_tls("tunnel").of(&["tun"]);
    let server = NfsServer::start();
    lab.set("NFS_PORT", NFS_PORT);
    lab.set("MOUNT_PORT", MOUNT_PORT);
    lab.set("DOCS", server.folder.display().to_string());
    let before = lab.listing();

    lab.expect(0, &["apply", FILE]);
    server.grows("after apply");
    lab.expect(0, &["diff", FILE]);
    assert_eq!(standing(&lab).0, "ready");

    ssh_is_killed(&lab, &server);
    the_gateway_is_restarted(&lab, &server);
    its_keeper_is_killed(&lab, &server);
    the_way_is_blocked(&lab, &server);
    the_link_is_down(&lab, &server);

    server.no_line_is_lost();
    let restarts = "jsonpath={.items[*].status.containerStatuses[0].restartCount}";
    let pods = ["--context", "kind-tun", "get", "pods", "-l", "app=writer", "-o", restarts];
    assert_eq!(lab.run("kubectl", &pods), "0", "it is the first writer that goes on");
    lab.expect(0, &["diff", FILE]);
    its_unit_is_one(&lab);
    through_a_jump_host(&mut lab, &server);
    lab.expect(0, &["destroy", "--yes", "--moved", FILE]);
    std::fs::remove_dir_all(lab.home.path().join(".ssh")).expect("removed");
    lab.is_as_before(&before);
    server.no_line_is_lost();
}

fn ssh_is_killed(lab: &Lab, server: &NfsServer) {
    let config = tunnel_file(lab, "ssh_config");
    let ssh = lab.run("pgrep", &["-f", &format!("ssh -T -F {}", config.display())]);
    let broken = Instant::now();
    lab.run("kill", &["-KILL", ssh.trim()]);
    is_back(lab, "after ssh was killed", broken);
    server.grows("after ssh was killed");
}

fn the_gateway_is_restarted(lab: &Lab, server: &NfsServer) {
    let broken = Instant::now();
    lab.run("docker", &["restart", "-t", "1", "tun-gw"]);
    is_back(lab, "after the gateway's restart", broken);
    server.grows("after the gateway's restart");
    lab.expect(0, &["diff", FILE]);
}

fn its_keeper_is_killed(lab: &Lab, server: &NfsServer) {
    let lock = std::fs::read_to_string(tunnel_file(lab, "lock")).expect("the tunnel's lock");
    let keeper = lock.split(' ').next().expect("a pid").to_owned();
    lab.run("kill", &["-KILL", &keeper]);
    assert_eq!(standing(lab).0, "stopped");
    lab.expect(1, &["diff", FILE]);
    lab.expect(0, &["apply", FILE]);
    server.grows("after its keeper was killed");
    let config = tunnel_file(lab, "ssh_config");
    let left = lab.run("pgrep", &["-fc", &format!("ssh -T -F {}", config.display())]);
    assert_eq!(left.trim(), "1", "the ssh of the killed one has ended");
}

/// The engine answers all along, so that `topo status` can tell what does not.
fn the_way_is_blocked(lab: &Lab, server: &NfsServer) {
    let blocked = Undone::new(&[&["iptables", "OUTPUT", "-d"][..], &[&far::address()]].concat());
    let (state, detail) = Lab::eventually("the status", || match standing(lab) {
        (state, detail) if state == "degraded" && !detail.contains("no answer yet") => {
            Ok((state, detail))
        }
        other => Err(format!("{other:?}")),
    });
    eprintln!("while the way was blocked: {state}: {detail}");
    let status = lab.expect(1, &["status", FILE]);
    let line = status.out.lines().find(|line| line.trim_start().starts_with("docs "));
    assert!(line.is_some_and(|line| line.contains("degraded")), "{}", status.out);
    let json = lab.expect(1, &["-o", "json", "status", FILE]);
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("one document");
    assert_eq!(json["tunnels"][0]["state"], "degraded", "{json}");
    let opened = Instant::now();
    drop(blocked);
    is_back(lab, "after the way was open again", opened);
    server.grows("after the way was open again");
}

fn the_link_is_down(lab: &Lab, server: &NfsServer) {
    let before = server.lines();
    let down = Undone::new(&["ip"]);
    std::thread::sleep(LINK_DOWN);
    let (state, detail) = standing(lab);
    eprintln!("after {} s without a link: {state}: {detail}", LINK_DOWN.as_secs());
    assert_eq!(state, "degraded", "{detail}");
    let mended = Instant::now();
    drop(down);
    is_back(lab, "after the link was back", mended);
    server.grows("after the link was back");
    assert!(server.lines() > before);
}

/// What would be installed is right in the eyes of a systemd: that of a node.
fn its_unit_is_one(lab: &Lab) {
    let unit = lab.expect(0, &["tunnel", "install", "--print", "--name", "tun", "docs"]).out;
    // The program itself is not there.
    let program = env!("CARGO_BIN_EXE_topo");
    assert!(unit.contains(program), "{unit}");
    let unit = unit.replace(program, "/bin/true");
    let file = lab.own("topo-tun-docs.service");
    std::fs::write(&file, unit).expect("written");
    let node = "tun-control-plane";
    lab.run("docker", &["cp", &file.display().to_string(), &format!("{node}:/kind/")]);
    let verify = ["systemd-analyze", "verify", "/kind/topo-tun-docs.service"];
    let ran = lab.try_run("docker", &[&["exec", node], &verify[..]].concat());
    std::fs::remove_file(file).expect("removed");
    assert_eq!((ran.code, ran.out + &ran.err), (0, String::new()));
}

/// A host of the user's own ssh configuration, with the user's own key.
fn through_a_jump_host(lab: &mut Lab, server: &NfsServer) {
    let theirs = std::env::var("LAB_REMOTE_SSH_CONFIG").expect("the lab is up");
    let theirs = std::fs::read_to_string(theirs).expect("the way to the other machine");
    let host = format!("Host {}\n", far::address());
    let own = theirs.replace(&host, &format!("Host bastion\n  HostName {}\n", far::address()));
    assert_ne!(own, theirs);
    let (config, programs) = (lab.home.path().join(".ssh/config"), lab.own("bin"));
    for folder in [&programs, &lab.home.path().join(".ssh")] {
        std::fs::create_dir_all(folder).expect("a folder");
    }
    std::fs::write(&config, own).expect("written");
    // ssh finds a user's configuration by the list of users; here it has to be this home's.
    let ssh = lab.run("sh", &["-c", "command -v ssh"]);
    let wrapper = format!("#!/bin/sh\nexec {} -F '{}' \"$@\"\n", ssh.trim(), config.display());
    std::fs::write(programs.join("ssh"), wrapper).expect("written");
    lab.run("chmod", &["+x", &programs.join("ssh").display().to_string()]);
    let path = std::env::var("PATH").expect("is set");
    lab.set("PATH", format!("{}:{path}", programs.display()));

    let text = std::fs::read_to_string(FILE).expect("the topology");
    let jumps = text.replace("  ssh:\n", "  ssh:\n    jump: bastion\n");
    let file = "topologies/.share-ssh-jump.yaml";
    std::fs::write(file, jumps).expect("written");
    let diff = lab.topo(&["diff", "--moved", file]);
    let applied = lab.topo(&["apply", "--moved", file]);
    let again = lab.topo(&["diff", "--moved", file]);
    std::fs::remove_file(file).expect("removed");
    assert!(diff.out.contains("~ tunnel/docs") && diff.out.contains("1 to update"), "{}", diff.out);
    assert_eq!((applied.code, again.code), (0, 0));
    let jump = lab.run("pgrep", &["-fc", &format!("ssh -F {}.* -- bastion", config.display())]);
    assert_eq!(jump.trim(), "1", "one ssh to the jump host");
    server.grows("through a jump host");
    server.no_line_is_lost();
}

/// As `topo tunnel status` tells it, which asks no engine.
fn standing(lab: &Lab) -> (String, String) {
    let ran = lab.topo(&["-o", "json", "tunnel", "status", "--name", "tun"]);
    let json: serde_json::Value = serde_json::from_str(&ran.out).expect("one document");
    let tunnel = &json["tunnels"][0];
    let text = |key: &str| tunnel[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("detail"))
}

/// Up since a moment that lies after `broken`.
#[track_caller]
fn is_back(lab: &Lab, when: &str, broken: Instant) {
    let seconds = |detail: &str| detail.strip_prefix("up for ")?.strip_suffix(" s")?.parse().ok();
    loop {
        let (state, detail) = standing(lab);
        let up: Option<u64> = seconds(&detail).filter(|_| state == "ready");
        let gone_by = broken.elapsed();
        if up.is_some_and(|up| up <= gone_by.as_secs()) {
            eprintln!("{when} the tunnel is back within {:.1} s", gone_by.as_secs_f64());
            return;
        }
        assert!(gone_by < BACK, "{when}: {state}: {detail}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn tunnel_file(lab: &Lab, name: &str) -> PathBuf {
    lab.home.path().join(".local/state/topo/tun/tunnels/docs").join(name)
}

/// What breaks the way to the other machine until it is dropped, also when a check fails.
struct Undone {
    undo: Vec<String>,
}

impl Undone {
    /// `ip`: the link as a whole; `iptables CHAIN -d ADDRESS`: the gateway's sshd alone.
    fn new(what: &[&str]) -> Self {
        let (make, undo): (Vec<String>, Vec<String>) = if let ["iptables", chain, rest @ ..] = what
        {
            let rule = |way: &str| {
                let port = ["-p", "tcp", "--dport", "12122", "-j", "DROP"];
                let words = [&["iptables", way, chain][..], rest, &port].concat();
                words.into_iter().map(str::to_owned).collect()
            };
            (rule("-I"), rule("-D"))
        } else {
            let link =
                |way: &str| ["ip", "link", "set", "lab-remote", way].map(str::to_owned).to_vec();
            (link("down"), link("up"))
        };
        let undone = Self { undo };
        run(&make);
        undone
    }
}

impl Drop for Undone {
    fn drop(&mut self) {
        run(&self.undo);
    }
}

fn run(words: &[String]) {
    let status = Command::new(&words[0]).args(&words[1..]).status().expect("it runs");
    assert!(status.success(), "{words:?}");
}

/// The lab's own, but for the path: an export of this machine is named as the folder is here.
const CONFIG: &str = r#"
NFS_CORE_PARAM { Protocols = 3, 4; NFS_Port = 2049; MNT_Port = 20048; Enable_NLM = false; Enable_RQUOTA = false; }
NFSV4 { Graceless = true; Only_Numeric_Owners = true; }
EXPORT {
  Export_Id = 1; Path = "FOLDER"; Pseudo = "FOLDER"; Access_Type = RW; Squash = No_Root_Squash;
  SecType = sys; Protocols = 3, 4; FSAL { Name = VFS; }
}
"#;

/// A folder of this machine, and the NFS server that exports it on this machine's loopback.
struct NfsServer {
    folder: PathBuf,
    _root: tempfile::TempDir,
}

impl NfsServer {
    fn start() -> Self {
        let root =
            tempfile::tempdir_in("/var/tmp").expect("a folder of a file system with handles");
        let folder = root.path().join("docs");
        std::fs::create_dir(&folder).expect("made");
        let config = root.path().join("ganesha.conf");
        std::fs::write(&config, CONFIG.replace("FOLDER", &folder.display().to_string()))
            .expect("written");
        let image = std::env::var("LAB_NFS_SERVER_IMAGE").expect("the lab is up");
        let here = |words: &[&str]| {
            let output = Command::new("docker").args(words).output().expect("docker runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        here(&[
            "run",
            "-d",
            "--name",
            SERVER,
            "--cap-add",
            "DAC_READ_SEARCH",
            "--cap-add",
            "SYS_ADMIN",
            "-v",
            &format!("{0}:{0}", folder.display()),
            "-v",
            &format!("{}:/etc/ganesha/ganesha.conf:ro", config.display()),
            "-p",
            &format!("127.0.0.1:{NFS_PORT}:2049"),
            "-p",
            &format!("127.0.0.1:{MOUNT_PORT}:20048"),
            &image,
        ]);
        Self { folder, _root: root }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.folder.join("lines")).unwrap_or_default()
    }

    fn lines(&self) -> usize {
        self.text().lines().count()
    }

    /// The pod goes on writing, into the file that it has had open all the time.
    #[track_caller]
    fn grows(&self, when: &str) {
        let (started, before) = (Instant::now(), self.lines());
        Lab::eventually(&format!("the writer, {when}"), || {
            let now = self.lines();
            if now > before + 1 { Ok(()) } else { Err(format!("{now} lines")) }
        });
        eprintln!("{when} the pod writes within {:.1} s", started.elapsed().as_secs_f64());
    }

    /// Numbered from nought, one a second, by one open file.
    #[track_caller]
    fn no_line_is_lost(&self) {
        let text = self.text();
        // The last may be half-written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let numbers: Vec<usize> = whole
            .lines()
            .map(|line| line.split(' ').next().and_then(|word| word.parse().ok()).expect(line))
            .collect();
        assert!(numbers.iter().copied().eq(0..numbers.len()), "{text}");
        eprintln!("{} lines, none lost", numbers.len());
    }
}

impl Drop for NfsServer {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", SERVER]).output();
    }
}
