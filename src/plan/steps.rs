//! From a plan to the order in which its steps may run.
//!
//! A replaced resource is two steps, so that what rests on it is removed before it is and made
//! again after it:
//!
//! ```text
//!   remove gateway --> remove network --> make network --> make gateway
//! ```
//!
//! What needs what is never given up. The other reasons to wait are: two that would be one
//! another's reason wait for neither, and whichever goes first meets the other and says so.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;

use super::{Action, Bond, Id, IdMap, Item, Plan, Record, Resource, Span, Stage, World};

/// The step that ends first, and the one that waits for it.
pub type Edge = (usize, usize);

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
    /// Followers that need not wait for the end of the first: the stage of it that they wait for.
    pub early: HashMap<Edge, Stage>,
}

pub fn steps(plan: &Plan, desired: &[Resource], world: &World) -> StepGraph {
    let resources: IdMap<&Id, &Resource> =
        desired.iter().map(|resource| (&resource.id, resource)).collect();
    let mut graph = StepGraph::default();
    let stages = Stages::of(plan, &mut graph);

    for item in &plan.items {
        stages.needs(item, resources.get(&item.id).copied(), world, |edge| graph.edge(edge));
    }
    graph.edges_unless_circular(
        plan.items.iter().flat_map(|item| stages.of_closed(item, world)).collect(),
    );
    let stops = plan.items.iter().filter(|item| item.action == Action::Stop);
    graph.edges_unless_circular(stops.flat_map(|item| stages.of_stop(item)).collect());
    let (own, held) = stages.of_removals(world);
    graph.edges_unless_circular(own);
    graph.edges_unless_circular(held);
    let handovers = handovers(plan, &resources, world).into_iter();
    graph.edges_unless_circular(
        handovers.filter_map(|(frees, takes)| stages.of_handover(frees, takes)).collect(),
    );
    let updated = plan.items.iter().filter(|item| item.action == Action::Update);
    let updated: HashSet<&Id> = updated.map(|item| &item.id).collect();
    let leaving = plan.items.iter().flat_map(|item| {
        let mut edges = stages.of_going(item, &updated, world);
        edges.extend(stages.of_leaving(item, resources.get(&item.id).copied(), world));
        edges
    });
    graph.edges_unless_circular(leaving.collect());
    graph.early = stages.of_early_needs(plan, &resources);
    graph
}

impl StepGraph {
    fn edge(&mut self, (first, then): Edge) {
        self.followers[first].push(then);
        self.waits_for[then] += 1;
    }

    /// Adds those that do not close a circle, with what is there or among themselves.
    fn edges_unless_circular(&mut self, edges: Vec<(usize, usize)>) {
        if edges.is_empty() {
            return;
        }
        let mut whole: DiGraph<(), (), usize> = DiGraph::default();
        for _ in &self.steps {
            whole.add_node(());
        }
        let present = self.followers.iter().enumerate();
        let present = present.flat_map(|(first, then)| then.iter().map(move |then| (first, *then)));
        whole.extend_with_edges(present.chain(edges.iter().copied()));
        let mut circle = vec![0; self.steps.len()];
        for (number, members) in kosaraju_scc(&whole).into_iter().enumerate() {
            for member in members {
                circle[member.index()] = number;
            }
        }
        let straight = edges.into_iter().filter(|(first, then)| circle[*first] != circle[*then]);
        straight.for_each(|edge| self.edge(edge));
    }

    /// The steps that must end before each.
    fn leaders(&self) -> Vec<Vec<usize>> {
        let mut leaders = vec![Vec::new(); self.steps.len()];
        for (first, followers) in self.followers.iter().enumerate() {
            for then in followers {
                leaders[*then].push(first);
            }
        }
        leaders
    }
}

/// Which steps each item of a plan has.
struct Stages<'a> {
    removes: IdMap<&'a Id, usize>,
    makes: IdMap<&'a Id, usize>,
}

impl<'a> Stages<'a> {
    fn of(plan: &'a Plan, graph: &mut StepGraph) -> Self {
        let mut stages = Self { removes: IdMap::default(), makes: IdMap::default() };
        for (at, item) in plan.items.iter().enumerate() {
            if matches!(item.action, Action::Stop | Action::Delete | Action::Replace) {
                stages.removes.insert(&item.id, graph.steps.len());
                graph.steps.push(Step { item: at, phase: Phase::Remove });
            }
            if !matches!(item.action, Action::Stop | Action::Delete) {
                stages.makes.insert(&item.id, graph.steps.len());
                graph.steps.push(Step { item: at, phase: Phase::Make });
            }
        }
        graph.followers = vec![Vec::new(); graph.steps.len()];
        graph.waits_for = vec![0; graph.steps.len()];
        stages
    }

