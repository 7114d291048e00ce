//! What a file asks for, as far as that can be told without an engine and a cluster.

use super::load;
use super::variables::variable;
use crate::backend::docker::Snapshot;
use crate::backend::download::Downloads;
use crate::error::Error;
use crate::plan::{Graph, Resource, SecretKey};
use crate::resources::{self, Ground, Ingredients, Objections, Objects};
use crate::topology::Topology;

/// What a file asks for, which can be put in an order.
pub struct Desired {
    pub resources: Vec<Resource>,
    /// Of its manifests.
    pub objects: Objects,
}

/// Or why it cannot be.
pub async fn desired(
    topology: Topology,
    downloads: &Downloads,
) -> Result<Result<Desired, Objections>, Error> {
    let topology = &resources::settle(topology, &Ground::nowhere())?.topology;
    let templates = load::templates(topology)?;
    let objects = match Objects::read(Some(topology), downloads, &variable).await {
        Ok(objects) => objects,
        Err(objections) => return Ok(Err(objections)),
    };
    let desired = resources::desired(&Ingredients {
        topology,
        objects: &objects,
        templates: &templates,
        claim: None,
        snapshot: &Snapshot::default(),
        machine: None,
        state: None,
        key: &SecretKey::new(b""),
    });
    Ok(desired.and_then(|resources| match Graph::of(&resources).and_then(|graph| graph.order()) {
        Ok(_) => Ok(Desired { resources, objects }),
        Err(error) => Err(resources::of_graph(error, &resources, topology)),
    }))
}
