//! A tree for the terminal.
//!
//! A graph is no tree: each resource stands once, under the deepest of its needs, and names the
//! others beside itself.

use std::fmt::Write;

use owo_colors::OwoColorize;

use super::Picture;
use crate::view::text::tame;

pub fn draw(picture: &Picture) -> String {
    let parents = parents(picture);
    let mut children = vec![Vec::new(); picture.nodes.len()];
    let mut open = Vec::new();
    for (at, parent) in parents.iter().enumerate() {
        match parent {
            Some(parent) => children[*parent].push(at),
            None => open.push(Branch { node: at, before: String::new(), last: true, root: true }),
        }
    }
    open.reverse();

    let mut text = String::new();
    while let Some(branch) = open.pop() {
        let node = branch.node;
        let (own, below) = branch.lines();
        let name = tame(picture.nodes[node].as_str());
        let others = others(picture, node, parents[node]);
        let _ = writeln!(text, "{}{}{}", own.dimmed(), name, others.dimmed());
        let last = children[node].last().copied();
        open.extend(children[node].iter().rev().map(|child| Branch {
            node: *child,
            before: below.clone(),
            last: Some(*child) == last,
            root: false,
        }));
    }
    text
}

/// Under which of its needs each node stands.
fn parents(picture: &Picture) -> Vec<Option<usize>> {
    let mut depth = vec![0_usize; picture.nodes.len()];
    let mut parents = Vec::with_capacity(picture.nodes.len());
    for (at, needs) in picture.needs.iter().enumerate() {
        let parent = needs.iter().copied().max_by_key(|need| depth[*need]);
        depth[at] = parent.map_or(0, |parent| depth[parent] + 1);
        parents.push(parent);
    }
    parents
}

struct Branch {
    node: usize,
    /// The lines of the branches that it hangs on.
    before: String,
    last: bool,
    root: bool,
}

impl Branch {
    /// What stands in front of it, and in front of what hangs on it.
    fn lines(&self) -> (String, String) {
        if self.root {
            return (String::new(), String::new());
        }
        let (own, below) = if self.last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        (format!("{}{own}", self.before), format!("{}{below}", self.before))
    }
}

fn others(picture: &Picture, node: usize, parent: Option<usize>) -> String {
    let names: Vec<String> = picture.needs[node]
        .iter()
        .filter(|need| Some(**need) != parent)
        .map(|need| tame(picture.nodes[*need].as_str()))
        .collect();
    if names.is_empty() { String::new() } else { format!("  (also needs {})", names.join(", ")) }
}
