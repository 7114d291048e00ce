//! Networks: made, removed, and containers put on them.

use std::net::IpAddr;

use bollard::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest,
    NetworkCreateRequest, NetworkDisconnectRequest,
};
use ipnet::IpNet;

use super::patience::change;
use super::{Docker, Labels, Result};

#[derive(Debug, Clone)]
pub struct NetworkRequest {
    pub name: String,
    pub subnets: Vec<SubnetRequest>,
    pub labels: Labels,
    /// Of the bridge driver: `com.docker.network.bridge.gateway_mode_ipv4`.
    pub options: Labels,
}

#[derive(Debug, Clone)]
pub struct SubnetRequest {
    pub net: IpNet,
    pub range: Option<IpNet>,
    pub gateway: Option<IpAddr>,
    /// An address that the engine must never hand out.
    pub withheld: Option<IpAddr>,
}

impl Docker {
    /// The new network's id. Whether the name is free is asked of the engine, which on its own
    /// allows several networks of one name.
    pub async fn create_network(&self, wanted: NetworkRequest) -> Result<String> {
        let ipv6 = wanted.subnets.iter().any(|subnet| subnet.net.addr().is_ipv6());
        let request = NetworkCreateRequest {
            name: wanted.name,
            driver: Some("bridge".to_owned()),
            enable_ipv6: Some(ipv6),
            ipam: Some(Ipam {
                config: Some(wanted.subnets.iter().map(IpamConfig::from).collect()),
                ..Ipam::default()
            }),
            options: Some(wanted.options.into_iter().collect()),
            labels: Some(wanted.labels.into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        Ok(change(self.api.create_network(request)).await?.id)
    }

    pub async fn remove_network(&self, name: &str) -> Result<()> {
        change(self.api.remove_network(name)).await
    }

    /// Puts a container on a network, at fixed addresses, one a family at most, which it then keeps.
    pub async fn connect_network(
        &self,
        network: &str,
        container: &str,
        fixed: &[IpAddr],
    ) -> Result<()> {
        let request = NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(endpoint_at(fixed)),
        };
        change(self.api.connect_network(network, request)).await
    }

    pub async fn disconnect_network(&self, network: &str, container: &str) -> Result<()> {
        let request = NetworkDisconnectRequest { container: container.to_owned(), force: None };
        change(self.api.disconnect_network(network, request)).await
    }
}

/// How a container is attached to a network, at fixed addresses if any are given.
pub(super) fn endpoint_at(fixed: &[IpAddr]) -> EndpointSettings {
    let of_family =
        |v4: bool| fixed.iter().find(|address| address.is_ipv4() == v4).map(ToString::to_string);
    let ipam_config = (!fixed.is_empty()).then(|| EndpointIpamConfig {
        ipv4_address: of_family(true),
        ipv6_address: of_family(false),
        ..Default::default()
    });
    EndpointSettings { ipam_config, ..EndpointSettings::default() }
}

impl From<&SubnetRequest> for IpamConfig {
    fn from(subnet: &SubnetRequest) -> Self {
        Self {
            subnet: Some(subnet.net.to_string()),
            ip_range: subnet.range.map(|range| range.to_string()),
            gateway: subnet.gateway.map(|gateway| gateway.to_string()),
            auxiliary_addresses: subnet
                .withheld
                .map(|address| [("withheld".to_owned(), address.to_string())].into()),
        }
    }
}
