//! The programs that read what topo renders: those of a gateway and of an NFS server in a container
//! that has them all, ssh and kubectl beside topo.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

use crate::engine;
use crate::files::base;
use crate::lane::Lane;

const IMAGE: &str = "topo-trust-readers:1";
const PROGRAMS: &str =
    "nftables nginx-light libnginx-mod-stream squid openssh-server nfs-kernel-server";

pub const ONE_KEY: &str = "one key";

/// A container that has them, as long as this is kept.
pub struct Readers {
    /// All lanes have the same files in it, so one asks after another.
    container: Mutex<String>,
}

impl Readers {
    pub fn begin() -> Self {
        let folder = tempfile::TempDir::new().expect("a folder");
        let install = format!(
            "RUN apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends {PROGRAMS} >/dev/null"
        );
        let text = format!("FROM {}\n{install}\n", base());
        std::fs::write(folder.path().join("Dockerfile"), text).expect("written");
        engine::docker(&["build", "-q", "-t", IMAGE, &folder.path().display().to_string()]);
        let run = ["run", "-d", "--rm", "--cap-add", "NET_ADMIN", "--entrypoint", "sleep"];
        let container = engine::docker(&[&run[..], &[IMAGE, "infinity"]].concat());
        Self { container: Mutex::new(container) }
    }

    /// Standard output of a script in the container, which must succeed.
    fn ask(&self, script: &str, argument: &str, input: &str) -> Result<String, String> {
        let container = self.container.lock().expect("none panics");
        let mut docker = Command::new("docker");
        docker.args(["exec", "-i", &container, "sh", "-c", script, "sh", argument]);
        said(docker, input)
    }

    /// squid's settings, with every word that is the name, or the network, replaced by one word.
    pub fn gateway(
        &self,
        rendered: &str,
        name: Option<&str>,
        allowed: &str,
    ) -> Result<String, String> {
        let usual = rendered.lines().find_map(|line| line.strip_prefix("visible_hostname "));
        let name = name.or(usual).unwrap_or_default();
        let allowed = if allowed == "0.0.0.0/0" { "ipv4" } else { allowed };
        let word = |word: &str| match word {
            word if word == name => "NAME".to_owned(),
            word if word == allowed => "ALLOWED".to_owned(),
            word => word.to_owned(),
        };
        let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
        let read = self.ask(include_str!("gateway.sh"), name, rendered)?;
        Ok(read.lines().map(line).collect::<Vec<_>>().join("\n"))
    }

    /// The folder of the one export that there is.
    pub fn exported(&self, rendered: &str, folder: &Path) -> Result<String, String> {
        let folder = folder.display().to_string();
        let kept = self.ask(include_str!("exports.sh"), &folder, rendered)?;
        let mut folders: Vec<String> =
            kept.lines().filter_map(|line| Some(unescaped(line.split_once('\t')?.0))).collect();
        folders.dedup();
        if folders.len() == 1 {
            Ok(folders.remove(0))
        } else {
            Err(format!("{kept} of {rendered}"))
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        if let Ok(container) = self.container.get_mut() {
            engine::docker(&["rm", "-f", container]);
        }
    }
}

fn said(mut program: Command, input: &str) -> Result<String, String> {
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = program.spawn().expect("it runs");
    let mut to = running.stdin.take().expect("is piped");
    to.write_all(input.as_bytes()).expect("is read");
    drop(to);
    let ended = running.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if ended.status.success() {
        return Ok(text(&ended.stdout));
    }
    Err(format!("{} refuses:\n{}{input}", text(&ended.stdout), text(&ended.stderr)))
}

pub fn key(line: &str) -> Result<String, String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), format!("{line}\n")).expect("written");
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-l", "-f"]).arg(file.path());
    let listed = said(keygen, "")?;
    if listed.lines().count() == 1 { Ok(ONE_KEY.to_owned()) } else { Ok(listed) }
}

/// As exportfs writes it: awkward bytes in octal.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\');
        let code = octal.and_then(|digits| str::from_utf8(digits).ok());
        if let Some(code) = code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(code);
            rest = &after[3..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A setting of the tunnel's ssh, as ssh understands it.
pub fn ssh(lane: &Lane, rendered: &str, setting: &str) -> Result<String, String> {
    let file = lane.own("ssh_config");
    std::fs::write(&file, rendered).expect("written");
    let mut ssh = Command::new("ssh");
    ssh.arg("-G").arg("-F").arg(&file).arg(format!("topo-{}-docs", lane.name));
    let settings = said(ssh, "")?;
    let values: Vec<&str> =
        settings.lines().filter_map(|line| line.strip_prefix(setting)?.strip_prefix(' ')).collect();
    match values[..] {
        [value] => Ok(value.replace("%%", "%")),
        _ => Err(format!("{} times {setting} in\n{rendered}", values.len())),
    }
}

/// The host that the shell hands to the ssh that goes ahead.
pub fn jump(lane: &Lane, rendered: &str) -> Result<String, String> {
    let command = ssh(lane, rendered, "proxycommand")?;
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("ssh() {{ shift $(($# - 1)); printf %s \"$1\"; }}\n{command}"));
    said(shell, "")
}

/// A text of an object, as kubectl reads it.
pub fn object(
    rendered: &str,
    is_meant: impl Fn(&Value) -> bool,
    path: &str,
) -> Result<String, String> {
    let mut kubectl = Command::new("kubectl");
    kubectl.args(["label", "--local", "--filename", "-", "--output", "json", "read=yes"]);
    let read = said(kubectl, rendered)?;
    let objects = serde_json::Deserializer::from_str(&read).into_iter::<Value>();
    let mut objects = objects.filter_map(Result::ok);
    let object = objects.find(is_meant).ok_or("it is not among the objects")?;
    let text = object.pointer(path).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| format!("{path} is not a text in\n{object}"))
}
