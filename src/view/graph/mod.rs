//! Pictures of the graph of resources. Pure: resources in, text out.

mod dot;
mod html;
mod layout;
mod mermaid;
mod svg;
mod text;

use std::collections::HashMap;

use petgraph::algo::toposort;
use petgraph::algo::tred::{dag_to_toposorted_adjacency_list, dag_transitive_reduction_closure};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::IntoNeighbors;
use serde_json::{Value, json};

use crate::plan::{Graph, GraphError, Id, Item, Resource, Shown};
use crate::view::plan::shown;

pub(super) use layout::as_f64;
pub(super) use svg::STYLE;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Text,
    Dot,
    Mermaid,
    Svg,
    Html,
}

/// What is drawn: every resource after all that it needs, and what needs what.
///
/// A need that another need already implies is left out: a Service that needs a cluster needs the
/// cluster's network too, and a line for that would only hide the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub title: String,
    pub nodes: Vec<Node>,
    /// For each node, the ones it needs, as indices into `nodes`.
    pub needs: Vec<Vec<usize>>,
}

/// A box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub id: Id,
    pub told: Told,
    /// How many objects of one manifest it stands for, if it is not one resource.
    pub objects: Option<usize>,
}

/// What is known of a resource beside its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// What a port leads to, the range of a pool: the most telling first.
    pub values: Vec<(String, String)>,
    /// Where the file says so: `topo.yaml:31:5`.
    pub at: Option<String>,
    pub mark: Option<Mark>,
}

/// How it is, or what will be done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub word: &'static str,
    pub tint: Tint,
    pub why: Option<String>,
}

/// From the least to the most worth looking at, so that a box of many has that of its worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tint {
    Quiet,
    Good,
    Uneasy,
    Bad,
}

impl Told {
    /// What the plan says of one that is to be created.
    pub fn of(item: &Item) -> Self {
        let is_telling = |value: &Shown| match value {
            Shown::Value(value) => value != "",
            Shown::Absent | Shown::Sensitive | Shown::Unknown(_) => false,
        };
        let known = item.values.iter().filter(|(_, value)| is_telling(value));
        let values = known.map(|(path, value)| (path.clone(), shown(value)));
        Self { values: values.collect(), at: item.at.clone(), mark: None }
    }
}

impl Picture {
    pub fn of(
        title: impl Into<String>,
        resources: &[Resource],
        told: impl Fn(&Id) -> Told,
    ) -> Result<Self, GraphError> {
        let order = Graph::of(resources)?.order()?;
        let index: HashMap<&Id, usize> =
            order.iter().enumerate().map(|(at, id)| (id, at)).collect();
        let index = &index;
        let edges = resources.iter().flat_map(|resource| {
            let by = index[&resource.id];
            resource.needs().filter_map(move |needed| Some((*index.get(needed)?, by)))
        });
        let needs = essential(order.len(), edges.collect::<Vec<_>>());
        let nodes = order.iter().map(|id| Node { id: id.clone(), told: told(id), objects: None });
        Ok(Self { title: title.into(), nodes: nodes.collect(), needs })
    }

