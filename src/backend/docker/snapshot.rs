//! Everything the engine has, listed once, in the words that topo uses.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bollard::models::{
    ContainerSummary, ContainerSummaryStateEnum, EndpointSettings, ImageSummary, IpamConfig,
    Network as ApiNetwork, PortSummary, PortSummaryTypeEnum, Volume as ApiVolume,
};
use bollard::query_parameters::{
    ListContainersOptions, ListImagesOptions, ListNetworksOptions, ListVolumesOptions,
};
use ipnet::IpNet;

use super::patience::look;
use super::{Docker, Result};
use crate::topology::canonical_image;

pub type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub networks: Vec<Network>,
    /// Stopped ones included.
    pub containers: Vec<Container>,
    pub volumes: Vec<Volume>,
    pub images: Vec<Image>,
}

#[derive(Debug, Clone, Default)]
pub struct Network {
    pub id: String,
    pub name: String,
    pub driver: String,
    pub labels: Labels,
    pub options: Labels,
    pub subnets: Vec<Subnet>,
    pub ipv6: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    pub net: IpNet,
    /// Out of which the engine hands out addresses by itself; all of the subnet where it is not given.
    pub range: Option<IpNet>,
    pub gateway: Option<IpAddr>,
}

#[derive(Debug, Clone)]
pub struct Container {
    pub id: String,
    pub name: String,
    /// As it was asked for: `kindest/node:v1.34.0`.
    pub image: String,
    pub image_id: String,
    pub state: ContainerState,
    /// In the engine's words: `Up 3 minutes (healthy)`.
    pub status: String,
    pub labels: Labels,
    /// By the network's name.
    pub addresses: BTreeMap<String, Address>,
    pub ports: Vec<Published>,
    /// Where in it something is mounted.
    pub mounts: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    Created,
    Running,
    Paused,
    Restarting,
    Exited,
    /// Being removed, or dead: neither can be started again.
    Gone,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    pub network_id: String,
    /// Absent while the container is stopped.
    pub v4: Option<IpAddr>,
    pub v6: Option<IpAddr>,
    /// Asked for when the container was connected, so it is kept over restarts.
    pub fixed: Option<IpAddr>,
    /// Its address on the wire, while the container runs: `02:42:ac:14:00:02`.
    pub hardware: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub address: Option<IpAddr>,
    pub port: u16,
    pub inside: u16,
    pub udp: bool,
}

#[derive(Debug, Clone)]
pub struct Volume {
    pub name: String,
    pub labels: Labels,
}

#[derive(Debug, Clone)]
pub struct Image {
    pub id: String,
    /// `localhost/web:1`; empty for untagged images.
    pub tags: Vec<String>,
    /// `kindest/node@sha256:…`
    pub digests: Vec<String>,
    pub labels: Labels,
}

impl Docker {
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let everything = ListContainersOptions { all: true, ..Default::default() };
        let (networks, containers, volumes, images) = look(async {
            tokio::try_join!(
                self.api.list_networks(None::<ListNetworksOptions>),
                self.api.list_containers(Some(everything)),
                self.api.list_volumes(None::<ListVolumesOptions>),
                self.api.list_images(None::<ListImagesOptions>),
            )
        })
        .await?;
        Ok(Snapshot {
            networks: networks.into_iter().map(Network::from).collect(),
            containers: containers.into_iter().map(Container::from).collect(),
            volumes: volumes.volumes.unwrap_or_default().into_iter().map(Volume::from).collect(),
            images: images.into_iter().map(Image::from).collect(),
        })
    }
}

impl Snapshot {
    pub fn network(&self, name: &str) -> Option<&Network> {
        self.networks.iter().find(|network| network.name == name)
    }

    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    pub fn volume(&self, name: &str) -> Option<&Volume> {
        self.volumes.iter().find(|volume| volume.name == name)
    }

