//! The order that the hooks of charts ask for: those of `pre-install` one after another, then the rest
//! of the chart, then those of `post-install`. Each waits until what goes before it works, as with
//! `helm install --wait`.

use std::collections::{BTreeSet, HashMap};

use crate::manifest::{Facts, Hook, Manifests, Object};
use crate::plan::Bond;
use crate::resources::base::kube::objects::Objects;

/// What each object uses for its place, by its own place among all.
pub fn bonds(objects: &Objects) -> HashMap<usize, Vec<Bond>> {
    let source = |at: &usize| objects.manifests.objects[*at].source;
    let charts: BTreeSet<usize> = objects.manifests.hooks.keys().map(source).collect();
    let mut bonds: HashMap<usize, Vec<Bond>> = HashMap::new();
    for (first, then) in charts.into_iter().flat_map(|chart| order(&objects.manifests, chart)) {
        bonds.entry(then).or_default().push(Bond::Uses(objects.ids[first].clone()));
    }
    bonds
}

/// Pairs of which the first goes before the second.
fn order(manifests: &Manifests, chart: usize) -> Vec<(usize, usize)> {
    let (mut hooks, mut others) = (Vec::new(), Vec::new());
    let all = manifests.objects.iter().enumerate();
    for (at, object) in all.filter(|(_, object)| object.source == chart) {
        match manifests.hooks.get(&at) {
            Some(hook) => hooks.push((hook, runs_pods(object), &object.name, at)),
            None if is_ground(object) => {}
            None => others.push(at),
        }
    }
    hooks.sort_unstable();
    let first_after = hooks.partition_point(|(hook, ..)| matches!(hook, Hook::Before(_)));
    let hooks: Vec<usize> = hooks.into_iter().map(|(.., at)| at).collect();
    let (before, after) = hooks.split_at(first_after);

    let one_by_one = hooks.windows(2).map(|pair| (pair[0], pair[1]));
    let after_hooks =
        before.last().into_iter().flat_map(|last| others.iter().map(|at| (*last, *at)));
    let before_hooks =
        after.first().into_iter().flat_map(|next| others.iter().map(|at| (*at, *next)));
    one_by_one.chain(after_hooks).chain(before_hooks).collect()
}

/// Among hooks of the same weight accounts and settings come before what runs with them.
fn runs_pods(object: &Object) -> bool {
    matches!(object.facts, Facts::Runs { .. })
}

/// Namespaces and definitions come before everything, hooks included.
fn is_ground(object: &Object) -> bool {
    object.kind.is("", "Namespace") || matches!(object.facts, Facts::Defines(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Kinds, Source, read};

    #[test]
    fn hooks_stand_one_by_one_around_the_rest() {
        let object = |kind: &str, name: &str, hook: &str, weight: &str| {
            let notes = format!("helm.sh/hook: {hook}, helm.sh/hook-weight: '{weight}'");
            let notes = if hook.is_empty() { "" } else { &notes };
            let head = format!("metadata: {{ name: {name}, annotations: {{ {notes} }} }}");
            let spec = "spec: { template: { spec: { containers: [] } } }";
            format!("apiVersion: {kind}\n{head}\n{spec}\n---\n")
        };
        let job = "batch/v1\nkind: Job";
        let text = object("v1\nkind: Namespace", "ground", "", "0")
            + &object("v1\nkind: ConfigMap", "rest", "", "0")
            + &object("apps/v1\nkind: Deployment", "web", "", "0")
            + &object(job, "last", "post-install", "1")
            + &object(job, "first", "pre-install", "-1")
            + &object(job, "check", "test", "0")
            + &object(job, "a-run", "pre-install", "0")
            + &object("v1\nkind: ServiceAccount", "z-account", "pre-install", "0");
        let source = Source { text, release: Some("apps".into()), ..Source::default() };
        let manifests = read(vec![source], &mut Kinds::default(), &[]).expect("reads");
        let name = |at: usize| &*manifests.objects[at].name;
        let pairs: Vec<_> =
            order(&manifests, 0).into_iter().map(|(one, two)| (name(one), name(two))).collect();
        assert_eq!(
            pairs,
            [
                ("first", "z-account"),
                ("z-account", "a-run"),
                ("a-run", "last"),
                ("a-run", "rest"),
                ("a-run", "web"),
                ("rest", "last"),
                ("web", "last"),
            ]
        );
        let namespaces: BTreeSet<_> =
            manifests.objects.iter().map(|object| object.namespace.as_deref()).collect();
        assert_eq!(namespaces, BTreeSet::from([None, Some("apps")]));
        assert_eq!(manifests.left_out.len(), 1);
    }
}
