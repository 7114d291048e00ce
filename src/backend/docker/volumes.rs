//! Volumes, which also carry what containers and networks cannot: labels of things not topo's own.

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::RemoveVolumeOptions;

use super::patience::change;
use super::{Docker, Labels, Result};

/// What came of asking for a volume that two may ask for at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    Ours,
    /// Somebody else's was there first, with these labels.
    Theirs(Labels),
}

impl Docker {
    /// The first to create a volume of a name wins: the engine answers everyone with the labels of
    /// that one. So the labels must hold something that no other caller would write.
    pub async fn create_volume(&self, name: &str, labels: Labels) -> Result<Claimed> {
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(labels.clone().into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        let there = change(self.api.create_volume(request)).await?;
        let theirs: Labels = there.labels.into_iter().collect();
        Ok(if theirs == labels { Claimed::Ours } else { Claimed::Theirs(theirs) })
    }

    pub async fn remove_volume(&self, name: &str) -> Result<()> {
        change(self.api.remove_volume(name, None::<RemoveVolumeOptions>)).await
    }
}
