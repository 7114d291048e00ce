//! What a kind of resource is to the rest of topo: it describes what the file wants, sees what is
//! there, and does what a plan says. What is to be done is decided in `plan`.

use std::collections::HashMap;
use std::future::ready;

use crate::backend::docker::Snapshot;
use crate::backend::host::StateFolder;
use crate::backend::machine::Machine;
use crate::engine::{Failure, Turn};
use crate::plan::{Id, Item, Outputs, Plan, Resource, SecretKey, Table, World};
use crate::resources::base::claim::Claim;
use crate::resources::base::context::Context;
use crate::resources::base::holdings::Holdings;
use crate::resources::base::kube::inside::{Inside, Listed};
use crate::resources::base::kube::objects::Objects;
use crate::resources::base::objection::Objections;
use crate::resources::base::pins::Pin;
use crate::resources::base::rendered::{Part, Rendered};
use crate::templates::Templates;
use crate::topology::Topology;

/// One of these for every kind; `registry.rs` lists them.
pub trait ResourceKind {
    /// Its name, and what changing each field costs.
    const TABLE: Table;

    /// Whether many of its turns are carried out as one.
    const IS_GATHERED: bool = false;

    /// What the file asks for.
    fn desired(from: &Ingredients) -> Result<Vec<Resource>, Objections>;

    /// What the file takes for it that only one topology may have.
    fn holds(_: &Topology) -> Holdings {
        Holdings::default()
    }

    /// What the file says for it that means something else once the outside has changed.
    fn pins(_: &Topology) -> Result<Vec<Pin>, Failure> {
        Ok(Vec::new())
    }

    /// What of it is handed to other programs, as far as that is known before anything is made.
    fn rendered(_: &Ingredients, _: Part, _show_secrets: bool) -> Result<Vec<Rendered>, Failure> {
        Ok(Vec::new())
    }

    /// Sees what the engine and this machine have of it. In the world are only kinds that stand before
    /// it in the same brackets of the list.
    fn observe(
        _: &Context,
        _: &Snapshot,
        _: &mut World,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        ready(Ok(()))
    }

    /// The objects in the cluster that it is made of.
    fn lists(_: &Context) -> Vec<Listed> {
        Vec::new()
    }

    /// Sees what the cluster has of it, when all that the engine has was seen, of every kind.
    fn observe_inside(
        _: &Inside<'_>,
        _: &mut World,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        ready(Ok(()))
    }

    /// Fills a plan up with what neither the file nor a look at the world tells by itself.
    fn explain(
        _: &Context,
        _: &mut Plan,
        _: &MadeFrom<'_>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        ready(Ok(()))
    }

    /// The image that making it would build.
    fn builds<'a>(_: &'a Resource, _: &Snapshot) -> Option<&'a str> {
        None
    }

    /// Looks for the programs that carrying this out takes, before anything is changed.
    fn tools(_: &Context, _: &Item) -> Result<(), Failure> {
        Ok(())
    }

    /// Makes, changes, starts or removes one, and answers what it gives to others.
    fn change(cx: &Context, turn: &Turn) -> impl Future<Output = Result<Outputs, Failure>> + Send;

    /// Waits until it works, and answers what became known by that.
    fn wait(_: &Context, _: &Turn) -> impl Future<Output = Result<Outputs, Failure>> + Send {
        ready(Ok(Outputs::new()))
    }
}

/// What the wanted resources are made from. Nothing in it is asked for its state.
pub struct Ingredients<'a> {
    pub topology: &'a Topology,
    pub objects: &'a Objects,
    pub templates: &'a Templates,
    pub claim: Option<&'a Claim>,
    /// For the ids of local images.
    pub snapshot: &'a Snapshot,
    /// Where the engine is, if not here.
    pub machine: Option<&'a Machine>,
    /// The folder of what belongs to this machine's user, where one is known.
    pub state: Option<&'a StateFolder>,
    /// What secrets of the file are sealed with.
    pub key: &'a SecretKey,
}

/// What a plan was made from.
pub struct MadeFrom<'a> {
    pub desired: HashMap<&'a Id, &'a Resource>,
    pub world: &'a World,
}
