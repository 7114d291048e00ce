//! Mermaid, which GitHub and GitLab draw inside Markdown.

use std::fmt::Write;

use super::{Node, Picture};

pub fn draw(picture: &Picture) -> String {
    let mut text = String::from("flowchart LR\n");
    for (at, Node { id, .. }) in picture.nodes.iter().enumerate() {
        // Mermaid has no escape for a quote but the entity.
        let label = id.as_str().replace('#', "#35;").replace('"', "#quot;");
        let _ = writeln!(text, "  n{at}[\"{label}\"]");
    }
    for (needed, by) in picture.edges() {
        let _ = writeln!(text, "  n{needed} --> n{by}");
    }
    text
}
