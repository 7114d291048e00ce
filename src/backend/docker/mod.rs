//! The Docker engine, as far as topo needs it.

mod containers;
mod endpoint;
mod error;
mod events;
mod exec;
mod images;
mod logs;
mod networks;
mod patience;
mod program;
mod snapshot;
mod ssh;
mod volumes;

use std::path::PathBuf;
use std::sync::Arc;

use bollard::models::{SystemInfo, SystemInfoCgroupVersionEnum, SystemVersion};
use bollard::{API_DEFAULT_VERSION, BollardRequest};
use http::uri::PathAndQuery;

pub use bollard::models as api;
pub use containers::{Archived, Bind, binds};
pub use endpoint::{Endpoint, EndpointError, Surroundings, candidates};
pub use error::{AbsentIsFine, Error, Result};
pub use events::Happening;
pub use exec::{Attached, Output, Piece};
pub use images::{Amount, ImageDetails};
pub use networks::{NetworkRequest, SubnetRequest};
pub use program::{BuildContext, BuildRequest};
pub use snapshot::{
    Address, Container, ContainerState, Image, Labels, Network, Published, Snapshot, Subnet, Volume,
};
pub use ssh::SshError;
pub use volumes::Claimed;

use super::calls;
use super::host::{Program, find_program};
use ssh::Line;

/// A connection to one engine; cheap to clone.
#[derive(Debug, Clone)]
pub struct Docker {
    api: bollard::Docker,
    endpoint: Endpoint,
    /// What carries it all, where the engine is behind ssh.
    line: Option<Arc<Line>>,
    /// Where the `docker` program is, if there is one.
    program: Option<PathBuf>,
}

/// What the engine tells of itself and of the machine that it runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked for by name")]
pub struct Info {
    /// Of the machine.
    pub name: String,
    pub version: String,
    /// `1.45`
    pub api: String,
    /// `Docker Desktop 4.55.0 (213807)`, where the engine is part of a product.
    pub product: String,
    /// `Debian GNU/Linux 12 (bookworm)`
    pub operating_system: String,
    pub kernel: String,
    pub storage_driver: String,
    /// Images are containerd's, and not the engine's own.
    pub has_containerd_images: bool,
    /// The folder of all that the engine keeps.
    pub root: PathBuf,
    /// The version of its cgroup.
    pub cgroup: u8,
    /// Limits that its containers cannot have.
    pub missing_limits: Vec<&'static str>,
    pub is_rootless: bool,
    pub is_podman: bool,
    /// Root in its containers is another user of the machine.
    pub remaps_users: bool,
    pub memory: u64,
    /// Whether its kernel forwards between networks; None where it does not say.
    pub forwards: Option<bool>,
    /// What its pulls go through, as it is written there.
    pub proxy: Option<String>,
}

impl Docker {
    /// Finds the engine that the surroundings name, or the first usual one that answers.
    pub async fn connect(surroundings: &Surroundings) -> Result<Self> {
        let mut tried = Vec::new();
        for endpoint in candidates(surroundings)? {
            let place = endpoint.to_string();
            match Self::connect_to(endpoint, surroundings).await {
                Ok(docker) => return Ok(docker),
                Err(error @ Error::Ssh(_)) => return Err(error),
                Err(error) => tried.push(format!("  {place}: {error}")),
            }
        }
        Err(Error::NoEngine { tried })
    }

