//! `topo ls`: which topologies an engine has.

use super::session::reach_engine;
use crate::backend::docker::{Container, Snapshot};
use crate::error::{Error, Exit};
use crate::resources::{Claims, Whose, of_container, publications};
use crate::view::{Listed, View};

/// List the topologies of this engine
///
/// Each with the file that it was applied from, how many of its containers run, and the ports that it
/// publishes. Needs no file.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn ls(_: &Args, view: &mut dyn View) -> Result<Exit, Error> {
    let (_, snapshot) = reach_engine().await?;
    let claims = Claims::read(&snapshot);
    let mut listed: Vec<Listed> =
        claims.topologies().map(|name| listed(name, &claims, &snapshot)).collect();
    listed.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    view.listing(&listed);
    Ok(Exit::Done)
}

fn listed(name: &str, claims: &Claims, snapshot: &Snapshot) -> Listed {
    let is_ours = |container: &&Container| of_container(name, container) == Whose::Ours;
    let containers: Vec<&Container> = snapshot.containers.iter().filter(is_ours).collect();
    Listed {
        name: name.to_owned(),
        file: claims.of(name).map(|claim| claim.file.clone()),
        containers: containers.len(),
        running: containers.iter().filter(|container| container.is_running()).count(),
        publishes: containers
            .iter()
            .flat_map(|container| publications(container))
            .map(|publication| publication.to_string())
            .collect(),
    }
}
