//! The inside of the cluster, looked at once for all kinds.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::backend::kube::{Kube, KubeError};
use crate::engine::Failure;
use crate::manifest::Kind;
use crate::resources::base::context::Context;
use crate::resources::base::kube::listing::Listing;
use crate::resources::base::kube::objects::Objects;
use crate::resources::base::kube::service;

/// A kind of object to list.
pub struct Listed {
    pub kind: Arc<Kind>,
    /// Those of others too, where they are few and may stand in the way.
    pub of_all: bool,
}

pub struct Inside<'a> {
    pub cx: &'a Context,
    pub kube: Kube,
    /// What the manifests of the file say.
    pub objects: Arc<Objects>,
    /// What bears this topology's mark, and of some kinds all there is.
    pub found: Listing,
    node: OnceCell<Option<IpAddr>>,
}

impl Listed {
    /// Those that bear the topology's mark.
    pub fn own(kind: Arc<Kind>) -> Self {
        Self { kind, of_all: false }
    }

    pub fn of_all(kind: Arc<Kind>) -> Self {
        Self { kind, of_all: true }
    }
}

impl<'a> Inside<'a> {
    pub fn new(cx: &'a Context, kube: Kube, objects: Arc<Objects>, found: Listing) -> Self {
        Self { cx, kube, objects, found, node: OnceCell::new() }
    }

    /// The address of the first node, at which everything that nodes serve is reached.
    pub async fn node_address(&self) -> Result<Option<IpAddr>, Failure> {
        let look = || service::node_address(&self.kube);
        self.node.get_or_try_init(look).await.copied().map_err(unseen)
    }
}

pub fn unseen(error: KubeError) -> Failure {
    Failure::because("cannot look into the cluster", &error)
}
