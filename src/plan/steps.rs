//! From a plan to the order in which its steps may run.
//!
//! A replaced resource is two steps, so that what rests on it is removed before it is and made
//! again after it:
//!
//! ```text
//!   remove gateway --> remove network --> make network --> make gateway
//! ```

use std::collections::HashMap;

use super::{Action, Id, Plan, Resource, Span, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    Remove,
    Make,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Index into the plan's items.
    pub item: usize,
    pub phase: Phase,
}

#[derive(Debug, Default)]
pub struct StepGraph {
    pub steps: Vec<Step>,
    /// For each step, those that may run only after it.
    pub followers: Vec<Vec<usize>>,
    /// For each step, how many others must end first.
    pub waits_for: Vec<usize>,
}

impl StepGraph {
    fn edge(&mut self, first: usize, then: usize) {
        if first != then {
            self.followers[first].push(then);
            self.waits_for[then] += 1;
        }
    }
}

pub fn steps(plan: &Plan, desired: &[Resource], world: &World) -> StepGraph {
    let mut graph = StepGraph::default();
    let mut removes: HashMap<&Id, usize> = HashMap::new();
    let mut makes: HashMap<&Id, usize> = HashMap::with_capacity(plan.items.len());
    for (at, item) in plan.items.iter().enumerate() {
        let mut add = |phase, into: &mut HashMap<_, _>| {
            into.insert(&item.id, graph.steps.len());
            graph.steps.push(Step { item: at, phase });
        };
        if matches!(item.action, Action::Delete | Action::Replace) {
            add(Phase::Remove, &mut removes);
        }
        if item.action != Action::Delete {
            add(Phase::Make, &mut makes);
        }
    }
    graph.followers = vec![Vec::new(); graph.steps.len()];
    graph.waits_for = vec![0; graph.steps.len()];

    let resources: HashMap<&Id, &Resource> =
        desired.iter().map(|resource| (&resource.id, resource)).collect();
    for item in &plan.items {
        let (remove, make) = (removes.get(&item.id), makes.get(&item.id));
        if let (Some(remove), Some(make)) = (remove, make) {
            graph.edge(*remove, *make);
        }
        let needed: Vec<&Id> = match resources.get(&item.id) {
            Some(resource) => super::needs_of(resource).collect(),
            None => item.bonds.iter().map(super::Bond::id).collect(),
        };
        for id in needed {
            if let (Some(make), Some(first)) = (make, makes.get(id)) {
                graph.edge(*first, *make);
            }
            if let (Some(remove), Some(then)) = (remove, removes.get(id)) {
                graph.edge(*remove, *then);
            }
        }
    }
    for (frees, takes) in handovers(plan, &resources, world) {
        let first = removes.get(frees).or_else(|| makes.get(frees));
        if let (Some(first), Some(then)) = (first, makes.get(takes)) {
            graph.edge(*first, *then);
        }
    }
    graph
}

/// Pairs of resources where one gives up what the other is about to take: addresses, ports.
///
/// Two that swap wait for nobody: an edge each way would be a circle, and whichever goes first
/// meets the other's hold and says so.
fn handovers<'a>(
    plan: &'a Plan,
    resources: &HashMap<&Id, &Resource>,
    world: &'a World,
) -> Vec<(&'a Id, &'a Id)> {
    let mut held: Vec<(&Span, &Id)> = Vec::new();
    let mut taken: Vec<(&Span, &Id)> = Vec::new();
    for item in plan.items.iter().filter(|item| item.action.changes_something()) {
        let seen = world.things.get(&item.id);
        held.extend(seen.into_iter().flat_map(|seen| &seen.holds).map(|span| (span, &item.id)));
        let resource = resources.get(&item.id);
        taken.extend(
            resource.into_iter().flat_map(|resource| &resource.takes).map(|span| (span, &item.id)),
        );
    }
    held.sort_unstable_by_key(|(span, id)| (&span.space, span.first, *id));
    let mut pairs: Vec<(&Id, &Id)> = Vec::new();
    for (wanted, by) in taken {
        // Holds of one space do not meet one another, so those that meet this span lie side by side.
        let start = held
            .partition_point(|(span, _)| (&span.space, span.last) < (&wanted.space, wanted.first));
        pairs.extend(
            held[start..]
                .iter()
                .take_while(|(span, _)| span.meets(wanted))
                .filter(|(_, holder)| *holder != by)
                .map(|(_, holder)| (*holder, by)),
        );
    }
    pairs.sort_unstable();
    pairs.dedup();
    let swaps: Vec<(&Id, &Id)> =
        pairs.iter().filter(|(a, b)| pairs.binary_search(&(*b, *a)).is_ok()).copied().collect();
    pairs.retain(|pair| !swaps.contains(pair));
    pairs
}
