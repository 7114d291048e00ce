//! Starting and removing containers and images of topo's own, in the words of a step.

use crate::backend::docker::AbsentIsFine;
use crate::engine::Failure;
use crate::resources::base::context::Context;

impl Context {
    pub async fn start_container(&self, name: &str) -> Result<(), Failure> {
        let started = self.docker.start_container(name).await;
        started.map_err(|error| Failure::because(format!("cannot start `{name}`"), &error))
    }

    /// One that is gone already is fine.
    pub async fn remove_container(&self, name: &str) -> Result<(), Failure> {
        let removed = self.docker.remove_container(name).await.if_present();
        removed.map_err(|error| Failure::because(format!("cannot remove `{name}`"), &error))?;
        Ok(())
    }

    /// The tag alone, where the image has others; one that is gone already is fine.
    pub async fn remove_image(&self, name: &str) -> Result<(), Failure> {
        let removed = self.docker.remove_image(name).await.if_present();
        removed.map_err(|error| Failure::because(format!("cannot remove `{name}`"), &error))?;
        Ok(())
    }
}
