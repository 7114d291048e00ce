//! A tunnel's folder: what its process needs, and what it says.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::report::{Report, Standing};
use super::{TunnelError, guard};
use crate::backend::docker::Endpoint;
use crate::backend::host::{Program, StateFolder, private_folder, remove_folder, write_atomically};

const FOLDER: &str = "tunnels";
const FORMAT: u32 = 1;

/// One tunnel of a topology.
#[derive(Debug, Clone)]
pub struct Tunnel {
    pub topology: String,
    pub name: String,
    path: PathBuf,
}

/// What a tunnel was made as.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    format: u32,
    /// Where its gateway is, for its process to see that it is gone for good.
    pub engine: Engine,
    /// What was applied, for whoever applies it again.
    pub record: serde_json::Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    pub host: String,
    pub certificates: Option<PathBuf>,
}

impl Spec {
    pub fn new(endpoint: &Endpoint, record: serde_json::Value) -> Self {
        let engine =
            Engine { host: endpoint.host.clone(), certificates: endpoint.certificates.clone() };
        Self { format: FORMAT, engine, record }
    }
}

impl Tunnel {
    pub fn of(state: &StateFolder, name: &str) -> Self {
        Self {
            topology: state.topology().to_owned(),
            name: name.to_owned(),
            path: state.file(FOLDER).join(name),
        }
    }

