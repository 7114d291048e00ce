//! Services that ask for an address, where nothing that topo knows of gives one.

use crate::manifest::{Facts, Object};
use crate::plan::{Action, Plan};
use crate::resources::base::kube::objects::{Objects, id};
use crate::topology::Topology;

/// The API group of MetalLB's own objects: whoever writes them brings the load balancer.
const METALLB: &str = "metallb.io";

/// The Services of the manifests that ask for an address.
pub fn asking(objects: &Objects) -> Vec<&Object> {
    let all = objects.manifests.objects.iter();
    all.filter(|object| matches!(object.facts, Facts::Balanced { .. })).collect()
}

/// Whether the file makes a cluster of its own, and nothing in it that gives addresses.
pub fn lacks_balancer(topology: &Topology, objects: &Objects) -> bool {
    let is_own = topology.cluster.as_ref().is_some_and(|cluster| !cluster.exists());
    let brings = |object: &Object| *object.kind.group == *METALLB;
    is_own && topology.metallb.is_none() && !objects.manifests.objects.iter().any(brings)
}

/// What a person should know of the Services that the plan creates.
pub fn unbalanced(topology: &Topology, objects: &Objects, plan: &Plan) -> Option<String> {
    if !lacks_balancer(topology, objects) {
        return None;
    }
    let is_created = |object: &&Object| {
        let id = id(&object.kind, object.namespace.as_deref(), &object.name);
        plan.items.iter().any(|item| item.id == id && item.action == Action::Create)
    };
    let mut created = asking(objects).into_iter().filter(is_created);
    let first = created.next()?;
    let which = match created.count() {
        0 => format!("Service `{}` is", first.name),
        more => format!("Service `{}` and {more} more are", first.name),
    };
    Some(format!(
        "{which} of type LoadBalancer, and the file has no `metallb` to assign addresses; write `metallb: {{ pools: [{{ name: default, size: 20 }}] }}`, or use `type: NodePort`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Id, Item};

    const SERVICE: &str =
        "apiVersion: v1\nkind: Service\nmetadata: { name: web }\nspec: { type: LoadBalancer }\n";

    fn warned(file: &str, manifests: &str, action: Action) -> Option<String> {
        let topology = serde_yaml::from_str(file).expect("a topology");
        let web: Id = "object/core/Service/default/web".parse().expect("an id");
        let plan = Plan { items: vec![Item::new(web, action)], ..Plan::default() };
        unbalanced(&topology, &Objects::of_text(manifests), &plan)
    }

    #[test]
    fn a_new_service_that_nothing_gives_an_address_is_warned_of() {
        const OWN: &str = "name: dev\ncluster: {}\n";
        let said = warned(OWN, SERVICE, Action::Create).expect("a warning");
        assert!(said.starts_with("Service `web` is of type LoadBalancer, and the file"), "{said}");
        assert_eq!(warned(OWN, SERVICE, Action::None), None);
        let balanced =
            "name: dev\ncluster: {}\nmetallb: { pools: [{ name: default, size: 20 }] }\n";
        assert_eq!(warned(balanced, SERVICE, Action::Create), None);
        let brought = format!(
            "{SERVICE}---\napiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{ name: p }}\n"
        );
        assert_eq!(warned(OWN, &brought, Action::Create), None);
        let existing = "name: dev\ncluster: { context: kind-other }\n";
        assert_eq!(warned(existing, SERVICE, Action::Create), None);
    }
}
