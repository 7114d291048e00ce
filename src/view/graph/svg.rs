//! A drawing that needs no other program.

use std::fmt::Write;

use super::layout::{Layout, Line, Rectangle, layout};
use super::{Picture, escaped};

const MARGIN: f64 = 24.0;
const TITLE: f64 = 36.0;

pub fn draw(picture: &Picture) -> String {
    let layout = layout(picture);
    let (width, height) = (layout.width + 2.0 * MARGIN, layout.height + TITLE + 2.0 * MARGIN);
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
    text.push_str("</g>\n</svg>\n");
    text
}

const STYLE: &str = "\
.paper{fill:#fff}.title{font:bold 15px sans-serif;fill:#1f2328}\
.line{fill:none;stroke:#8c959f;stroke-width:1.4}.tip{fill:#8c959f}\
.box rect{fill:#f6f8fa;stroke:#d0d7de}.box .bar{stroke:none}\
.kind{font:10px ui-monospace,monospace;fill:#59636e}.name{font:12px ui-monospace,monospace;fill:#1f2328}\
@media(prefers-color-scheme:dark){.paper{fill:#0d1117}.title,.name{fill:#e6edf3}.kind{fill:#9198a1}\
.box rect{fill:#161b22;stroke:#3d444d}.line{stroke:#656c76}.tip{fill:#656c76}}";

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
    for (at, (rectangle, id)) in layout.boxes.iter().zip(&picture.nodes).enumerate() {
        let whole = escaped(id.as_str());
        let _ = writeln!(
            text,
            "<g class=\"box\" data-node=\"{at}\"><title>{whole}</title>{}</g>",
            inside(rectangle, color(id.kind()))
        );
    }
}

fn inside(rectangle: &Rectangle, color: &str) -> String {
    let Rectangle { x, y, width, height, kind, name } = rectangle;
    format!(
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"5\"/>\
         <rect class=\"bar\" style=\"fill:{color}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"5\" height=\"{height:.1}\" rx=\"2.5\"/>\
         <text class=\"kind\" x=\"{left:.1}\" y=\"{upper:.1}\">{kind}</text>\
         <text class=\"name\" x=\"{left:.1}\" y=\"{lower:.1}\">{name}</text>",
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

/// One colour a kind; kinds that come later are grey.
fn color(kind: &str) -> &'static str {
    match kind {
        "network" => "#0969da",
        "cluster" => "#8250df",
        "node" => "#a475f9",
        "image" => "#bf8700",
        "metallb" => "#1a7f37",
        "pool" => "#4ac26b",
        "object" => "#57606a",
        "gateway" => "#cf222e",
        "port" => "#fa8074",
        "share" | "tunnel" => "#1b7c83",
        _ => "#8c959f",
    }
}
