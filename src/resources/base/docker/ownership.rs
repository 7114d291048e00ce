//! Whose a thing on the engine is, and the only way to remove one.
//!
//! What a topology makes bears its mark from the moment it is there: labels on containers, networks,
//! volumes and images, and on the nodes that kind makes, which take no labels, a mount. A name is no
//! proof, nor is kind's label, nor that a claim knows of no other. What cannot be shown to be this
//! topology's is left alone.

use crate::backend::docker::{
    AbsentIsFine, Claimed, Container, Error, Image, Labels, Network, Snapshot,
};
use crate::engine::Failure;
use crate::resources::base::claim::Claims;
use crate::resources::base::context::Context;
use crate::resources::base::marks;
use crate::topology::canonical_image;

/// On all that kind makes: the name of the cluster.
pub const CLUSTER_LABEL: &str = "io.x-k8s.kind.cluster";

/// On images that topo builds: the tag that they were built under.
pub const BUILT: &str = "dev.topo.built";

/// Whose something is, as far as it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    Ours,
    Topology(String),
    Stranger,
}

/// By the labels that topo gives to what it makes.
pub fn by_labels(topology: &str, labels: &Labels) -> Whose {
    match labels.get(marks::TOPOLOGY) {
        Some(of) if of == topology => Whose::Ours,
        Some(other) => Whose::Topology(other.clone()),
        None => Whose::Stranger,
    }
}

/// Why a volume that a kind needs cannot be it.
pub fn volume_in_the_way(topology: &str, snapshot: &Snapshot, name: &str) -> Option<String> {
    let volume = snapshot.volume(name)?;
    (by_labels(topology, &volume.labels) != Whose::Ours).then(|| {
        format!(
            "a volume named `{name}` exists that this topology did not make: remove it with `docker volume rm {name}`, or rename the topology"
        )
    })
}

/// A shared network is left to those who still use it when the topology that made it goes.
pub fn of_network(topology: &str, network: &Network, claims: &Claims) -> Whose {
    match by_labels(topology, &network.labels) {
        Whose::Topology(maker) if claims.knows(&maker) => Whose::Topology(maker),
        Whose::Topology(_) | Whose::Ours => Whose::Ours,
        Whose::Stranger => Whose::Stranger,
    }
}

pub fn of_container(topology: &str, container: &Container) -> Whose {
    let is_node = container.labels.contains_key(CLUSTER_LABEL);
    if is_node && container.mounts.contains(&node_mark(topology)) {
        return Whose::Ours;
    }
    by_labels(topology, &container.labels)
}

/// Where each node that is made for a topology has a mount, since kind gives its nodes no labels but
/// its own. Nothing is in it.
pub fn node_mark(topology: &str) -> String {
    format!("/etc/topo.dev/{topology}")
}

/// Whether the tag still names what topo built under it.
pub fn is_as_built(tag: &str, image: &Image) -> bool {
    image.labels.get(BUILT).is_some_and(|built| built == tag)
}

impl Context {
    /// One that is gone already is fine; one that is not this topology's stays.
    pub async fn remove_container(&self, name: &str) -> Result<(), Failure> {
        let failed = |error: Error| {
            Failure::because(format!("cannot remove the container `{name}`"), &error)
        };
        let Some(there) = self.docker.container(name).await.map_err(failed)? else {
            return Ok(());
        };
        if of_container(&self.name, &there) != Whose::Ours {
            return Err(not_ours("container", name, "docker rm -f"));
        }
        self.remove_own_container(&there).await
    }

    /// Removes what the cluster's list of its own nodes has shown to be this topology's.
    pub async fn remove_node(&self, node: &Container) -> Result<(), Failure> {
        self.remove_own_container(node).await
    }

    async fn remove_own_container(&self, container: &Container) -> Result<(), Failure> {
        let removed = self.docker.remove_container(&container.id).await.if_present();
        removed.map(drop).map_err(|error| {
            Failure::because(format!("cannot remove the container `{}`", container.name), &error)
        })
    }

