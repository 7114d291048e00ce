//! The other machine: how ssh gets there, and which socket its engine has.

use super::SshError;
use crate::backend::docker::endpoint::USUAL_SOCKETS;

/// What an `ssh://` address says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Far {
    /// As `ssh` takes it: `ssh://me@far:2222`.
    pub login: String,
    /// The engine's socket there, where the address names one.
    pub socket: Option<String>,
}

/// What the other side found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Socket(String),
    /// There is one that this user may not use.
    Denied(String),
    Missing(String),
    /// The `docker` program there speaks to an engine that is elsewhere again.
    Elsewhere(String),
}

/// What an answer begins with, since shells may have said something before.
const MARK: &str = "topo:";

/// Answers for the sockets in `$@`: the first that can be used, else what is in the way.
const LOOK: &str = r#"for s; do [ -S "$s" ] && [ -w "$s" ] && echo "topo: socket $s" && exec cat >/dev/null; done; for s; do [ -S "$s" ] && echo "topo: denied $s" && exit; done; echo "topo: missing $1""#;

impl Far {
    /// Of what stands behind `ssh://`, or why it cannot be meant. It becomes words of command lines.
    pub fn read(address: &str) -> Result<Self, &'static str> {
        let (authority, path) = match address.find('/') {
            Some(at) => address.split_at(at),
            None => (address, ""),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-:@[]%".contains(c);
        if authority.starts_with('-') || !authority.chars().all(plain) {
            return Err("its user or host has signs that neither has");
        }
        if authority.split_once('@').is_some_and(|(user, _)| user.contains(':')) {
            return Err("ssh takes no password from there, but a key");
        }
        let socket = Some(path.trim_end_matches('/')).filter(|path| !path.is_empty());
        if socket.is_some_and(|path| !is_plain_path(path)) {
            return Err("the path has other signs than letters, digits and `/._-+@,`");
        }
        let login = format!("ssh://{authority}");
        Ok(Self { login, socket: socket.map(str::to_owned) })
    }

    /// One line that every shell takes for the same: no quotes inside of the single ones, no
    /// backslash, nothing that a C shell would replace. When the socket is told, it goes on until
    /// its input ends.
    pub(super) fn question(&self) -> String {
        let sockets = match &self.socket {
            Some(named) => format!("set -- {named};"),
            None => usual(),
        };
        format!("sh -c '{sockets} {LOOK}'")
    }
}

/// Where the `docker` program there has its engine, if that is a choice of the user's; else the
/// usual places.
fn usual() -> String {
    let mut places = String::new();
    for socket in USUAL_SOCKETS {
        places = format!("{places} \"{socket}\"");
    }
    format!(
        r#": "${{XDG_RUNTIME_DIR:=/run/user/$(id -u)}}"; d=$(docker context inspect -f "{{{{.Endpoints.docker.Host}}}}" 2>/dev/null); case "$d" in ""|unix:///var/run/docker.sock) set --{places};; unix://*) set -- "${{d#unix://}}";; *) echo "topo: elsewhere $d"; exit;; esac;"#
    )
}

impl Answer {
    pub(super) fn read(line: &str) -> Option<Self> {
        let (kind, what) = line.trim().strip_prefix(MARK)?.trim_start().split_once(' ')?;
        let what = what.to_owned();
        match kind {
            "socket" => Some(Self::Socket(what)),
            "denied" => Some(Self::Denied(what)),
            "missing" => Some(Self::Missing(what)),
            "elsewhere" => Some(Self::Elsewhere(what)),
            _ => None,
        }
    }

    /// The socket that ssh is to bring here.
    pub(super) fn socket(self, far: &Far) -> Result<String, SshError> {
        let login = far.login.clone();
        match self {
            Self::Socket(socket) if is_plain_path(&socket) => Ok(socket),
            Self::Socket(socket) => Err(SshError::Unwieldy { login, socket }),
            Self::Denied(socket) => Err(SshError::Denied { login, socket }),
            Self::Missing(socket) => Err(SshError::Missing { login, socket }),
            Self::Elsewhere(host) => Err(SshError::Elsewhere { login, host }),
        }
    }
}

