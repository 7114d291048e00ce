//! `connector`: routes from a macOS host to the Docker networks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::InterfaceAddress;
use super::image_ref::ImageRef;
use super::share::PortNumber;

/// `docker-connector`: routes from a macOS host to the Docker networks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Connector {
    /// The host's address in the tunnel and the length of its network. Default: `192.168.251.1/24`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addr: Option<InterfaceAddress>,
    /// The tunnel's port on the host. Default: 2511.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<PortNumber>,
    /// The largest packet. Default: 1400.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 576, max = 9000))]
    pub mtu: Option<u16>,
    /// The image of the container end. Default: the one of docker-connector's makers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRef>,
}

impl Connector {
    pub fn image(&self) -> ImageRef {
        self.image.clone().unwrap_or_else(ImageRef::docker_connector)
    }

    pub fn addr(&self) -> InterfaceAddress {
        self.addr.unwrap_or_default()
    }

    pub fn port(&self) -> u16 {
        self.port.map_or(2511, PortNumber::get)
    }

    pub fn mtu(&self) -> u16 {
        self.mtu.unwrap_or(1400)
    }
}