    /// The first thing that is done to a resource.
    fn first(&self, id: &Id) -> Option<usize> {
        self.removes.get(id).or_else(|| self.makes.get(id)).copied()
    }

    /// What is needed is made first; what was there goes first, by itself or with what it lives in.
    fn needs(
        &self,
        item: &Item,
        resource: Option<&Resource>,
        world: &World,
        mut edge: impl FnMut(Edge),
    ) {
        let Some(make) = self.makes.get(&item.id) else { return };
        let mut needed = |id: &Id| {
            if let Some(first) = self.makes.get(id) {
                edge((*first, *make));
            }
        };
        match resource {
            Some(resource) => resource.needs().for_each(&mut needed),
            // Its record, and records of different days may contradict one another.
            None if item.action == Action::Deferred => {
                item.bonds
                    .iter()
                    .filter(|bond| matches!(bond, Bond::Inside(_)))
                    .map(Bond::id)
                    .for_each(&mut needed);
            }
            None => {}
        }
        if let Some(remove) = self.removal_of(&item.id, world) {
            edge((remove, *make));
        }
    }

    /// What is made anew, of what is made anew, where no look decides what is to be done.
    fn of_early_needs(
        &self,
        plan: &Plan,
        resources: &IdMap<&Id, &Resource>,
    ) -> HashMap<Edge, Stage> {
        let is_made = |item: &Item| matches!(item.action, Action::Create | Action::Replace);
        let made: HashSet<&Id> =
            plan.items.iter().filter(|item| is_made(item)).map(|item| &item.id).collect();
        let mut early = HashMap::new();
        for resource in made.iter().filter_map(|id| resources.get(id)) {
            for (needed, stage) in resource.early.iter().filter(|(id, _)| made.contains(id)) {
                if let (Some(first), Some(then)) =
                    (self.makes.get(needed), self.makes.get(&resource.id))
                {
                    early.insert((*first, *then), *stage);
                }
            }
        }
        early
    }

