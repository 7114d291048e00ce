//! Graphviz.

use std::fmt::Write;

use super::{Node, Picture};

pub fn draw(picture: &Picture) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut text = format!("digraph {} {{\n", quoted(&picture.title));
    text.push_str("  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"monospace\"];\n");
    for Node { id, .. } in &picture.nodes {
        let _ = writeln!(text, "  {};", quoted(id.as_str()));
    }
    for (needed, by) in picture.edges() {
        let (needed, by) = (&picture.nodes[needed].id, &picture.nodes[by].id);
        let _ = writeln!(text, "  {} -> {};", quoted(needed.as_str()), quoted(by.as_str()));
    }
    text.push_str("}\n");
    text
}
