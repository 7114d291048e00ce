//! A tree for the terminal.
//!
//! A graph is no tree: each resource stands once, under the deepest of its needs, and names the
//! others beside itself.

use std::fmt::Write;

use owo_colors::{AnsiColors, OwoColorize};

use super::{Node, Picture, Tint};
use crate::view::text::{tame, width};

pub fn draw(picture: &Picture, columns: Option<usize>) -> String {
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
        let Node { id, told, .. } = &picture.nodes[node];
        let name = tame(id.as_str());
        let mark = told.mark.as_ref().map(|mark| format!("  {}", mark.word)).unwrap_or_default();
        let used = width(&own) + width(&name) + width(&mark);
        let room = columns.map(|columns| columns.saturating_sub(used));
        let others = others(picture, node, parents[node], room);
        let tint = told.mark.as_ref().map_or(AnsiColors::Default, |mark| color(mark.tint));
        let _ = writeln!(text, "{}{name}{}{}", own.dimmed(), mark.color(tint), others.dimmed());
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

/// Named where there is room for that, else counted.
fn others(picture: &Picture, node: usize, parent: Option<usize>, room: Option<usize>) -> String {
    let names: Vec<String> = picture.needs[node]
        .iter()
        .filter(|need| Some(**need) != parent)
        .map(|need| tame(picture.nodes[*need].id.as_str()))
        .collect();
    let named = format!("  (also needs {})", names.join(", "));
    match (names.len(), room) {
        (0, _) => String::new(),
        (count, Some(room)) if width(&named) > room => format!("  (and {count} more)"),
        _ => named,
    }
}

fn color(tint: Tint) -> AnsiColors {
    match tint {
        Tint::Quiet => AnsiColors::Default,
        Tint::Good => AnsiColors::Green,
        Tint::Uneasy => AnsiColors::Yellow,
        Tint::Bad => AnsiColors::Red,
    }
}