    /// What is in a closed place is looked for, and taken out of it, when that place is open.
    fn of_closed(&self, item: &Item, world: &World) -> Vec<Edge> {
        let after = |place: &Id, step: usize| Some((*self.makes.get(place)?, step));
        match (item.action, self.first(&item.id)) {
            (Action::Deferred, Some(look)) => {
                world.hidden_in(&item.id).and_then(|place| after(place, look)).into_iter().collect()
            }
            (Action::Delete, Some(remove)) => item
                .bonds
                .iter()
                .filter(|bond| bond.is_held() && world.is_closed(bond.id()))
                .filter_map(|bond| after(bond.id(), remove))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// What needed a removed one, as it was applied, is removed before it: by itself, or with what
    /// it lives in.
    fn of_removals(&self, world: &World) -> (Vec<Edge>, Vec<Edge>) {
        let (mut own, mut held) = (Vec::new(), Vec::new());
        if self.removes.is_empty() {
            return (own, held);
        }
        for (id, record) in world.records().chain(&world.remembered) {
            let mut needed =
                record.needs.iter().filter_map(|bond| self.removes.get(bond.id())).peekable();
            if needed.peek().is_some()
                && let Some(remove) = self.removal_of(id, world)
            {
                let edges = if self.removes.contains_key(id) { &mut own } else { &mut held };
                edges.extend(needed.map(|then| (remove, *then)).filter(|(a, b)| a != b));
            }
        }
        own.sort_unstable();
        held.sort_unstable();
        held.dedup();
        (own, held)
    }

    /// What uses others is stopped before them.
    fn of_stop(&self, item: &Item) -> Vec<Edge> {
        let Some(stop) = self.removes.get(&item.id) else { return Vec::new() };
        let used = item.bonds.iter().filter_map(|bond| self.removes.get(bond.id()));
        used.map(|then| (*stop, *then)).collect()
    }

    /// The step by which a thing goes: its own, or that of something it lives in.
    fn removal_of(&self, id: &Id, world: &World) -> Option<usize> {
        if self.removes.is_empty() {
            return None;
        }
        let mut open = vec![id];
        let mut met: Vec<&Id> = Vec::new();
        while let Some(id) = open.pop() {
            if let Some(remove) = self.removes.get(id) {
                return Some(*remove);
            }
            if !met.contains(&id) {
                met.push(id);
                let record = world.record(id).or_else(|| world.remembered.get(id));
                open.extend(record.into_iter().flat_map(Record::holders));
            }
        }
        None
    }

    /// What no longer needs another lets go of it before that one is touched: by going itself, or
    /// by being changed where it stays.
    fn of_leaving(&self, item: &Item, resource: Option<&Resource>, world: &World) -> Vec<Edge> {
        let (Some(make), Some(resource)) = (self.makes.get(&item.id), resource) else {
            return Vec::new();
        };
        if item.action == Action::None {
            return Vec::new();
        }
        let record = world.record(&item.id).or_else(|| world.remembered.get(&item.id));
        let Some(record) = record else { return Vec::new() };
        let lets_go = self.removal_of(&item.id, world).unwrap_or(*make);
        let left = record.needs.iter().map(Bond::id);
        left.filter(|id| resource.needs().all(|needed| needed != *id))
            .filter_map(|id| Some((lets_go, self.first(id)?)))
            .filter(|(lets_go, touched)| lets_go != touched)
            .collect()
    }

    /// What goes, if only to be made again, lets go of what it used before that is changed: pods
    /// give a share back before its server serves it no more.
    fn of_going(&self, item: &Item, updated: &HashSet<&Id>, world: &World) -> Vec<Edge> {
        let (Some(remove), Some(record)) = (self.removes.get(&item.id), world.record(&item.id))
        else {
            return Vec::new();
        };
        let used = record.needs.iter().filter(|bond| matches!(bond, Bond::Uses(_))).map(Bond::id);
        used.filter(|id| updated.contains(id))
            .filter_map(|id| Some((*remove, *self.makes.get(id)?)))
            .collect()
    }

    fn of_handover(&self, frees: &Id, takes: &Id) -> Option<(usize, usize)> {
        Some((self.first(frees)?, *self.makes.get(takes)?))
    }
}

/// Pairs of resources where the first gives up what the second is about to take: addresses, ports.
fn handovers<'a>(
    plan: &'a Plan,
    resources: &IdMap<&Id, &'a Resource>,
    world: &'a World,
) -> Vec<(&'a Id, &'a Id)> {
    let mut claims: Vec<Claim> = Vec::new();
    for item in plan.items.iter().filter(|item| item.action.changes_something()) {
        let held = world.things.get(&item.id).map_or(&[][..], |seen| &seen.holds);
        let taken = resources.get(&item.id).map_or(&[][..], |resource| &resource.takes);
        claims.extend(held.iter().map(|span| Claim { span, by: &item.id, frees: true }));
        claims.extend(taken.iter().map(|span| Claim { span, by: &item.id, frees: false }));
    }
    claims.sort_unstable_by_key(|claim| (&claim.span.space, claim.span.first, claim.by));

    let mut pairs: Vec<(&Id, &Id)> = Vec::new();
    let mut open: BTreeMap<&Arc<str>, Vec<&Claim>> = BTreeMap::new();
    for claim in &claims {
        let open = open.entry(&claim.span.space).or_default();
        open.retain(|other| other.span.last >= claim.span.first);
        for other in open.iter().filter(|other| other.frees != claim.frees && other.by != claim.by)
        {
            pairs.push(if claim.frees { (claim.by, other.by) } else { (other.by, claim.by) });
        }
        open.push(claim);
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

struct Claim<'a> {
    span: &'a Span,
    by: &'a Id,
    frees: bool,
}

impl Plan {
    /// The part of the plan that these resources and all they wait for take part in.
    pub fn only(self, targets: &[Id], desired: &[Resource], world: &World) -> Self {
        let graph = steps(&self, desired, world);
        let leaders = graph.leaders();
        let mut of_item: Vec<Vec<usize>> = vec![Vec::new(); self.items.len()];
        for (at, step) in graph.steps.iter().enumerate() {
            of_item[step.item].push(at);
        }

        let mut wanted = vec![false; self.items.len()];
        let mut open: Vec<usize> =
            (0..self.items.len()).filter(|at| targets.contains(&self.items[*at].id)).collect();
        while let Some(item) = open.pop() {
            if !std::mem::replace(&mut wanted[item], true) {
                let before = of_item[item].iter().flat_map(|step| &leaders[*step]);
                open.extend(before.map(|step| graph.steps[*step].item));
            }
        }
        let items = self.items.into_iter().zip(wanted);
        Self {
            topology: self.topology,
            items: items.filter_map(|(item, wanted)| wanted.then_some(item)).collect(),
        }
    }
}
