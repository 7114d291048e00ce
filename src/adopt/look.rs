//! The looks. Nothing is changed: what runs in a container there only lists.

use std::net::IpAddr;

use futures::future::try_join_all;

use super::rules::Rules;
use super::sight::{Cluster, Gateway, Node};
use crate::backend::docker::{Container, Docker, Snapshot};
use crate::backend::kube::Kube;
use crate::engine::Failure;
use crate::manifest::Kinds;
use crate::resources::{Whose, balanced, kind_nodes, of_container, version_of_metallb};

/// The cluster that kind made under this name.
pub async fn cluster(
    docker: &Docker,
    snapshot: &Snapshot,
    kube: &Kube,
    name: &str,
    context: String,
) -> Result<Cluster, Failure> {
    let unseen = |error| Failure::because(format!("cannot inspect the cluster `{name}`"), &error);
    let list = async |api: &str, kind: &str, labels: &str| {
        let kind = Kinds::default().named(&api.into(), &kind.into());
        kube.list(&kind, labels).await.map_err(unseen)
    };
    let (pools, advertisements, controllers, volumes, services) = tokio::try_join!(
        list("metallb.io/v1beta1", "IPAddressPool", ""),
        list("metallb.io/v1beta1", "L2Advertisement", ""),
        list("apps/v1", "Deployment", "app=metallb,component=controller"),
        list("v1", "PersistentVolume", ""),
        async { balanced(kube).await.map_err(unseen) },
    )?;
    Ok(Cluster {
        name: name.to_owned(),
        context,
        nodes: nodes(docker, snapshot, name).await?,
        metallb: controllers.first().and_then(version_of_metallb),
        pools,
        advertisements,
        services,
        volumes: volumes.into_iter().filter(|it| it.data.pointer("/spec/nfs").is_some()).collect(),
    })
}

async fn nodes(docker: &Docker, snapshot: &Snapshot, name: &str) -> Result<Vec<Node>, Failure> {
    let mut containers: Vec<&Container> = kind_nodes::named_alike(snapshot, name)
        .filter(|it| kind_nodes::is_control_plane(it) || kind_nodes::is_worker(it))
        .collect();
    containers.sort_unstable_by_key(|container| &container.name);
    let looks = containers.into_iter().map(async |container| {
        let binds = docker.binds(&container.name).await.map_err(|error| {
            Failure::because(format!("cannot inspect `{}`", container.name), &error)
        })?;
        Ok(Node { container: container.clone(), binds })
    });
    try_join_all(looks).await
}

/// The container that leads ports on.
pub async fn gateway(docker: &Docker, container: &Container) -> Result<Gateway, Failure> {
    let name = &container.name;
    let command = docker
        .command(name)
        .await
        .map_err(|error| Failure::because(format!("cannot inspect `{name}`"), &error))?;
    let addresses = container.addresses.values();
    let own: Vec<IpAddr> = addresses.flat_map(|at| at.v4.into_iter().chain(at.v6)).collect();
    let rules = rules(docker, name, &own).await;
    Ok(Gateway { container: container.clone(), command, rules })
}

/// Those that iptables knows of, and those of nft alone.
async fn rules(docker: &Docker, name: &str, own: &[IpAddr]) -> Result<Rules, String> {
    let (iptables, nft) = tokio::join!(
        docker.look(name, &["iptables-save", "-t", "nat"]),
        docker.look(name, &["nft", "list", "ruleset"]),
    );
    let iptables = iptables.map(|save| Rules::of_iptables(&save, own));
    match (iptables, nft.map(|listing| Rules::of_nft(&listing, own))) {
        (Ok(iptables), Ok(nft)) => Ok(iptables.and(nft)),
        (Ok(rules), Err(_)) | (Err(_), Ok(rules)) => Ok(rules),
        (Err(error), Err(_)) => Err(error.to_string()),
    }
}

/// Whose topology a container is of.
pub fn topology(container: &Container, cluster: &str) -> Option<String> {
    match of_container(cluster, container) {
        Whose::Ours => Some(cluster.to_owned()),
        Whose::Topology(name) => Some(name),
        Whose::Stranger => None,
    }
}
