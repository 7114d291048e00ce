//! Which Docker engine is meant: found once, and handed on to the programs that topo starts.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::ssh::Far;

/// What of the process's surroundings says where the engine is.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    pub docker_host: Option<String>,
    pub docker_context: Option<String>,
    pub docker_config: Option<PathBuf>,
    pub docker_tls_verify: Option<String>,
    pub docker_cert_path: Option<PathBuf>,
    pub runtime_dir: Option<PathBuf>,
    pub home: Option<PathBuf>,
    /// Where programs are looked for.
    pub path: Option<String>,
}

impl Surroundings {
    /// Reads them through `variable`, so that tests need no environment of their own.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        Self {
            docker_host: set("DOCKER_HOST"),
            docker_context: set("DOCKER_CONTEXT"),
            docker_config: set("DOCKER_CONFIG").map(PathBuf::from),
            docker_tls_verify: set("DOCKER_TLS_VERIFY"),
            docker_cert_path: set("DOCKER_CERT_PATH").map(PathBuf::from),
            runtime_dir: set("XDG_RUNTIME_DIR").map(PathBuf::from),
            home: set("HOME").map(PathBuf::from),
            path: set("PATH"),
        }
    }

    pub fn config_dir(&self) -> Option<PathBuf> {
        self.docker_config.clone().or_else(|| Some(self.home.as_ref()?.join(".docker")))
    }
}

/// One place where an engine may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// As `DOCKER_HOST` writes it: `unix:///var/run/docker.sock`.
    pub host: String,
    /// The folder of ca.pem, cert.pem and key.pem, where the engine wants TLS.
    pub certificates: Option<PathBuf>,
    /// What named it: `DOCKER_HOST`, a context, or a usual place.
    pub named_by: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error(
        "`DOCKER_HOST={0}` names no engine: write `unix://PATH`, `tcp://HOST:PORT` or `ssh://USER@HOST`"
    )]
    Scheme(String),
    #[error(
        "`{host}` cannot be used: {why}; write `ssh://USER@HOST`, and a `:PORT` or the path of the engine's socket there where they are unusual"
    )]
    Ssh { host: String, why: &'static str },
    #[error(
        "{named_by} names the Docker context `{name}`, which does not exist: `docker context ls` shows those that do"
    )]
    NoSuchContext { name: String, named_by: String },
    #[error("cannot read {path}: {why}")]
    Unreadable { path: String, why: String },
    #[error(
        "the Docker context `{0}` skips the check of the engine's certificate, which topo does not: add its ca.pem to the context"
    )]
    Unverified(String),
    #[error("`DOCKER_TLS_VERIFY` is set, and there is no `DOCKER_CERT_PATH` nor a home folder")]
    NoCertificates,
}

/// The places to try, in order. What a person named is tried alone; otherwise the usual places are.
pub fn candidates(from: &Surroundings) -> Result<Vec<Endpoint>, EndpointError> {
    if let Some(host) = &from.docker_host {
        return Ok(vec![named_host(host, from)?]);
    }
    if let Some((name, named_by)) = named_context(from)? {
        return Ok(vec![context(&name, &named_by, from)?]);
    }
    Ok(usual_sockets(from)
        .into_iter()
        .map(|path| Endpoint {
            host: format!("unix://{}", path.display()),
            certificates: None,
            named_by: "a usual place".to_owned(),
        })
        .collect())
}

fn named_host(host: &str, from: &Surroundings) -> Result<Endpoint, EndpointError> {
    check_host(host)?;
    let wants_tls = from.docker_tls_verify.is_some() && host.starts_with("tcp://");
    let certificates = if wants_tls {
        let folder = from.docker_cert_path.clone().or_else(|| from.config_dir());
        Some(folder.ok_or(EndpointError::NoCertificates)?)
    } else {
        None
    };
    Ok(Endpoint { host: host.to_owned(), certificates, named_by: "DOCKER_HOST".to_owned() })
}

