//! A drawing that needs no other program.

use std::fmt::Write;

use super::layout::{Layout, Line, Rectangle, as_f64, layout};
use super::{Node, Picture, Tint, escaped};

const MARGIN: f64 = 24.0;
const TITLE: f64 = 36.0;
const LEGEND: f64 = 32.0;
const LEGEND_WIDTH: f64 = 96.0;

pub fn draw(picture: &Picture) -> String {
    let layout = layout(picture);
    let legend = legend(picture);
    let (width, height) = (
        layout.width.max(LEGEND_WIDTH * as_f64(legend.len())) + 2.0 * MARGIN,
        layout.height + TITLE + LEGEND + 2.0 * MARGIN,
    );
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n{ARROW}\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n\
         <text class=\"title\" x=\"{MARGIN}\" y=\"{MARGIN}\" dy=\"12\">{title}</text>\n\
         <g transform=\"translate({MARGIN} {top})\">\n",
        title = escaped(&picture.title),
        top = MARGIN + TITLE,
    );
    drawing(&mut text, picture, &layout);
    let _ = write!(
        text,
        "</g>\n<g class=\"legend\" transform=\"translate({MARGIN} {:.0})\">",
        height - MARGIN
    );
    for (at, (class, word)) in legend.iter().enumerate() {
        let left = LEGEND_WIDTH * as_f64(at);
        let _ = write!(
            text,
            "<rect class=\"{class}\" x=\"{left:.0}\" y=\"-9\" width=\"10\" height=\"10\" rx=\"2\"/>\
             <text class=\"kind\" x=\"{:.0}\" y=\"0\">{word}</text>",
            left + 16.0
        );
    }
    text.push_str("</g>\n</svg>\n");
    text
}

/// What the colours mean: states where there are any, else kinds.
fn legend(picture: &Picture) -> Vec<(String, &str)> {
    let mut marks: Vec<(Tint, &str)> = picture
        .nodes
        .iter()
        .filter_map(|node| node.told.mark.as_ref().map(|mark| (mark.tint, mark.word)))
        .collect();
    marks.sort_unstable();
    marks.dedup();
    if !marks.is_empty() {
        return marks
            .into_iter()
            .map(|(tint, word)| (format!("mark {}", tint.class()), word))
            .collect();
    }
    let mut kinds: Vec<&str> = picture.nodes.iter().map(|node| node.id.kind()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.into_iter().map(|kind| (format!("bar {kind}"), kind)).collect()
}

/// One colour a kind; of a kind that has none the bar is grey.
pub const STYLE: &str = "\
.paper{fill:#fff}.title{font:bold 15px sans-serif;fill:#1f2328}\
.line{fill:none;stroke:#8c959f;stroke-width:1.4}.tip{fill:#8c959f}\
.box>.face{fill:#f6f8fa;stroke:#d0d7de}.mark{stroke:none;fill:none}\
.kind{font:10px ui-monospace,monospace;fill:#59636e}.name{font:12px ui-monospace,monospace;fill:#1f2328}\
.bar{fill:#8c959f}.network{fill:#0969da}.cluster{fill:#8250df}.node{fill:#a475f9}.image{fill:#bf8700}\
.metallb{fill:#1a7f37}.pool{fill:#4ac26b}.manifest,.object{fill:#57606a}.gateway{fill:#cf222e}\
.port{fill:#fa8074}.share,.server,.tunnel{fill:#1b7c83}\
.good{fill:#1a7f37}.uneasy{fill:#bf8700}.bad{fill:#cf222e}.quiet{fill:#8c959f}\
@media(prefers-color-scheme:dark){.paper{fill:#0d1117}.title,.name{fill:#e6edf3}.kind{fill:#9198a1}\
.box>.face{fill:#161b22;stroke:#3d444d}.line{stroke:#656c76}.tip{fill:#656c76}\
.good{fill:#3fb950}.uneasy{fill:#d29922}.bad{fill:#f85149}}";

const ARROW: &str = "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" \
    markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">\
    <path class=\"tip\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n";

/// Lines below boxes, so that a line never hides a name.
fn drawing(text: &mut String, picture: &Picture, layout: &Layout) {
    for line in &layout.lines {
        let _ = writeln!(
            text,
            "<path class=\"line\" data-from=\"{}\" data-to=\"{}\" marker-end=\"url(#tip)\" d=\"{}\"/>",
            line.from,
            line.to,
            path(line)
        );
    }
    for (at, (rectangle, node)) in layout.boxes.iter().zip(&picture.nodes).enumerate() {
        let whole = escaped(node.id.as_str());
        let _ = writeln!(
            text,
            "<g class=\"box\" data-node=\"{at}\"><title>{whole}</title>{}</g>",
            inside(rectangle, node)
        );
    }
}

fn inside(rectangle: &Rectangle, node: &Node) -> String {
    let Rectangle { x, y, width, height, kind, name } = rectangle;
    let tint = node.told.mark.as_ref().map_or("", |mark| mark.tint.class());
    format!(
        "<rect class=\"face\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"5\"/>\
         <rect class=\"bar {bar}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"5\" height=\"{height:.1}\" rx=\"2.5\"/>\
         <circle class=\"mark {tint}\" cx=\"{right:.1}\" cy=\"{middle:.1}\" r=\"4\"/>\
         <text class=\"kind\" x=\"{left:.1}\" y=\"{upper:.1}\">{kind}</text>\
         <text class=\"name\" x=\"{left:.1}\" y=\"{lower:.1}\">{name}</text>",
        bar = node.id.kind(),
        right = x + width - 10.0,
        middle = y + 11.0,
        left = x + 14.0,
        upper = y + 15.0,
        lower = y + 31.0,
        kind = escaped(kind),
        name = escaped(name),
    )
}

/// Bends between columns, straight through them.
fn path(line: &Line) -> String {
    let mut path = String::new();
    let mut points = line.points.iter();
    if let Some((x, y)) = points.next() {
        let _ = write!(path, "M{x:.1} {y:.1}");
    }
    let (mut last_x, mut last_y) = line.points.first().copied().unwrap_or_default();
    let mut bends = true;
    for (x, y) in points {
        if bends {
            let middle = f64::midpoint(last_x, *x);
            let _ = write!(path, "C{middle:.1} {last_y:.1} {middle:.1} {y:.1} {x:.1} {y:.1}");
        } else {
            let _ = write!(path, "H{x:.1}");
        }
        (last_x, last_y) = (*x, *y);
        bends = !bends;
    }
    path
}

impl Tint {
    pub fn class(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::Good => "good",
            Self::Uneasy => "uneasy",
            Self::Bad => "bad",
        }
    }
}
