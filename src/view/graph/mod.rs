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
use serde_json::{Value, json};

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

    /// The `topo.graph/v1` document.
    pub fn document(&self) -> Value {
        let names = |needs: &[usize]| needs.iter().map(|at| &self.nodes[*at]).collect::<Vec<_>>();
        let nodes: Vec<Value> = self
            .nodes
            .iter()
            .zip(&self.needs)
            .map(|(id, needs)| json!({ "id": id, "needs": names(needs) }))
            .collect();
        json!({ "format": "topo.graph/v1", "topology": self.title, "resources": nodes })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Bond, Table};

    static TABLE: Table = Table::plain("sample");

    /// A forward that needs its gateway and its Service, and a Service that needs the cluster twice over.
    fn picture() -> Picture {
        let sample = |name: &str, needs: &[&str]| {
            let mut resource = Resource::new(Id::new("sample", name), &TABLE);
            resource.bonds = needs.iter().map(|need| Bond::Uses(Id::new("sample", need))).collect();
            resource
        };
        let resources = [
            sample("network", &[]),
            sample("cluster", &["network"]),
            sample("gateway", &["network"]),
            sample("pool", &["cluster", "network"]),
            sample("service", &["pool", "cluster", "network"]),
            sample("port", &["service", "gateway"]),
            sample("<&\"alone\">", &[]),
        ];
        Picture::of("dev", &resources).expect("the sample has no cycle")
    }

    #[test]
    fn a_need_that_another_implies_is_left_out() {
        let picture = picture();
        let named = |at: usize| picture.nodes[at].name().to_owned();
        let edges: Vec<(String, String)> =
            picture.edges().map(|(needed, by)| (named(needed), named(by))).collect();
        let expected = [
            ("network", "cluster"),
            ("network", "gateway"),
            ("cluster", "pool"),
            ("pool", "service"),
            ("gateway", "port"),
            ("service", "port"),
        ];
        let mut edges: Vec<(&str, &str)> =
            edges.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let mut expected = expected.to_vec();
        edges.sort_unstable();
        expected.sort_unstable();
        assert_eq!(edges, expected);
    }

    #[test]
    fn pictures() {
        let picture = picture();
        let tree = picture.draw(Format::Text);
        insta::assert_snapshot!("text", anstream::adapter::strip_str(&tree).to_string());
        insta::assert_snapshot!("dot", picture.draw(Format::Dot));
        insta::assert_snapshot!("mermaid", picture.draw(Format::Mermaid));
        insta::assert_snapshot!("svg", picture.draw(Format::Svg));
        assert!(picture.draw(Format::Html).contains(&picture.draw(Format::Svg)));
    }

    #[test]
    fn labels_put_the_kind_of_an_object_first() {
        let of = |id: &str| label(&id.parse().expect("valid"));
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(of("object/apps/Deployment/shop/web"), pair("Deployment in shop", "web"));
        assert_eq!(of("object/core/Namespace/_/shop"), pair("Namespace", "shop"));
        assert_eq!(of("image/localhost/web:1"), pair("image", "localhost/web:1"));
    }
}