    /// The image that this reference means: by tag, by digest, or by id.
    pub fn image(&self, reference: &str) -> Option<&Image> {
        let wanted = canonical_image(reference);
        let is_meant = |name: &String| canonical_image(name) == wanted;
        self.images.iter().find(|image| {
            image.id == reference || image.tags.iter().chain(&image.digests).any(is_meant)
        })
    }

    /// Containers on a network, stopped ones included.
    pub fn on_network<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Container> {
        self.containers.iter().filter(move |container| container.addresses.contains_key(name))
    }
}

impl Network {
    pub fn v4(&self) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.net.addr().is_ipv4())
    }

    pub fn v6(&self) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.net.addr().is_ipv6())
    }
}

impl Container {
    pub fn is_running(&self) -> bool {
        self.state == ContainerState::Running
    }

    /// What its health check last said, if it has one.
    pub fn health(&self) -> Option<&str> {
        let (_, rest) = self.status.rsplit_once('(')?;
        let word = rest.strip_suffix(')')?;
        let word = word.strip_prefix("health: ").unwrap_or(word);
        ["healthy", "unhealthy", "starting"].contains(&word).then_some(word)
    }
}

impl From<ApiNetwork> for Network {
    fn from(network: ApiNetwork) -> Self {
        let ranges = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        Self {
            id: network.id.unwrap_or_default(),
            name: network.name.unwrap_or_default(),
            driver: network.driver.unwrap_or_default(),
            labels: sorted(network.labels),
            options: sorted(network.options),
            subnets: ranges.iter().filter_map(subnet).collect(),
            ipv6: network.enable_ipv6.unwrap_or_default(),
        }
    }
}

fn subnet(config: &IpamConfig) -> Option<Subnet> {
    // Podman writes the gateway with a prefix length, Docker without.
    let address = |text: &String| text.split('/').next()?.parse().ok();
    Some(Subnet {
        net: config.subnet.as_ref()?.parse().ok()?,
        range: config.ip_range.as_ref().and_then(|text| text.parse().ok()),
        gateway: config.gateway.as_ref().and_then(address),
    })
}

impl From<ContainerSummary> for Container {
    fn from(container: ContainerSummary) -> Self {
        let networks = container.network_settings.and_then(|settings| settings.networks);
        // A link adds a second name, `/other/alias`.
        let names = container.names.unwrap_or_default();
        let name = names.iter().find_map(|name| {
            let name = name.trim_start_matches('/');
            (!name.contains('/')).then(|| name.to_owned())
        });
        Self {
            id: container.id.unwrap_or_default(),
            name: name.unwrap_or_default(),
            image: container.image.unwrap_or_default(),
            image_id: container.image_id.unwrap_or_default(),
            state: container.state.map_or(ContainerState::Gone, ContainerState::from),
            status: container.status.unwrap_or_default(),
            labels: sorted(container.labels),
            addresses: networks
                .unwrap_or_default()
                .into_iter()
                .map(|(name, endpoint)| (name, Address::from(endpoint)))
                .collect(),
            ports: container.ports.unwrap_or_default().iter().filter_map(published).collect(),
            mounts: container
                .mounts
                .unwrap_or_default()
                .into_iter()
                .filter_map(|mount| mount.destination)
                .collect(),
        }
    }
}

impl From<ContainerSummaryStateEnum> for ContainerState {
    fn from(state: ContainerSummaryStateEnum) -> Self {
        use ContainerSummaryStateEnum as Api;
        match state {
            Api::CREATED => Self::Created,
            Api::RUNNING => Self::Running,
            Api::PAUSED => Self::Paused,
            Api::RESTARTING => Self::Restarting,
            Api::EXITED => Self::Exited,
            _ => Self::Gone,
        }
    }
}

