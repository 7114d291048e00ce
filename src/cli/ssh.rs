//! `topo ssh`: into the gateway by its own sshd.

use std::path::PathBuf;

use super::args::FileOption;
use super::session::{Purpose, Session, Which};
use super::{load, sites};
use crate::backend::host::{Program, find_program};
use crate::engine::Failure;
use crate::error::Error;
use crate::resources::{self, SshWay};
use crate::topology::gateway::AuthorizedKey;
use crate::topology::{Gateway, Ssh, Topology};
use crate::view::View;

/// Log in to the gateway by ssh, or run a command there
///
/// With the port of `gateway.ssh`, the private keys beside its `authorizedKeys` and the gateway's own
/// host key, so that nothing is asked and nothing is added to your known hosts. Needs `gateway.ssh`;
/// `topo exec gateway` needs none.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: FileOption,
    /// Print the command line instead of running it
    #[arg(long)]
    print: bool,
    /// The command, as ssh takes it; a login shell if left out
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Nothing where the command line was all that was asked for.
pub async fn ssh(args: &Args, view: &mut dyn View) -> Result<Option<Program>, Error> {
    let which = Which::File(args.file.path());
    let session = Session::open(which, Purpose::Look, "topo ssh", view).await?;
    session.check_claims(true)?;
    let cx = session.cx();
    let topology = cx.topology()?;
    let (gateway, ssh) = sshd(topology)?;
    if !session.is_known() {
        return Err(session.not_found("ssh"));
    }
    let name = topology.gateway_name();
    let containers = sites::containers(&session);
    let container = containers.iter().find(|container| container.name == name);
    let container = container.ok_or_else(|| {
        Failure::new(format!("there is no container `{name}`")).hint("`topo apply` makes it")
    })?;
    if !container.is_running {
        return Err(sites::stopped(container));
    }
    let key = resources::ssh_host_key(cx, &name).await?.ok_or_else(|| {
        Failure::new(format!("the sshd of `{}` has not started yet", container.id))
            .hint(format!("`topo logs {name}` shows what it waits for"))
    })?;
    let way = resources::ssh_way(gateway, cx.machine().await)?;
    let options = options(&way, &name, &key, &identities(ssh, |path| path.is_file()));
    if args.print {
        let line = ["ssh".to_owned()].into_iter().chain(options).chain(args.command.clone());
        let line: Vec<String> = line.map(|word| quoted(&word)).collect();
        view.data(&(line.join(" ") + "\n"));
        return Ok(None);
    }
    let program = find_program("ssh", &load::environment).ok_or_else(|| {
        Failure::new("cannot find the `ssh` program on PATH")
            .hint("`topo exec gateway` needs none; or install OpenSSH's client")
    })?;
    Ok(Some(Program::new(program).args(options).args(&args.command)))
}

fn sshd(topology: &Topology) -> Result<(&Gateway, &Ssh), Error> {
    let failure = Failure::new(format!("the gateway of `{}` has no sshd", topology.name));
    let Some(gateway) = &topology.gateway else {
        let failure = Failure::new(format!("`{}` has no gateway", topology.name));
        return Err(Error::refused(failure.hint("`gateway: { ssh: { listen: 2222 } }`")));
    };
    let ssh = gateway.ssh.as_ref().ok_or_else(|| {
        failure.hint(
            "`topo exec gateway` needs none; for one, write `ssh: { listen: 2222 }` in `gateway`",
        )
    })?;
    Ok((gateway, ssh))
}

/// The private keys beside the public ones that the file names.
fn identities(ssh: &Ssh, exists: impl Fn(&PathBuf) -> bool) -> Vec<String> {
    let files = ssh.keys().iter().filter_map(|key| match key {
        AuthorizedKey::File(path) => Some(path.path()),
        AuthorizedKey::Key(_) => None,
    });
    let public = files.filter(|path| path.extension().is_some_and(|extension| extension == "pub"));
    let private = public.map(|path| path.with_extension("")).filter(exists);
    private.map(|path| path.display().to_string()).collect()
}

/// The gateway is known by its own key, by whatever way it is reached.
fn options(way: &SshWay, gateway: &str, key: &str, identities: &[String]) -> Vec<String> {
    let mut options = vec!["-p".to_owned(), way.port.to_string()];
    let mut add = |option: &str, value: String| options.extend([option.to_owned(), value]);
    if let Some(jump) = &way.jump {
        add("-J", jump.clone());
    }
    for identity in identities {
        add("-i", identity.clone());
    }
    for setting in [
        format!("HostKeyAlias={gateway}"),
        format!("KnownHostsCommand=/usr/bin/env echo {gateway} {key}"),
        "HostKeyAlgorithms=ssh-ed25519".to_owned(),
        "UserKnownHostsFile=/dev/null".to_owned(),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        "StrictHostKeyChecking=yes".to_owned(),
    ] {
        add("-o", setting);
    }
    options.push(format!("root@{}", way.host));
    options
}

/// For a shell.
fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:=@%+,".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_gateway_is_reached_by_its_port_and_known_by_its_key() {
        let way = SshWay { host: "127.0.0.1".to_owned(), port: 122, jump: None };
        let line = options(&way, "dev-gw", "ssh-ed25519 AAAA", &["/me/id".to_owned()]);
        assert_eq!(line[..4], ["-p", "122", "-i", "/me/id"]);
        let known = "KnownHostsCommand=/usr/bin/env echo dev-gw ssh-ed25519 AAAA";
        assert!(line.iter().any(|word| word == known), "{line:?}");
        assert_eq!(line.last().map(String::as_str), Some("root@127.0.0.1"));
        let far = SshWay { jump: Some("ssh://me@far".to_owned()), ..way };
        assert_eq!(options(&far, "dev-gw", "", &[])[2..4], ["-J", "ssh://me@far"]);
    }

    #[test]
    fn private_keys_are_those_beside_public_ones() {
        let ssh = json!({ "listen": 122, "authorizedKeys":
            ["/me/.ssh/id_work.pub", "/me/keys.txt", "/me/gone.pub"] });
        let ssh: Ssh = serde_json::from_value(ssh).expect("an sshd");
        let found = identities(&ssh, |path| !path.ends_with("gone"));
        assert_eq!(found, ["/me/.ssh/id_work"]);
    }

    #[test]
    fn a_printed_line_can_be_pasted() {
        assert_eq!(quoted("root@127.0.0.1"), "root@127.0.0.1");
        assert_eq!(quoted("it's here"), "'it'\\''s here'");
        assert_eq!(quoted(""), "''");
    }
}