fn check_host(host: &str) -> Result<(), EndpointError> {
    let known = ["unix://", "tcp://", "http://", "ssh://"].iter().any(|scheme| {
        host.strip_prefix(scheme).is_some_and(|rest| !rest.trim_matches('/').is_empty())
    });
    if !known {
        return Err(EndpointError::Scheme(host.to_owned()));
    }
    match host.strip_prefix("ssh://").map(Far::read) {
        Some(Err(why)) => Err(EndpointError::Ssh { host: host.to_owned(), why }),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// The context in use and what names it; `default` means no context at all.
fn named_context(from: &Surroundings) -> Result<Option<(String, String)>, EndpointError> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Config {
        current_context: String,
    }
    if let Some(name) = &from.docker_context {
        let named_by = "DOCKER_CONTEXT".to_owned();
        return Ok((name != "default").then(|| (name.clone(), named_by)));
    }
    let Some(path) = from.config_dir().map(|folder| folder.join("config.json")) else {
        return Ok(None);
    };
    let Some(config) = read_json::<Config>(&path)? else { return Ok(None) };
    let name = config.current_context;
    let is_named = !name.is_empty() && name != "default";
    Ok(is_named.then(|| (name, path.display().to_string())))
}

fn context(name: &str, named_by: &str, from: &Surroundings) -> Result<Endpoint, EndpointError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Meta {
        endpoints: Endpoints,
    }
    #[derive(Deserialize)]
    struct Endpoints {
        docker: Address,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Address {
        host: String,
        #[serde(default, rename = "SkipTLSVerify")]
        skip_tls_verify: bool,
    }

    let missing =
        || EndpointError::NoSuchContext { name: name.to_owned(), named_by: named_by.to_owned() };
    let contexts = from.config_dir().ok_or_else(missing)?.join("contexts");
    let folder = format!("{:x}", Sha256::digest(name.as_bytes()));
    let meta: Meta =
        read_json(&contexts.join("meta").join(&folder).join("meta.json"))?.ok_or_else(missing)?;
    let Address { host, skip_tls_verify } = meta.endpoints.docker;
    check_host(&host)?;
    if skip_tls_verify {
        return Err(EndpointError::Unverified(name.to_owned()));
    }
    let tls = contexts.join("tls").join(&folder).join("docker");
    Ok(Endpoint {
        host,
        certificates: tls.is_dir().then_some(tls),
        named_by: format!("the Docker context `{name}`"),
    })
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, EndpointError> {
    let unreadable =
        |why: String| EndpointError::Unreadable { path: path.display().to_string(), why };
    match std::fs::read(path) {
        Ok(text) => {
            serde_json::from_slice(&text).map(Some).map_err(|error| unreadable(error.to_string()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// Where engines put their socket, as a shell would write it: Docker's own, rootless, Docker Desktop,
/// `OrbStack`, Colima, Rancher Desktop, and Podman's last, because it behaves like Docker only in part.
pub(super) const USUAL_SOCKETS: [&str; 10] = [
    "/var/run/docker.sock",
    "$XDG_RUNTIME_DIR/docker.sock",
    "$HOME/.docker/run/docker.sock",
    "$HOME/.docker/desktop/docker.sock",
    "$HOME/.orbstack/run/docker.sock",
    "$HOME/.colima/default/docker.sock",
    "$HOME/.config/colima/default/docker.sock",
    "$HOME/.rd/docker.sock",
    "$XDG_RUNTIME_DIR/podman/podman.sock",
    "/run/podman/podman.sock",
];

fn usual_sockets(from: &Surroundings) -> Vec<PathBuf> {
    let here = |socket: &&str| {
        if let Some(rest) = socket.strip_prefix("$HOME/") {
            Some(from.home.as_ref()?.join(rest))
        } else if let Some(rest) = socket.strip_prefix("$XDG_RUNTIME_DIR/") {
            Some(from.runtime_dir.as_ref()?.join(rest))
        } else {
            Some(PathBuf::from(socket))
        }
    };
    USUAL_SOCKETS.iter().filter_map(here).collect()
}

impl Endpoint {
    /// Variables that make the `docker` program, and so kind, talk to the same engine.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![("DOCKER_HOST", self.host.clone())];
        if let Some(folder) = &self.certificates {
            pairs.push(("DOCKER_TLS_VERIFY", "1".to_owned()));
            pairs.push(("DOCKER_CERT_PATH", folder.display().to_string()));
        }
        pairs
    }

    /// Variables that would lead the `docker` program elsewhere, and so must not be inherited.
    pub fn overruled(&self) -> &'static [&'static str] {
        if self.certificates.is_some() {
            &["DOCKER_CONTEXT", "DOCKER_TLS"]
        } else {
            &["DOCKER_CONTEXT", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"]
        }
    }

    /// The other machine's name or address.
    pub fn remote_host(&self) -> Option<&str> {
        let authority = ["tcp://", "http://", "ssh://"]
            .iter()
            .find_map(|scheme| self.host.strip_prefix(scheme))?
            .split('/')
            .next()?;
        let after_user = authority.rsplit_once('@').map_or(authority, |(_, rest)| rest);
        let host = match after_user.strip_prefix('[') {
            Some(v6) => v6.split(']').next()?,
            None => after_user.split(':').next()?,
        };
        let is_here = host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        (!is_here || self.host.starts_with("ssh://")).then_some(host)
    }

    /// The other machine, where the engine is reached over ssh.
    pub(super) fn far(&self) -> Option<Far> {
        self.host.strip_prefix("ssh://").and_then(|address| Far::read(address).ok())
    }

    /// The engine's machine as `ssh` takes it, where the engine is reached over ssh: `ssh://me@far`.
    pub fn ssh_destination(&self) -> Option<String> {
        self.far().map(|far| far.login)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (from {})", self.host, self.named_by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().expect("has a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    fn home_with_context(name: &str, meta: &str) -> (tempfile::TempDir, Surroundings) {
        let home = tempfile::tempdir().expect("a folder");
        let folder = format!("{:x}", Sha256::digest(name.as_bytes()));
        let contexts = home.path().join(".docker/contexts");
        write(&contexts.join("meta").join(&folder).join("meta.json"), meta);
        write(&contexts.join("tls").join(&folder).join("docker/ca.pem"), "");
        let from = Surroundings { home: Some(home.path().to_owned()), ..Surroundings::default() };
        (home, from)
    }

    #[test]
    fn docker_host_wins_over_every_context() {
        let from = Surroundings {
            docker_host: Some("tcp://192.0.2.7:2376".to_owned()),
            docker_context: Some("elsewhere".to_owned()),
            docker_tls_verify: Some("1".to_owned()),
            docker_cert_path: Some("/certs".into()),
            ..Surroundings::default()
        };
        let found = candidates(&from).expect("resolves");
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].environment(),
            [
                ("DOCKER_HOST", "tcp://192.0.2.7:2376".to_owned()),
                ("DOCKER_TLS_VERIFY", "1".to_owned()),
                ("DOCKER_CERT_PATH", "/certs".to_owned()),
            ]
        );
        assert_eq!(found[0].remote_host(), Some("192.0.2.7"));
    }

    #[test]
    fn the_current_context_is_read_with_its_certificates() {
        let meta = r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far.example:2376","SkipTLSVerify":false}}}"#;
        let (home, from) = home_with_context("far", meta);
        write(&home.path().join(".docker/config.json"), r#"{"currentContext":"far"}"#);
        let found = candidates(&from).expect("resolves");
        assert_eq!(found[0].host, "tcp://far.example:2376");
        assert!(found[0].certificates.as_ref().is_some_and(|dir| dir.ends_with("docker")));
        assert_eq!(found[0].named_by, "the Docker context `far`");
    }

    #[test]
    fn docker_context_default_means_the_usual_places() {
        let (home, from) = home_with_context("far", "{}");
        write(&home.path().join(".docker/config.json"), r#"{"currentContext":"far"}"#);
        let from = Surroundings { docker_context: Some("default".to_owned()), ..from };
        let found = candidates(&from).expect("resolves");
        assert_eq!(found[0].host, "unix:///var/run/docker.sock");
        assert!(found.iter().any(|place| place.host.ends_with(".colima/default/docker.sock")));
    }

    #[test]
    fn a_context_that_does_not_exist_is_named() {
        let (_home, from) = home_with_context("far", "{}");
        let from = Surroundings { docker_context: Some("fat".to_owned()), ..from };
        let error = candidates(&from).expect_err("there is none");
        assert!(error.to_string().starts_with("DOCKER_CONTEXT names the Docker context `fat`"));
    }

    #[test]
    fn an_address_that_ssh_would_read_otherwise_is_refused() {
        for host in
            ["ssh://me@$(reboot)", "ssh://me:secret@far", "ssh://-oProxyCommand=x", "ssh://far/a b"]
        {
            let from =
                Surroundings { docker_host: Some(host.to_owned()), ..Surroundings::default() };
            assert!(matches!(candidates(&from), Err(EndpointError::Ssh { .. })), "{host}");
        }
    }

    #[test]
    fn a_host_without_a_scheme_is_refused() {
        for host in ["192.0.2.7:2375", "npipe:////./pipe/docker", "unix://", "ftp://x"] {
            let from =
                Surroundings { docker_host: Some(host.to_owned()), ..Surroundings::default() };
            assert_eq!(candidates(&from), Err(EndpointError::Scheme(host.to_owned())));
        }
    }

    #[test]
    fn only_other_machines_are_remote() {
        let remote = |host: &str| {
            let endpoint =
                Endpoint { host: host.to_owned(), certificates: None, named_by: String::new() };
            endpoint.remote_host().map(str::to_owned)
        };
        assert_eq!(remote("unix:///run/docker.sock"), None);
        assert_eq!(remote("tcp://127.0.0.1:2375"), None);
        assert_eq!(remote("tcp://localhost:2375"), None);
        assert_eq!(remote("tcp://[::1]:2375"), None);
        assert_eq!(remote("tcp://[fd00::7]:2375"), Some("fd00::7".to_owned()));
        assert_eq!(remote("ssh://me@far:22/x"), Some("far".to_owned()));
    }

    #[test]
    fn an_engine_over_ssh_says_how_ssh_gets_there() {
        let destination = |host: &str| {
            let endpoint =
                Endpoint { host: host.to_owned(), certificates: None, named_by: String::new() };
            endpoint.ssh_destination()
        };
        assert_eq!(destination("ssh://me@far:2222/x").as_deref(), Some("ssh://me@far:2222"));
        assert_eq!(destination("tcp://far:2376"), None);
        assert_eq!(destination("ssh://me@$(reboot)"), None);
    }

    #[test]
    fn variables_that_lead_elsewhere_are_not_inherited() {
        let endpoint = Endpoint {
            host: "unix:///run/docker.sock".to_owned(),
            certificates: None,
            named_by: String::new(),
        };
        assert!(endpoint.overruled().contains(&"DOCKER_TLS_VERIFY"));
        assert!(endpoint.overruled().contains(&"DOCKER_CONTEXT"));
    }

    #[test]
    fn empty_variables_count_as_unset() {
        let from = Surroundings::read(|name| (name == "DOCKER_HOST").then(String::new));
        assert_eq!(from.docker_host, None);
    }
}