impl From<EndpointSettings> for Address {
    fn from(endpoint: EndpointSettings) -> Self {
        let parsed = |text: Option<String>| text.and_then(|text| text.parse().ok());
        Self {
            network_id: endpoint.network_id.unwrap_or_default(),
            v4: parsed(endpoint.ip_address),
            v6: parsed(endpoint.global_ipv6_address),
            hardware: endpoint.mac_address.filter(|address| !address.is_empty()),
            fixed: parsed(endpoint.ipam_config.and_then(|config| config.ipv4_address)),
        }
    }
}

fn published(port: &PortSummary) -> Option<Published> {
    Some(Published {
        address: port.ip.as_ref().and_then(|text| text.parse().ok()),
        port: port.public_port?,
        inside: port.private_port,
        udp: port.typ == Some(PortSummaryTypeEnum::UDP),
    })
}

impl From<ApiVolume> for Volume {
    fn from(volume: ApiVolume) -> Self {
        Self { name: volume.name, labels: volume.labels.into_iter().collect() }
    }
}

impl From<ImageSummary> for Image {
    fn from(image: ImageSummary) -> Self {
        Self {
            id: image.id,
            tags: image.repo_tags.into_iter().filter(|tag| tag != "<none>:<none>").collect(),
            digests: image.repo_digests,
            labels: image.labels.into_iter().collect(),
        }
    }
}

fn sorted(labels: Option<std::collections::HashMap<String, String>>) -> Labels {
    labels.unwrap_or_default().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(status: &str) -> Container {
        Container::from(ContainerSummary {
            names: Some(vec!["/other/alias".to_owned(), "/dev-gw".to_owned()]),
            status: Some(status.to_owned()),
            ..ContainerSummary::default()
        })
    }

    #[test]
    fn a_link_does_not_give_a_container_another_name() {
        assert_eq!(container("").name, "dev-gw");
    }

    #[test]
    fn health_is_read_from_the_status() {
        assert_eq!(container("Up 3 minutes (healthy)").health(), Some("healthy"));
        assert_eq!(container("Up 1 second (health: starting)").health(), Some("starting"));
        assert_eq!(container("Exited (137) 2 hours ago").health(), None);
        assert_eq!(container("Up 3 minutes").health(), None);
    }

    #[test]
    fn families_are_found_in_any_order() {
        let v6 = IpamConfig { subnet: Some("fc00::/64".to_owned()), ..IpamConfig::default() };
        let v4 = IpamConfig {
            subnet: Some("172.22.0.0/16".to_owned()),
            ip_range: Some("172.22.0.0/17".to_owned()),
            gateway: Some("172.22.0.1/16".to_owned()),
            ..IpamConfig::default()
        };
        let network = Network {
            subnets: [&v6, &v4].into_iter().filter_map(subnet).collect(),
            ..Network::default()
        };
        let found = network.v4().expect("there is one");
        assert_eq!(found.net.to_string(), "172.22.0.0/16");
        assert_eq!(found.gateway, "172.22.0.1".parse().ok());
        assert_eq!(network.v6().map(|subnet| subnet.net.to_string()), Some("fc00::/64".to_owned()));
    }

    #[test]
    fn an_image_is_found_by_every_name() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let by_digest = format!("nginx@{digest}");
        let by_both = format!("docker.io/nginx:1@{digest}");
        let image = Image {
            id: "sha256:1".to_owned(),
            tags: vec!["nginx:latest".to_owned(), "localhost/web:1".to_owned()],
            digests: vec![by_digest.clone()],
            labels: Labels::new(),
        };
        let snapshot = Snapshot { images: vec![image], ..Snapshot::default() };
        for name in [
            "nginx",
            "nginx:latest",
            "docker.io/library/nginx:latest",
            "docker.io/nginx",
            "index.docker.io/library/nginx",
            "localhost/web:1",
            &by_digest,
            &by_both,
            "sha256:1",
        ] {
            assert!(snapshot.image(name).is_some(), "{name}");
        }
        for name in ["nginx:1", "web:1", "localhost/web"] {
            assert!(snapshot.image(name).is_none(), "{name}");
        }
    }
}
