//! Where there is a log to read, and where a command can be run: the containers of a topology, and the
//! workloads among its objects.

use std::sync::Arc;

use crate::backend::docker::Snapshot;
use crate::backend::kube::Target;
use crate::manifest::{Kind, Kinds};
use crate::plan::Id;
use crate::resources::base::docker::kind_nodes;
use crate::resources::base::docker::ownership::{Whose, of_container};
use crate::resources::base::kube::objects;
use crate::resources::base::{ids, marks};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Site {
    Container(Container),
    Workload(Workload),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub id: Id,
    pub name: String,
    pub is_running: bool,
    pub reads: Reads,
}

/// What of a container is worth reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// What its program writes.
    Log,
    /// That of a node is its init's: what happens there stands in the journal.
    Journal,
}

/// An object that has pods, or is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    pub id: Id,
    pub kind: Arc<Kind>,
    pub namespace: String,
    pub name: String,
}

impl Site {
    pub fn id(&self) -> &Id {
        match self {
            Self::Container(container) => &container.id,
            Self::Workload(workload) => &workload.id,
        }
    }
}

impl Workload {
    pub fn target(&self) -> Target<'_> {
        Target { kind: &self.kind, namespace: Some(&self.namespace), name: &self.name }
    }

    /// As kubectl takes it: `deployments.apps/web`, `pods/once`.
    pub fn typed(&self) -> String {
        let Kind { plural, group, .. } = &*self.kind;
        let dot = if group.is_empty() { "" } else { "." };
        format!("{plural}{dot}{group}/{}", self.name)
    }
}

impl Container {
    pub fn is_node(&self) -> bool {
        self.id.kind() == ids::NODE
    }
}

/// The containers that are a topology's, by id: what topo made, and the nodes.
pub fn containers(topology: &str, snapshot: &Snapshot) -> Vec<Container> {
    let ours = snapshot.containers.iter().filter(|it| of_container(topology, it) == Whose::Ours);
    // One that is about to take the place of another has its labels.
    let made = ours.filter_map(|container| {
        let id: Id = container.labels.get(marks::ID)?.parse().ok()?;
        let name = &container.name;
        let is_its = *name == id.name() || *name == format!("{}-{}", id.name(), id.kind());
        is_its.then_some((id, container, Reads::Log))
    });
    let nodes = kind_nodes::containers(snapshot, topology).map(|node| {
        let balances = kind_nodes::is_load_balancer(node);
        let reads = if balances { Reads::Log } else { Reads::Journal };
        (ids::node(&node.name), node, reads)
    });
    let mut found: Vec<Container> = made
        .chain(nodes)
        .map(|(id, container, reads)| Container {
            id,
            name: container.name.clone(),
            is_running: container.is_running(),
            reads,
        })
        .collect();
    found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    found
}

/// None for what has no pods.
pub fn workload(id: &Id) -> Option<Workload> {
    let (group, kind, namespace, name) = objects::parts(id).filter(|_| id.kind() == ids::OBJECT)?;
    let api = match (group, kind) {
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") => "apps/v1",
        ("batch", "Job") => "batch/v1",
        ("", "Pod") => "v1",
        _ => return None,
    };
    Some(Workload {
        id: id.clone(),
        kind: Kinds::default().named(&api.into(), &kind.into()),
        namespace: namespace?.to_owned(),
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::docker::{self, ContainerState, Labels};

    fn container(name: &str, labels: &[(&str, &str)], mounts: &[&str]) -> docker::Container {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        docker::Container {
            id: name.to_owned(),
            name: name.to_owned(),
            image: String::new(),
            image_id: String::new(),
            state: ContainerState::Running,
            status: String::new(),
            labels: labels.collect::<Labels>(),
            addresses: [].into(),
            ports: Vec::new(),
            mounts: mounts.iter().map(|mount| (*mount).to_owned()).collect(),
        }
    }

    #[test]
    fn containers_are_those_of_the_topology_and_known_by_id() {
        let of = |topology, id| [(marks::TOPOLOGY, topology), (marks::ID, id)];
        let node = |role| [("io.x-k8s.kind.cluster", "dev"), (kind_nodes::ROLE_LABEL, role)];
        let mark = "/etc/topo.dev/dev";
        let snapshot = Snapshot {
            containers: vec![
                container("dev-gw", &of("dev", "gateway/dev-gw"), &[]),
                container("dev-gw-next", &of("dev", "gateway/dev-gw"), &[]),
                container("dev-connector", &of("dev", "connector/dev"), &[]),
                container("other-gw", &of("other", "gateway/other-gw"), &[]),
                container("dev-worker", &node("worker"), &[mark]),
                container("dev-external-load-balancer", &node("external-load-balancer"), &[]),
                container("bystander", &[], &[]),
            ],
            ..Snapshot::default()
        };
        let found = containers("dev", &snapshot);
        let found: Vec<(&str, &str, Reads)> =
            found.iter().map(|it| (it.id.as_str(), it.name.as_str(), it.reads)).collect();
        assert_eq!(
            found,
            [
                ("connector/dev", "dev-connector", Reads::Log),
                ("gateway/dev-gw", "dev-gw", Reads::Log),
                ("node/dev-external-load-balancer", "dev-external-load-balancer", Reads::Log),
                ("node/dev-worker", "dev-worker", Reads::Journal),
            ]
        );
    }

    #[test]
    fn workloads_are_objects_with_pods() {
        let id = |text: &str| text.parse().expect("valid");
        let found = workload(&id("object/apps/Deployment/shop/web")).expect("it has pods");
        assert_eq!((found.namespace.as_str(), &*found.typed()), ("shop", "deployments.apps/web"));
        let pod = workload(&id("object/core/Pod/default/once")).expect("it is one");
        assert_eq!(pod.typed(), "pods/once");
        assert_eq!(workload(&id("object/core/Service/shop/web")), None);
        assert_eq!(workload(&id("gateway/dev-gw")), None);
    }
}
