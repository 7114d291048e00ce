//! The graph of what is wanted: one node a resource, an edge for every real need.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use rayon::prelude::*;

use super::{Id, IdMap, Resource};

/// Edges run from what is needed to what needs it, so that following them is the order of making.
#[derive(Debug)]
pub struct Graph {
    needs: DiGraph<Id, ()>,
    index: IdMap<Id, NodeIndex>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    #[error("`{by}` needs `{needed}`, which is not in this topology")]
    Missing { by: Id, needed: Id },
    #[error("dependency cycle: {}", arrows(.0))]
    Cycle(Vec<Id>),
    #[error("`{0}` is defined twice")]
    Twice(Id),
}

fn arrows(members: &[Id]) -> String {
    let mut text: Vec<&str> = members.iter().map(Id::as_str).collect();
    text.extend(members.first().map(Id::as_str));
    text.join(" -> ")
}

impl Graph {
    /// The order of the given resources does not matter.
    pub fn of(resources: &[Resource]) -> Result<Self, GraphError> {
        let mut ids: Vec<&Id> = resources.iter().map(|resource| &resource.id).collect();
        ids.par_sort_unstable();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(GraphError::Twice(pair[0].clone()));
        }

        let mut graph = Self {
            needs: DiGraph::with_capacity(ids.len(), ids.len() * 2),
            index: IdMap::default(),
        };
        graph.index.reserve(ids.len());
        for id in ids {
            let node = graph.needs.add_node(id.clone());
            graph.index.insert(id.clone(), node);
        }
        let mut missing: Option<(&Id, &Id)> = None;
        for resource in resources {
            for needed in resource.needs() {
                if let Some(from) = graph.index.get(needed) {
                    graph.needs.add_edge(*from, graph.index[&resource.id], ());
                } else {
                    let lack = (&resource.id, needed);
                    missing = Some(missing.map_or(lack, |first| first.min(lack)));
                }
            }
        }
        match missing {
            None => Ok(graph),
            Some((by, needed)) => {
                Err(GraphError::Missing { by: by.clone(), needed: needed.clone() })
            }
        }
    }

    /// Every need, as (what is needed, what needs it), in the order of ids.
    pub fn edges(&self) -> impl Iterator<Item = (&Id, &Id)> {
        self.needs.node_indices().flat_map(move |node| {
            let mut needing: Vec<NodeIndex> = self.needs.neighbors(node).collect();
            needing.sort_unstable();
            needing.dedup();
            needing.into_iter().map(move |by| (&self.needs[node], &self.needs[by]))
        })
    }

    /// Every resource after all that it needs; among those that could come next, the smallest id first.
    pub fn order(&self) -> Result<Vec<Id>, GraphError> {
        let mut waiting: Vec<usize> = self
            .needs
            .node_indices()
            .map(|node| self.needs.edges_directed(node, Direction::Incoming).count())
            .collect();
        let mut ready: BinaryHeap<Reverse<NodeIndex>> = self
            .needs
            .node_indices()
            .filter(|node| waiting[node.index()] == 0)
            .map(Reverse)
            .collect();

        let mut order = Vec::with_capacity(waiting.len());
        while let Some(Reverse(node)) = ready.pop() {
            order.push(self.needs[node].clone());
            for next in self.needs.neighbors(node) {
                waiting[next.index()] -= 1;
                if waiting[next.index()] == 0 {
                    ready.push(Reverse(next));
                }
            }
        }
        if order.len() == waiting.len() {
            Ok(order)
        } else {
            Err(GraphError::Cycle(self.cycle(&waiting)))
        }
    }

    /// One circle among the nodes that could not be ordered, in the order in which each needs the next.
    fn cycle(&self, waiting: &[usize]) -> Vec<Id> {
        let stuck = |node: &NodeIndex| waiting[node.index()] > 0;
        let Some(start) = self.needs.node_indices().find(stuck) else {
            return Vec::new();
        };
        // Every stuck node needs another stuck one, so walking along needs must come around.
        let mut walked: Vec<NodeIndex> = Vec::new();
        let mut position = vec![None; waiting.len()];
        let mut here = start;
        loop {
            if let Some(at) = position[here.index()] {
                return walked[at..]
                    .iter()
                    .map(|node: &NodeIndex| self.needs[*node].clone())
                    .collect();
            }
            position[here.index()] = Some(walked.len());
            walked.push(here);
            let needed =
                self.needs.neighbors_directed(here, Direction::Incoming).filter(stuck).min();
            let Some(needed) = needed else { return Vec::new() };
            here = needed;
        }
    }
}