    /// With one box for the objects of each manifest, unless a box would need itself by way of others.
    pub fn with_manifests(&self, manifests: &HashMap<Id, Id>) -> Self {
        let mut nodes: Vec<Node> = Vec::new();
        let mut boxes: HashMap<&Id, usize> = HashMap::new();
        let mut place = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let Some(manifest) = manifests.get(&node.id) else {
                place.push(nodes.len());
                nodes.push(node.clone());
                continue;
            };
            let at = *boxes.entry(manifest).or_insert_with(|| {
                let told = Told { values: Vec::new(), mark: None, ..node.told.clone() };
                nodes.push(Node { id: manifest.clone(), told, objects: Some(0) });
                nodes.len() - 1
            });
            nodes[at].take_in(node);
            place.push(at);
        }
        let edges: Vec<(usize, usize)> = self
            .edges()
            .map(|(needed, by)| (place[needed], place[by]))
            .filter(|(needed, by)| needed != by)
            .collect();
        let graph: DiGraph<(), (), usize> = DiGraph::from_edges(&edges);
        let Ok(order) = toposort(&graph, None) else { return self.clone() };
        let alone = graph.node_count()..nodes.len();
        let order: Vec<usize> = order.into_iter().map(NodeIndex::index).chain(alone).collect();
        let mut rank = vec![0; nodes.len()];
        for (at, node) in order.iter().enumerate() {
            rank[*node] = at;
        }
        let edges = edges.into_iter().map(|(needed, by)| (rank[needed], rank[by])).collect();
        let needs = essential(nodes.len(), edges);
        let nodes = order.into_iter().map(|at| nodes[at].clone()).collect();
        Self { title: self.title.clone(), nodes, needs }
    }

    /// A terminal has so many columns; a drawing is as wide as it likes.
    pub fn draw(&self, format: Format, columns: Option<usize>) -> String {
        match format {
            Format::Text => text::draw(self, columns),
            Format::Dot => dot::draw(self),
            Format::Mermaid => mermaid::draw(self),
            Format::Svg => svg::draw(self),
            Format::Html => html::draw(self),
        }
    }

    /// A page that follows what its server sends: [`Self::nodes_described`] and a log.
    pub fn live_page(&self) -> String {
        html::live(self)
    }

    /// The `topo.graph/v1` document.
    pub fn document(&self) -> Value {
        let nodes = self.nodes_described();
        json!({ "format": "topo.graph/v1", "topology": self.title, "resources": nodes })
    }

    pub fn nodes_described(&self) -> Value {
        (0..self.nodes.len()).map(|at| self.described(at)).collect()
    }

    fn described(&self, at: usize) -> Value {
        let Node { id, told, objects } = &self.nodes[at];
        let needs: Vec<&Id> = self.needs[at].iter().map(|need| &self.nodes[*need].id).collect();
        let mut node = json!({ "id": id, "needs": needs });
        if let Some(objects) = objects {
            node["objects"] = (*objects).into();
        }
        if let Some(at) = &told.at {
            node["at"] = at.as_str().into();
        }
        if !told.values.is_empty() {
            let values =
                told.values.iter().map(|(path, value)| (path.clone(), value.as_str().into()));
            node["values"] = Value::Object(values.collect());
        }
        if let Some(Mark { word, why, tint }) = &told.mark {
            node["state"] = (*word).into();
            node["tint"] = tint.class().into();
            node["why"] = why.as_deref().into();
        }
        node
    }

    /// Pairs of a needed node and the one that needs it.
    fn edges(&self) -> impl Iterator<Item = (usize, usize)> {
        let edges = |(by, needs): (usize, &'_ Vec<usize>)| {
            needs.clone().into_iter().map(move |needed| (needed, by))
        };
        self.needs.iter().enumerate().flat_map(edges)
    }
}

impl Node {
    /// Of a manifest, or what stands for all of it. The mark is that of the worst of them.
    fn take_in(&mut self, object: &Self) {
        if object.id != self.id {
            self.objects = self.objects.map(|objects| objects + 1);
        }
        let is_worse =
            object.told.mark.as_ref().is_some_and(|mark| {
                self.told.mark.as_ref().is_none_or(|worst| worst.tint < mark.tint)
            });
        if is_worse {
            self.told.mark.clone_from(&object.told.mark);
        }
    }
}

/// For each node the needs that no other need implies, in ascending order. Every edge leads to a later node.
fn essential(count: usize, edges: Vec<(usize, usize)>) -> Vec<Vec<usize>> {
    let mut graph: DiGraph<(), ()> = DiGraph::with_capacity(count, edges.len());
    let order: Vec<NodeIndex> = (0..count).map(|_| graph.add_node(())).collect();
    for (needed, by) in edges {
        graph.update_edge(order[needed], order[by], ());
    }
    let (list, _) = dag_to_toposorted_adjacency_list::<_, u32>(&graph, &order);
    let (reduced, _) = dag_transitive_reduction_closure(&list);
    let mut needs = vec![Vec::new(); count];
    for needed in reduced.node_indices() {
        for by in reduced.neighbors(needed) {
            needs[by as usize].push(needed as usize);
        }
    }
    needs
}

