//! What the engine refuses, told apart by what can be done about it, always with its own words.

use std::net::SocketAddr;

use super::endpoint::EndpointError;
use super::ssh::SshError;
use crate::backend::host::ProcessError;
use crate::causes::causes;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Ssh(#[from] SshError),
    #[error("no Docker engine answers\n{}", tried.join("\n"))]
    NoEngine { tried: Vec<String> },
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("port {port} is already taken: {message}")]
    PortTaken { port: u16, message: String },
    #[error("the address is already taken: {0}")]
    AddressTaken(String),
    #[error("the subnet overlaps with another network: {0}")]
    SubnetTaken(String),
    #[error("the engine refuses: {message}")]
    Refused { status: u16, message: String },
    /// It began, and said later that it went wrong.
    #[error("{0}")]
    Failed(String),
    #[error("`{command}` in `{container}` failed with exit code {code}: {stderr}")]
    Exec { container: String, command: String, code: i64, stderr: String },
    #[error("building `{tag}` failed: {message}\n{log}")]
    Build { tag: String, message: String, log: String },
    #[error("lost the connection to the Docker engine: {0}")]
    Lost(String),
    #[error("cannot find the `docker` program on PATH")]
    NoProgram,
    #[error(transparent)]
    Program(#[from] ProcessError),
}

impl From<bollard::errors::Error> for Error {
    fn from(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error as Api;
        match error {
            Api::DockerResponseServerError { status_code, message } => {
                Self::from_response(status_code, message.trim().to_owned())
            }
            Api::DockerStreamError { error } => Self::Failed(error),
            other => Self::Lost(causes(&other).join(": ")),
        }
    }
}

impl Error {
    fn from_response(status: u16, mut message: String) -> Self {
        if message.is_empty() {
            message = format!("HTTP status {status} and not a word");
        }
        // A network has its first address from whichever network has that subnet already.
        if message.contains("failed to allocate gateway") {
            return Self::SubnetTaken(message);
        }
        let in_use = message.contains("already allocated")
            || message.to_ascii_lowercase().contains("address already in use");
        if in_use {
            return match port_in(&message) {
                Some(port) => Self::PortTaken { port, message },
                None => Self::AddressTaken(message),
            };
        }
        let overlaps =
            ["Pool overlaps", "is already used on the host", "networks have overlapping"];
        if overlaps.iter().any(|words| message.contains(words)) {
            return Self::SubnetTaken(message);
        }
        match status {
            404 => Self::NotFound(message),
            409 => Self::Conflict(message),
            _ => Self::Refused { status, message },
        }
    }

    /// Fixed addresses are given only on networks that were made with a subnet, which no listing tells.
    pub fn is_for_want_of_a_subnet(&self) -> bool {
        matches!(self, Self::Refused { message, .. } if message.contains("user configured subnet"))
    }

    pub fn is_for_want_of_an_image(&self) -> bool {
        matches!(self, Self::NotFound(message) if message.to_ascii_lowercase().contains("no such image"))
    }

    /// What to do about it, where that does not stand in the words themselves.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Ssh(error) => error.hint(),
            Self::NoProgram => Some(PROGRAM_HINT.to_owned()),
            _ => None,
        }
    }

    /// Whether a registry gave nothing to somebody who is not logged in, or to whoever is. Many say
    /// of what one may not see that it is not there.
    pub fn is_for_want_of_a_login(&self) -> bool {
        let said = self.to_string().to_ascii_lowercase();
        LOGIN_WANTED.iter().any(|words| said.contains(words))
    }

    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }
}

const PROGRAM_HINT: &str = "images are built by `docker build`, and commands run by `docker exec`: install Docker's command line (https://docs.docker.com/engine/install)";

/// In the words of registries and engines.
const LOGIN_WANTED: &[&str] = &[
    "denied",
    "unauthorized",
    "authentication required",
    "no basic auth credentials",
    "forbidden",
    "toomanyrequests",
    "not found",
    "manifest unknown",
];

/// For calls whose aim is reached as well when the thing is not there at all.
pub trait AbsentIsFine<T> {
    fn if_present(self) -> Result<Option<T>>;
}

impl<T> AbsentIsFine<T> for Result<T> {
    fn if_present(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The host port that a message about publishing speaks of. Engines word it in many ways, but all
/// of them write `ADDRESS:PORT`, some with the container's side behind it.
fn port_in(message: &str) -> Option<u16> {
    message.split_whitespace().find_map(|word| {
        let word = word.trim_end_matches([':', ',', ')']);
        let word = word.split('/').next().unwrap_or(word);
        let address = match word.match_indices(':').nth(1) {
            Some((second, _)) if !word.starts_with('[') => &word[..second],
            _ => word,
        };
        address.parse::<SocketAddr>().ok().map(|address| address.port())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_told_by_every_engines_wording() {
        for message in [
            "driver failed programming external connectivity on endpoint gw (0ab1): Bind for 127.0.0.1:10001 failed: port is already allocated",
            "driver failed programming external connectivity on endpoint gw (0ab1): Error starting userland proxy: listen tcp4 0.0.0.0:10001: bind: address already in use",
            "failed to set up container networking: driver failed programming external connectivity on endpoint gw (0ab1): failed to bind host port for 127.0.0.1:10001:172.22.0.12:10001/tcp: address already in use",
            "failed to bind host port 127.0.0.1:10001/tcp: address already in use",
            "failed to bind host port [::1]:10001/tcp: address already in use",
        ] {
            let error = Error::from_response(500, message.to_owned());
            assert!(matches!(error, Error::PortTaken { port: 10001, .. }), "{error:?}");
        }
    }

    #[test]
    fn a_taken_address_is_not_a_taken_port() {
        let error = Error::from_response(403, "Address already in use".to_owned());
        assert!(matches!(error, Error::AddressTaken(_)), "{error:?}");
    }

    #[test]
    fn a_taken_subnet_is_told_apart() {
        for message in [
            "invalid pool request: Pool overlaps with other one on this address space",
            "cannot create network a (br-a): conflicts with network b (br-b): networks have overlapping IPv4",
            "failed to allocate gateway (172.24.0.1): Address already in use",
        ] {
            let told = Error::from_response(403, message.to_owned());
            assert!(matches!(told, Error::SubnetTaken(_)), "{message}");
        }
    }

    #[test]
    fn absence_is_fine_where_absence_is_the_aim() {
        let gone: Result<()> = Err(Error::NotFound("No such container: x".to_owned()));
        assert!(gone.if_present().expect("fine").is_none());
        let refused: Result<()> = Err(Error::Conflict("in use".to_owned()));
        assert!(refused.if_present().is_err());
    }
}