    /// All that this user has of a topology.
    pub fn all(state: &StateFolder) -> Vec<Self> {
        let entries = fs::read_dir(state.file(FOLDER)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        let tunnels = names.iter().map(|name| Self::of(state, name));
        tunnels.filter(|tunnel| tunnel.spec_file().exists()).collect()
    }

    /// Under which `ssh` is given it: a name that no configuration of the user's can mean.
    pub fn host(&self) -> String {
        format!("topo-{}-{}", self.topology, self.name)
    }

    pub fn config(&self) -> PathBuf {
        self.path.join("ssh_config")
    }

    pub fn known_hosts(&self) -> PathBuf {
        self.path.join("known_hosts")
    }

    pub fn key(&self) -> PathBuf {
        self.path.join("key")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Which process is the ssh that carries it now.
    pub(super) fn child_file(&self) -> PathBuf {
        self.path.join("ssh")
    }

    fn spec_file(&self) -> PathBuf {
        self.path.join("tunnel.json")
    }

    fn report_file(&self) -> PathBuf {
        self.path.join("status.json")
    }

    pub fn spec(&self) -> Result<Option<Spec>, TunnelError> {
        let path = self.spec_file();
        let unreadable = |why: String| TunnelError::Unreadable { path: path.clone(), why };
        let Some(text) = read(&path)? else { return Ok(None) };
        let spec: Spec =
            serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
        if spec.format > FORMAT {
            return Err(unreadable(format!("a newer topo wrote it, in format {}", spec.format)));
        }
        Ok(Some(spec))
    }

    /// The public key, from a pair that is made when there is none.
    pub async fn ensure_key(&self) -> Result<String, TunnelError> {
        self.prepare()?;
        if let Some(public) = self.public_key()? {
            return Ok(public);
        }
        let new = tempfile::tempdir_in(&self.path).map_err(|source| self.broken(source))?;
        let pair = new.path().join("key");
        let generator = Program::new("ssh-keygen").arg("-q").arg("-t").arg("ed25519");
        let generator = generator.arg("-N").arg("").arg("-C").arg(self.host()).arg("-f").arg(&pair);
        generator.run(|_| {}).await.map_err(TunnelError::Key)?;
        // The public half comes last: where it is, the other is too.
        for (new, own) in
            [(pair.clone(), self.key()), (public_half(&pair), public_half(&self.key()))]
        {
            fs::rename(new, own).map_err(|source| self.broken(source))?;
        }
        self.public_key()?.ok_or_else(|| self.broken(io::Error::other("ssh-keygen wrote no key")))
    }

    /// Type and key, without the comment.
    pub fn public_key(&self) -> Result<Option<String>, TunnelError> {
        let Some(text) = read(&public_half(&self.key()))? else { return Ok(None) };
        let text = String::from_utf8_lossy(&text);
        let words: Vec<&str> = text.split_whitespace().take(2).collect();
        Ok((words.len() == 2).then(|| words.join(" ")))
    }

    /// The host key that the gateway must have.
    pub fn pinned_host_key(&self) -> Option<String> {
        let text = fs::read_to_string(self.known_hosts()).ok()?;
        text.trim().strip_prefix(&self.host()).map(|key| key.trim().to_owned())
    }

    pub fn config_text(&self) -> Option<String> {
        fs::read_to_string(self.config()).ok()
    }

    /// Everything that the process reads. The spec comes last: where it is, the rest is too.
    pub fn write(&self, spec: &Spec, config: &str, host_key: &str) -> Result<(), TunnelError> {
        self.prepare()?;
        let known = format!("{} {host_key}\n", self.host());
        let spec = serde_json::to_vec_pretty(spec)
            .map_err(|error| self.broken(io::Error::other(error)))?;
        for (path, content) in [
            (self.config(), config.as_bytes()),
            (self.known_hosts(), known.as_bytes()),
            (self.spec_file(), &spec),
        ] {
            write_atomically(&path, content, 0o600).map_err(|source| self.broken(source))?;
        }
        Ok(())
    }

    pub fn report(&self, report: &Report) -> Result<(), TunnelError> {
        let text =
            serde_json::to_vec(report).map_err(|error| self.broken(io::Error::other(error)))?;
        write_atomically(&self.report_file(), &text, 0o600).map_err(|source| self.broken(source))
    }

    /// What an earlier process said is not what the next one would.
    pub(super) fn forget_report(&self) {
        let _ = fs::remove_file(self.report_file());
    }

    pub fn standing(&self) -> Standing {
        if !guard::is_held(&self.lock()) {
            return Standing::Stopped;
        }
        let text = fs::read(self.report_file()).unwrap_or_default();
        match serde_json::from_slice::<Report>(&text) {
            Ok(report) if report.up => Standing::Up(report),
            Ok(report) => Standing::Degraded(report),
            Err(_) => Standing::Degraded(Report::first(SystemTime::now())),
        }
    }

    /// Removes the folder, and the one of all tunnels if that was the last.
    pub fn remove(&self) -> Result<(), TunnelError> {
        remove_folder(&self.path).map_err(|source| self.broken(source))
    }

    pub(super) fn broken(&self, source: io::Error) -> TunnelError {
        TunnelError::File { path: self.path.clone(), source }
    }

    fn prepare(&self) -> Result<(), TunnelError> {
        private_folder(&self.path).map_err(|source| self.broken(source))
    }
}

fn public_half(key: &Path) -> PathBuf {
    key.with_extension("pub")
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, TunnelError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(TunnelError::File { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    pub fn tunnel(home: &Path) -> Tunnel {
        let home = home.display().to_string();
        let state = StateFolder::of("dev", &|name| (name == "HOME").then(|| home.clone()));
        Tunnel::of(&state.expect("a home"), "docs")
    }

    pub fn spec() -> Spec {
        let endpoint = Endpoint {
            host: "tcp://192.0.2.7:2376".to_owned(),
            certificates: None,
            named_by: String::new(),
        };
        Spec::new(&endpoint, serde_json::json!({ "format": 1 }))
    }

    #[test]
    fn what_is_written_is_read_again_and_goes_without_a_trace() {
        let home = tempfile::tempdir().expect("a folder");
        let tunnel = tunnel(home.path());
        assert_eq!(tunnel.spec().expect("nothing there"), None);
        tunnel.write(&spec(), "Host x\n", "ssh-ed25519 AAAA").expect("written");
        assert_eq!(tunnel.spec().expect("readable"), Some(spec()));
        assert_eq!(tunnel.pinned_host_key().as_deref(), Some("ssh-ed25519 AAAA"));
        assert_eq!(tunnel.standing(), Standing::Stopped);
        tunnel.remove().expect("removed");
        assert!(!home.path().join(".local/state/topo/dev/tunnels").exists());
    }

    #[test]
    fn a_spec_of_a_newer_topo_is_told_and_not_guessed() {
        let home = tempfile::tempdir().expect("a folder");
        let tunnel = tunnel(home.path());
        let newer = Spec { format: FORMAT + 1, ..spec() };
        tunnel.write(&newer, "", "ssh-ed25519 AAAA").expect("written");
        let error = tunnel.spec().expect_err("is newer").to_string();
        assert!(error.contains("newer topo"), "{error}");
    }

    #[tokio::test]
    async fn a_key_is_made_once_for_the_user_alone() {
        let home = tempfile::tempdir().expect("a folder");
        let tunnel = tunnel(home.path());
        let key = tunnel.ensure_key().await.expect("made");
        assert!(key.starts_with("ssh-ed25519 AAAA"), "{key}");
        assert_eq!(tunnel.ensure_key().await.expect("there"), key);
        let mode = fs::metadata(tunnel.key()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
