//! The machine that the engine runs on, where it is not this one.

use std::io;
use std::net::IpAddr;

use super::docker::Endpoint;
use super::host::Program;

/// Another machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The name or address under which this machine reaches it.
    pub host: String,
    /// How `ssh` gets there, where the engine itself is reached by it: `ssh://me@far`.
    pub login: Option<String>,
}

impl Machine {
    pub async fn of(endpoint: &Endpoint) -> Option<Self> {
        let named = endpoint.remote_host()?;
        let Some(login) = endpoint.ssh_destination() else {
            return Some(Self { host: named.to_owned(), login: None });
        };
        // The name may be one of the user's ssh configuration alone.
        let settings = Program::new("ssh").arg("-G").arg("--").arg(&login).run(|_| {}).await;
        let host = settings.ok().and_then(|settings| host_name(&settings).map(str::to_owned));
        Some(Self { host: host.unwrap_or_else(|| named.to_owned()), login: Some(login) })
    }

    pub async fn address(&self) -> io::Result<IpAddr> {
        let found: Vec<IpAddr> =
            tokio::net::lookup_host((self.host.as_str(), 0)).await?.map(|at| at.ip()).collect();
        let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
        first.copied().ok_or_else(|| io::Error::other("the name has no address"))
    }
}

/// Of the settings that `ssh -G` prints.
fn host_name(settings: &str) -> Option<&str> {
    settings.lines().find_map(|line| line.strip_prefix("hostname ")).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str) -> Endpoint {
        Endpoint { host: host.to_owned(), certificates: None, named_by: String::new() }
    }

    #[tokio::test]
    async fn an_engine_over_tcp_is_on_the_machine_that_it_names() {
        let machine = Machine::of(&endpoint("tcp://192.0.2.7:2376")).await;
        assert_eq!(machine, Some(Machine { host: "192.0.2.7".to_owned(), login: None }));
        assert_eq!(Machine::of(&endpoint("unix:///run/docker.sock")).await, None);
    }

    #[test]
    fn the_name_behind_an_alias_is_what_ssh_says() {
        assert_eq!(host_name("user me\nhostname 192.0.2.7\nport 22\n"), Some("192.0.2.7"));
    }

    #[tokio::test]
    async fn an_address_is_its_own() {
        let machine = Machine { host: "192.0.2.7".to_owned(), login: None };
        let address = machine.address().await.expect("needs no name server");
        assert_eq!(address, IpAddr::from([192, 0, 2, 7]));
    }
}