/// Nothing in it means anything to a shell or to `ssh -L`.
pub fn is_plain_path(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@,".contains(c);
    path.starts_with('/') && path.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use super::*;

    fn far(socket: Option<&Path>) -> Far {
        let socket = socket.map(|path| path.display().to_string());
        Far { login: "ssh://me@far".to_owned(), socket }
    }

    /// Asks as sshd does: the login shell is given the line, here with this folder as home, as place
    /// for sockets and as place of the one program `docker`, whose answer is given.
    fn ask(shell: &str, far: &Far, home: &Path, docker: Option<&str>) -> Option<Answer> {
        if let Some(host) = docker {
            use std::os::unix::fs::PermissionsExt;
            let program = home.join("docker");
            std::fs::write(&program, format!("#!/bin/sh\necho {host}\n")).expect("written");
            let executable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&program, executable).expect("is made executable");
        }
        let output = Command::new(shell)
            .args(["-c", &far.question()])
            .env_clear()
            .env("HOME", home)
            .env("XDG_RUNTIME_DIR", home)
            .env("PATH", format!("{}:/usr/bin:/bin", home.display()))
            .stdin(Stdio::null())
            .output()
            .expect("the shell runs");
        String::from_utf8(output.stdout).expect("text").lines().find_map(Answer::read)
    }

    #[test]
    fn an_address_is_a_login_and_maybe_a_socket() {
        let read = |address| Far::read(address).map(|far| (far.login, far.socket));
        let login = "ssh://me@far:2222".to_owned();
        assert_eq!(read("me@far:2222/"), Ok((login.clone(), None)));
        let socket = Some("/run/user/1000/docker.sock".to_owned());
        assert_eq!(read("me@far:2222/run/user/1000/docker.sock"), Ok((login, socket)));
    }

    #[test]
    fn the_socket_that_the_address_names_is_the_only_one_asked_for() {
        let home = tempfile::tempdir().expect("a folder");
        let socket = home.path().join("engine.sock");
        let missing = socket.display().to_string();
        let answer = ask("sh", &far(Some(&socket)), home.path(), Some("unix:///elsewhere"));
        assert_eq!(answer, Some(Answer::Missing(missing.clone())));
        let _listener = UnixListener::bind(&socket).expect("listens");
        let answer = ask("sh", &far(Some(&socket)), home.path(), Some("unix:///elsewhere"));
        assert_eq!(answer, Some(Answer::Socket(missing)));
    }

    #[test]
    fn otherwise_it_is_the_one_that_docker_there_uses() {
        let home = tempfile::tempdir().expect("a folder");
        let socket = home.path().join("rootless.sock");
        let _listener = UnixListener::bind(&socket).expect("listens");
        for shell in ["sh", "bash"] {
            let host = format!("unix://{}", socket.display());
            let answer = ask(shell, &far(None), home.path(), Some(&host));
            assert_eq!(answer, Some(Answer::Socket(socket.display().to_string())), "{shell}");
        }
        let answer = ask("sh", &far(None), home.path(), Some("tcp://192.0.2.7:2376"));
        assert_eq!(answer, Some(Answer::Elsewhere("tcp://192.0.2.7:2376".to_owned())));
    }

    #[test]
    fn an_answer_is_told_from_what_shells_say() {
        assert_eq!(Answer::read("Welcome to far"), None);
        assert_eq!(Answer::read("topo: what"), None);
        let socket = Answer::Socket("/var/run/docker.sock".to_owned());
        assert_eq!(Answer::read("topo: socket /var/run/docker.sock\r"), Some(socket));
    }

    #[test]
    fn a_path_that_ssh_would_read_otherwise_is_refused() {
        for path in ["/a:b", "/a b", "a/b", "~/x", "/%h", "/$HOME/x", "/a'b"] {
            let refused = Answer::Socket(path.to_owned()).socket(&far(None));
            assert!(matches!(refused, Err(SshError::Unwieldy { .. })), "{path}");
        }
    }
}
