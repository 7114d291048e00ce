//! Why there is no way to an engine over ssh, and what to do about it.

use std::io;

use crate::backend::host::ProcessError;

#[derive(Debug, thiserror::Error)]
pub enum SshError {
    #[error("`{login}` is reached by the `ssh` program, and there is none on PATH")]
    NoProgram { login: String },
    #[error("cannot run ssh")]
    Start(#[source] ProcessError),
    #[error("cannot make a place for ssh's sockets")]
    Broken(#[source] io::Error),
    /// The connection did not come about, or not to its end.
    #[error("`{login}` is not reached; ssh says:\n{said}")]
    Refused { login: String, said: String },
    /// There was a login, and what topo asked was not run.
    #[error("`{login}` lets ssh in and runs no commands for it\n{said}")]
    Strange { login: String, said: String },
    #[error("`{login}` may not use the socket of the engine there, `{socket}`")]
    Denied { login: String, socket: String },
    #[error("`{login}` has no engine: there is no socket `{socket}`")]
    Missing { login: String, socket: String },
    #[error("`{login}` has its engine elsewhere again, at `{host}`")]
    Elsewhere { login: String, host: String },
    #[error("`{login}` has its engine at `{socket}`, a path that ssh cannot carry")]
    Unwieldy { login: String, socket: String },
    /// sshd does not say which of its reasons it has.
    #[error("`{login}` is reached, and the socket `{socket}` there is closed to ssh")]
    Closed { login: String, socket: String },
}

impl SshError {
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoProgram { .. } => "install the client of OpenSSH".to_owned(),
            Self::Start(_) => return None,
            Self::Broken(_) => "XDG_RUNTIME_DIR or TMPDIR must name a folder that you may write to".to_owned(),
            Self::Refused { login, said } => after(login, said),
            Self::Strange { login, .. } => {
                format!("`ssh {login} true` must work: the login needs a shell there")
            }
            Self::Denied { .. } => "add that user to the socket's group there (`sudo usermod -aG docker USER`), or name another user in DOCKER_HOST".to_owned(),
            Self::Missing { login, .. } => format!(
                "start the engine there; if its socket is elsewhere, write its path behind the host: `{login}/run/user/1000/docker.sock`"
            ),
            Self::Elsewhere { login, .. } => format!(
                "name that engine itself, or write the path of a socket behind the host: `{login}/var/run/docker.sock`"
            ),
            Self::Unwieldy { .. } => "give the socket a name of letters, digits and `/._-+@,`, by a link for example".to_owned(),
            Self::Closed { .. } => "start the engine there; if it runs, its sshd carries no sockets: that takes `AllowStreamLocalForwarding yes` and no `DisableForwarding` in sshd_config, and a key without `restrict`".to_owned(),
        };
        Some(hint)
    }
}

/// What mends the commonest of what ssh says.
fn after(login: &str, said: &str) -> String {
    let says = |words: &str| said.contains(words);
    if says("has changed") {
        return format!(
            "another machine answers, or it was installed again: if you know why, remove the old key as ssh says, and run `ssh {login}` once in a terminal"
        );
    }
    if says("Host key verification failed") {
        return format!(
            "this machine does not know that one yet: run `ssh {login}` once in a terminal, and compare the fingerprint"
        );
    }
    if says("Permission denied") {
        return format!(
            "`ssh {login}` must get in: load the key (`ssh-add`), name it in ~/.ssh/config, or add it to that user's authorized_keys; without a terminal nothing can be asked for"
        );
    }
    if says("Could not resolve hostname") {
        return "write a name that is known here, by ~/.ssh/config for example, or an address"
            .to_owned();
    }
    format!("`ssh {login}` in a terminal must get in; `ssh -v` says more")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(said: &str) -> String {
        let refused = SshError::Refused { login: "ssh://me@far".to_owned(), said: said.to_owned() };
        refused.hint().expect("there is one")
    }

    #[test]
    fn what_ssh_says_leads_to_what_mends_it() {
        let changed = "Host key for far has changed and you have requested strict checking.\nHost key verification failed.";
        assert!(hint(changed).contains("installed again"));
        assert!(hint("Host key verification failed.").contains("fingerprint"));
        assert!(hint("me@far: Permission denied (publickey).").contains("ssh-add"));
        assert!(hint("Could not resolve hostname far").contains("~/.ssh/config"));
        assert!(hint("Connection refused").contains("`ssh ssh://me@far`"));
    }
}
