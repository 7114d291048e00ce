//! Random topologies, and random things that happen to a world.

use proptest::collection::vec;
use proptest::prelude::*;
use topo::plan::{Bond, Id, Resource, Span, Want};

use crate::fake::{Fake, Fault, Spot, key, want};

const NODES: usize = 8;

#[derive(Debug, Clone)]
pub struct Node {
    present: bool,
    shape: u8,
    size: u8,
    colour: Colour,
    bonds: Vec<(u8, prop::sample::Index)>,
}

#[derive(Debug, Clone)]
enum Colour {
    Is(u8),
    Secret(u8),
    Auto,
    After(prop::sample::Index),
}

fn colour() -> impl Strategy<Value = Colour> {
    prop_oneof![
        (0..3u8).prop_map(Colour::Is),
        (0..3u8).prop_map(Colour::Secret),
        Just(Colour::Auto),
        any::<prop::sample::Index>().prop_map(Colour::After),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    (
        prop::bool::weighted(0.8),
        0..2u8,
        0..2u8,
        colour(),
        vec((0..4u8, any::<prop::sample::Index>()), 0..3),
    )
        .prop_map(|(present, shape, size, colour, bonds)| Node {
            present,
            shape,
            size,
            colour,
            bonds,
        })
}

pub fn nodes() -> impl Strategy<Value = Vec<Node>> {
    vec(node(), NODES)
}

/// A second version of a topology, in which most things are as they were.
pub fn edited(nodes: Vec<Node>) -> impl Strategy<Value = (Vec<Node>, Vec<Node>)> {
    vec(prop::option::weighted(0.4, node()), NODES).prop_map(move |edits| {
        let after =
            nodes.iter().zip(edits).map(|(node, edit)| edit.unwrap_or_else(|| node.clone()));
        (nodes.clone(), after.collect())
    })
}

pub fn topology(nodes: &[Node]) -> Vec<Resource> {
    let mut resources: Vec<Resource> = Vec::new();
    for (name, node) in nodes.iter().enumerate().filter(|(_, node)| node.present) {
        let mut resource = want(name)
            .field("shape", Want::is(node.shape))
            .field("size", Want::is(node.size))
            .takes(Span::new("spans", name as u128 * 10, name as u128 * 10 + 4));
        let lower: Vec<Id> = resources.iter().map(|resource| resource.id.clone()).collect();
        let colour = match &node.colour {
            Colour::Is(colour) => Want::is(*colour),
            Colour::Secret(colour) => Want::Is(key().seal(&colour.to_string())),
            Colour::After(giver) if !lower.is_empty() => {
                Want::After(giver.get(&lower).clone(), "address")
            }
            Colour::Auto | Colour::After(_) => Want::Auto,
        };
        resource = resource.field("colour", colour);
        for (sort, needed) in node.bonds.iter().filter(|_| !lower.is_empty()) {
            let needed = needed.get(&lower).clone();
            let held = resource.bonds.iter().any(Bond::is_held);
            if resource.bonds.iter().any(|bond| *bond.id() == needed) {
                continue;
            }
            resource = resource.bond(match sort {
                2 if !held => Bond::Holds(needed),
                3 if !held => Bond::Inside(needed),
                1 => Bond::Rests(needed),
                _ => Bond::Uses(needed),
            });
        }
        resources.push(resource);
    }
    resources
}

#[derive(Debug, Clone)]
pub enum Mishap {
    Vanish,
    Stop,
    Repaint,
    Reshape,
}

pub fn mishaps() -> impl Strategy<Value = Vec<(usize, Mishap)>> {
    let mishap = prop_oneof![
        Just(Mishap::Vanish),
        Just(Mishap::Stop),
        Just(Mishap::Repaint),
        Just(Mishap::Reshape)
    ];
    vec((0..NODES, mishap), 0..4)
}

pub fn befall(fake: &Fake, mishaps: &[(usize, Mishap)]) {
    for (node, mishap) in mishaps {
        let id = Id::new("box", node);
        match mishap {
            Mishap::Vanish => fake.vanish(&id),
            Mishap::Stop => fake.stop(&id),
            Mishap::Repaint => fake.edit(&id, "colour", "by hand"),
            Mishap::Reshape => fake.edit(&id, "shape", 99),
        }
    }
}

pub fn faults() -> impl Strategy<Value = Vec<(usize, Spot, Fault)>> {
    let spot = prop_oneof![Just(Spot::BeforeChange), Just(Spot::AfterChange), Just(Spot::Wait)];
    vec((0..NODES, spot, prop_oneof![Just(Fault::Fail), Just(Fault::Panic)]), 0..4)
}

/// After how many changes the run is interrupted, and whether twice.
pub fn interruption() -> impl Strategy<Value = Option<(usize, bool)>> {
    prop::option::of((0..6usize, any::<bool>()))
}
