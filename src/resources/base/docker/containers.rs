//! Making and starting containers of topo's own, in the words of a step.

use std::net::IpAddr;

use crate::backend::docker::Error;
use crate::backend::docker::api::ContainerCreateBody;
use crate::engine::Failure;
use crate::resources::base::context::Context;
use crate::resources::base::docker::ownership::{self, Whose};

impl Context {
    /// Makes a container, also where the engine carries out only now what a topo that was cut off
    /// had asked for: a container of this topology that has the name is not the one that is wanted.
    pub async fn create_container(
        &self,
        name: &str,
        body: ContainerCreateBody,
        network: &str,
        fixed: Option<IpAddr>,
    ) -> Result<String, Error> {
        let refused = match self.docker.create_container(name, body.clone(), network, fixed).await {
            Err(Error::Conflict(why)) => Error::Conflict(why),
            made => return made,
        };
        let there = self.docker.container(name).await?;
        if there.is_some_and(|there| ownership::of_container(&self.name, &there) != Whose::Ours) {
            return Err(refused);
        }
        if self.remove_container(name).await.is_err() {
            return Err(refused);
        }
        self.docker.create_container(name, body, network, fixed).await
    }

    pub async fn start_container(&self, name: &str) -> Result<(), Failure> {
        let started = self.docker.start_container(name).await;
        started.map_err(|error| Failure::because(format!("cannot start `{name}`"), &error))
    }

    pub async fn stop_container(&self, name: &str) -> Result<(), Failure> {
        let stopped = self.docker.stop_container(name).await;
        stopped.map_err(|error| Failure::because(format!("cannot stop `{name}`"), &error))
    }

    /// Takes a container away that something failed with: why it failed comes first, whatever comes
    /// of taking it away.
    pub async fn undo_container(&self, name: &str, failure: Failure) -> Failure {
        match self.remove_container(name).await {
            Ok(()) => failure,
            Err(left) => failure.note(format!("cleaning up failed too: {left}")),
        }
    }
}