/// What a box says: in small the kind and what is most telling of it, and the name in large.
fn label(node: &Node) -> (String, String) {
    let id = &node.id;
    let parts: Vec<&str> = id.name().split('/').collect();
    let (kind, name) = match (id.kind(), parts.as_slice()) {
        ("object", [_, kind, "_", name @ ..]) => ((*kind).to_owned(), name.join("/")),
        ("object", [_, kind, namespace, name @ ..]) => {
            (format!("{kind} in {namespace}"), name.join("/"))
        }
        (kind, _) => (kind.to_owned(), id.name().to_owned()),
    };
    let telling = match node.objects {
        Some(1) => Some("1 object".to_owned()),
        Some(objects) => Some(format!("{objects} objects")),
        None => telling(&node.told.values),
    };
    (telling.map_or_else(|| kind.clone(), |telling| format!("{kind} · {telling}")), name)
}

/// Of a gateway its ports rather than its image.
fn telling(values: &[(String, String)]) -> Option<String> {
    let publish = values.iter().find(|(path, _)| path == "publish");
    publish.or(values.first()).map(|(_, value)| value.clone())
}

pub(super) fn escaped(text: &str) -> String {
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
        Picture::of("dev", &resources, |_| Told::default()).expect("the sample has no cycle")
    }

    #[test]
    fn a_need_that_another_implies_is_left_out() {
        let picture = picture();
        let named = |at: usize| picture.nodes[at].id.name().to_owned();
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
    fn a_manifest_is_one_box_unless_it_would_need_itself() {
        let manifests = |objects: &[&str]| {
            let id = |name: &str| Id::new("sample", name);
            objects.iter().map(|name| (id(name), Id::new("manifest", "web"))).collect()
        };
        let box_of = |picture: &Picture| {
            let found = picture.nodes.iter().find(|node| node.id.kind() == "manifest");
            found.map(label)
        };
        let whole = picture().with_manifests(&manifests(&["service", "port"]));
        assert_eq!(box_of(&whole), Some(("manifest · 2 objects".to_owned(), "web".to_owned())));
        assert_eq!(whole.nodes.len(), picture().nodes.len() - 1);
        // The pool between them would need the box, and the box the pool.
        let split = picture().with_manifests(&manifests(&["cluster", "service"]));
        assert_eq!(split, picture());
    }

    #[test]
    fn a_tree_counts_what_it_has_no_room_to_name() {
        let tree = picture().draw(Format::Text, Some(40));
        let tree = anstream::adapter::strip_str(&tree).to_string();
        assert!(tree.contains("sample/port  (and 1 more)"), "{tree}");
        assert!(tree.lines().all(|line| crate::view::text::width(line) <= 40), "{tree}");
    }

    #[test]
    fn pictures() {
        let picture = picture();
        let tree = picture.draw(Format::Text, None);
        insta::assert_snapshot!("text", anstream::adapter::strip_str(&tree).to_string());
        insta::assert_snapshot!("dot", picture.draw(Format::Dot, None));
        insta::assert_snapshot!("mermaid", picture.draw(Format::Mermaid, None));
        insta::assert_snapshot!("svg", picture.draw(Format::Svg, None));
        assert!(picture.draw(Format::Html, None).contains(&picture.draw(Format::Svg, None)));
    }

    #[test]
    fn labels_put_the_kind_of_an_object_first() {
        let of = |id: &str| {
            let id = id.parse().expect("valid");
            label(&Node { id, told: Told::default(), objects: None })
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(of("object/apps/Deployment/shop/web"), pair("Deployment in shop", "web"));
        assert_eq!(of("object/core/Namespace/_/shop"), pair("Namespace", "shop"));
        assert_eq!(of("image/localhost/web:1"), pair("image", "localhost/web:1"));
    }
}