    pub async fn remove_network(&self, network: &Network, claims: &Claims) -> Result<(), Failure> {
        if of_network(&self.name, network, claims) != Whose::Ours {
            return Err(not_ours("network", &network.name, "docker network rm"));
        }
        let removed = self.docker.remove_network(&network.id).await.if_present();
        removed.map(drop).map_err(|error| {
            Failure::because(format!("cannot remove the network `{}`", network.name), &error)
        })
    }

    /// Makes a volume of topo's own; one of this topology's that is there already is it.
    pub async fn claim_volume(&self, name: &str, labels: Labels) -> Result<(), Failure> {
        let claimed = self.docker.create_volume(name, labels).await;
        let failed =
            |error: Error| Failure::because(format!("cannot make the volume `{name}`"), &error);
        match claimed.map_err(failed)? {
            Claimed::Theirs(labels) if by_labels(&self.name, &labels) != Whose::Ours => {
                Err(Failure::new(format!(
                    "a volume named `{name}` exists that this topology did not make"
                ))
                .hint(format!("remove it with `docker volume rm {name}`, or rename the topology")))
            }
            Claimed::Ours | Claimed::Theirs(_) => Ok(()),
        }
    }

    pub async fn remove_volume(&self, name: &str) -> Result<(), Failure> {
        let failed =
            |error: Error| Failure::because(format!("cannot remove the volume `{name}`"), &error);
        let snapshot = self.snapshot().await?;
        let Some(volume) = snapshot.volume(name) else { return Ok(()) };
        if by_labels(&self.name, &volume.labels) != Whose::Ours {
            return Err(not_ours("volume", name, "docker volume rm"));
        }
        self.docker.remove_volume(name).await.if_present().map(drop).map_err(failed)
    }

    /// Written into the claim before an image is built, so that its tag is not forgotten when the run
    /// is cut off.
    pub async fn intend_tag(&self, tag: &str) -> Result<(), Failure> {
        self.change_claim(|claim| {
            claim.tags.insert(tag.to_owned());
        })
        .await
    }

    /// Takes away a tag that topo built, unless it means another image by now or something uses it.
    pub async fn forget_tag(&self, tag: &str) -> Result<(), Failure> {
        let snapshot = self.snapshot().await?;
        let is_ours = snapshot.image(tag).is_some_and(|image| is_as_built(tag, image));
        if is_ours && !self.is_used(tag, &snapshot) {
            match self.docker.remove_image(tag).await.if_present() {
                // A container came at this moment.
                Ok(_) | Err(Error::Conflict(_)) => {}
                Err(error) => {
                    return Err(Failure::because(format!("cannot remove `{tag}`"), &error));
                }
            }
        }
        // Until its own containers are gone it is still to be taken away.
        let is_own = |container: &&Container| of_container(&self.name, container) == Whose::Ours;
        let mut own = snapshot.containers.iter().filter(is_own);
        let runs = own.any(|it| canonical_image(&it.image) == canonical_image(tag));
        if !runs && self.claim().await.is_some_and(|claim| claim.tags.contains(tag)) {
            self.change_claim(|claim| {
                claim.tags.remove(tag);
            })
            .await?;
        }
        Ok(())
    }

    /// Every tag that this topology has built or was about to.
    pub async fn forget_tags(&self) -> Result<(), Failure> {
        for tag in self.claim().await.map(|claim| claim.tags).unwrap_or_default() {
            self.forget_tag(&tag).await?;
        }
        Ok(())
    }

    /// By a container, or by another topology that has built it too.
    fn is_used(&self, tag: &str, snapshot: &Snapshot) -> bool {
        let tag = canonical_image(tag);
        let is_it = |name: &str| canonical_image(name) == tag;
        let runs = snapshot.containers.iter().any(|container| is_it(&container.image));
        let claims = Claims::read(snapshot).current;
        let mut others = claims.values().filter(|claim| claim.topology != self.name);
        runs || others.any(|claim| claim.tags.iter().any(|built| is_it(built)))
    }
}

fn not_ours(sort: &str, name: &str, remove: &str) -> Failure {
    Failure::new(format!("the {sort} `{name}` was not made by this topology, so it is not removed"))
        .hint(format!("`{remove} {name}` removes it, if it is not needed"))
}