    async fn connect_to(endpoint: Endpoint, surroundings: &Surroundings) -> Result<Self> {
        let line = match endpoint.far() {
            Some(far) => Some(Arc::new(Line::open(&far, surroundings).await?)),
            None => None,
        };
        let opened = match &line {
            Some(line) => open_unix(&line.address()),
            None => open(&endpoint),
        };
        let opened = opened.map(|api| api.with_request_modifier(told));
        let answered = patience::hello(async { opened?.negotiate_version().await }).await;
        let why_closed = || line.as_ref().and_then(|line| line.closed());
        let api = answered.map_err(|error| why_closed().map_or(error, Error::from))?;
        let path = |name: &str| surroundings.path.clone().filter(|_| name == "PATH");
        let program = find_program("docker", &path);
        Ok(Self { api, endpoint, line, program })
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub async fn info(&self) -> Result<Info> {
        let (info, version) =
            patience::look(async { tokio::try_join!(self.api.info(), self.api.version()) }).await?;
        Ok(described(info, version))
    }

    /// Has a program speak to the same engine, by the same way.
    pub fn lead(&self, program: Program) -> Program {
        match &self.line {
            Some(line) => line.lead(self.unled(program)),
            None => self.lead_alone(program),
        }
    }

    /// The same, of a program that outlives topo, and so needs a way of its own.
    pub fn lead_alone(&self, program: Program) -> Program {
        let environment = self.endpoint.environment();
        let program = self.unled(program);
        environment.into_iter().fold(program, |program, (name, value)| program.env(name, value))
    }

    fn unled(&self, program: Program) -> Program {
        self.endpoint.overruled().iter().fold(program, |program, name| program.without(*name))
    }

    /// Why the engine is out of reach for good, if ssh has ended.
    pub fn cut_off(&self) -> Option<String> {
        let why = self.line.as_ref()?.ended()?;
        Some(format!("the ssh that carries the engine `{}` has ended: {why}", self.endpoint.host))
    }
}

fn described(info: SystemInfo, version: SystemVersion) -> Info {
    let has_option =
        |name: &str| info.security_options.iter().flatten().any(|option| option.contains(name));
    let is_containerds = |status: &Vec<String>| {
        status.iter().any(|text| text.starts_with("io.containerd.snapshotter"))
    };
    let limits =
        [("memory", info.memory_limit), ("pids", info.pids_limit), ("cpu", info.cpu_shares)];
    let missing = limits.into_iter().filter(|(_, has)| *has == Some(false));
    let components = version.components.unwrap_or_default();
    Info {
        name: info.name.unwrap_or_default(),
        remaps_users: has_option("userns"),
        is_rootless: has_option("rootless"),
        is_podman: components.iter().any(|part| part.name.contains("Podman")),
        cgroup: if info.cgroup_version == Some(SystemInfoCgroupVersionEnum::_1) { 1 } else { 2 },
        missing_limits: missing.map(|(name, _)| name).collect(),
        has_containerd_images: info.driver_status.iter().flatten().any(is_containerds),
        proxy: [info.https_proxy, info.http_proxy].into_iter().flatten().find(|it| !it.is_empty()),
        version: info.server_version.unwrap_or_default(),
        api: version.api_version.unwrap_or_default(),
        product: version.platform.map(|platform| platform.name).unwrap_or_default(),
        operating_system: info.operating_system.unwrap_or_default(),
        kernel: info.kernel_version.unwrap_or_default(),
        storage_driver: info.driver.unwrap_or_default(),
        root: info.docker_root_dir.unwrap_or_default().into(),
        memory: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
        forwards: info.ipv4_forwarding,
    }
}

/// Each request passes here before it is sent.
fn told(request: BollardRequest) -> BollardRequest {
    let path = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
    calls::asks(format_args!("{} {path}", request.method()));
    request
}

type Opened = std::result::Result<bollard::Docker, bollard::errors::Error>;

fn open(endpoint: &Endpoint) -> Opened {
    let deadline = patience::CHANGE.as_secs();
    let (host, version) = (endpoint.host.as_str(), API_DEFAULT_VERSION);
    if host.starts_with("unix://") {
        open_unix(host)
    } else if let Some(folder) = &endpoint.certificates {
        let file = |name| folder.join(name);
        let (key, cert, ca) = (file("key.pem"), file("cert.pem"), file("ca.pem"));
        bollard::Docker::connect_with_ssl(host, &key, &cert, &ca, deadline, version)
    } else {
        bollard::Docker::connect_with_http(host, deadline, version)
    }
}

fn open_unix(socket: &str) -> Opened {
    bollard::Docker::connect_with_unix(socket, patience::CHANGE.as_secs(), API_DEFAULT_VERSION)
}
