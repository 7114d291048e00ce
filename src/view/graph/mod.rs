//! Pictures of the graph of resources. Pure: resources in, text out.

mod dot;
mod html;
mod layout;
mod mermaid;
mod svg;
mod text;

use std::collections::HashMap;

use petgraph::algo::tred::{dag_to_toposorted_adjacency_list, dag_transitive_reduction_closure};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::IntoNeighbors;

use crate::plan::{Graph, GraphError, Id, Resource};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Dot,
    Mermaid,
    Svg,
    Html,
}

/// What is drawn: every resource after all that it needs, and who needs whom.
///
/// A need that another need already implies is left out: a Service that needs a cluster needs the
/// cluster's network too, and a line for that would only hide the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub title: String,
    pub nodes: Vec<Id>,
    /// For each node, the ones it needs, as indices into `nodes`.
    pub needs: Vec<Vec<usize>>,
}

impl Picture {
    pub fn of(title: impl Into<String>, resources: &[Resource]) -> Result<Self, GraphError> {
        let nodes = Graph::of(resources)?.order()?;
        let index: HashMap<&Id, usize> =
            nodes.iter().enumerate().map(|(at, id)| (id, at)).collect();
        let mut graph: DiGraph<(), ()> = DiGraph::with_capacity(nodes.len(), nodes.len() * 2);
        for _ in &nodes {
            graph.add_node(());
        }
        for resource in resources {
            let by = index[&resource.id];
            for needed in resource.needs().filter_map(|needed| index.get(needed)) {
                graph.update_edge(NodeIndex::new(*needed), NodeIndex::new(by), ());
            }
        }
        let needs = essential(&graph, nodes.len());
        Ok(Self { title: title.into(), nodes, needs })
    }

    pub fn draw(&self, format: Format) -> String {
        match format {
            Format::Text => text::draw(self),
            Format::Dot => dot::draw(self),
            Format::Mermaid => mermaid::draw(self),
            Format::Svg => svg::draw(self),
            Format::Html => html::draw(self),
        }
    }

    /// Pairs of a needed node and the one that needs it.
    fn edges(&self) -> impl Iterator<Item = (usize, usize)> {
        let edges = |(by, needs): (usize, &'_ Vec<usize>)| {
            needs.clone().into_iter().map(move |needed| (needed, by))
        };
        self.needs.iter().enumerate().flat_map(edges)
    }
}

/// For each node the needs that no other need implies, in ascending order.
fn essential(graph: &DiGraph<(), ()>, count: usize) -> Vec<Vec<usize>> {
    // Nodes were added in an order of making, which is a topological one.
    let order: Vec<NodeIndex> = graph.node_indices().collect();
    let (list, _) = dag_to_toposorted_adjacency_list::<_, u32>(graph, &order);
    let (reduced, _) = dag_transitive_reduction_closure(&list);
    let mut needs = vec![Vec::new(); count];
    for needed in reduced.node_indices() {
        for by in reduced.neighbors(needed) {
            needs[by as usize].push(needed as usize);
        }
    }
    needs
}

/// What a box says: the kind in small and the name in large.
fn label(id: &Id) -> (String, String) {
    let parts: Vec<&str> = id.name().split('/').collect();
    match (id.kind(), parts.as_slice()) {
        ("object", [_, kind, "_", name @ ..]) => ((*kind).to_owned(), name.join("/")),
        ("object", [_, kind, namespace, name @ ..]) => {
            (format!("{kind} in {namespace}"), name.join("/"))
        }
        (kind, _) => (kind.to_owned(), id.name().to_owned()),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
