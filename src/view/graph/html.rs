//! The drawing as a page that fits the window: zoom, drag, search, and click a box for what is known of it.

use super::{Picture, escaped, svg};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

const LIVE: &str = include_str!("live.js");

pub fn draw(picture: &Picture) -> String {
    page(picture, "", "")
}

/// The same, kept up to date by what its server sends.
pub fn live(picture: &Picture) -> String {
    page(picture, "<section id=\"log\" aria-label=\"What happened\"></section>\n", LIVE)
}

fn page(picture: &Picture, log: &str, live: &str) -> String {
    // Inside of a script no text may end it.
    let nodes = picture.nodes_described().to_string().replace('<', "\\u003c");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n<header><h1>{title}</h1>\
         <input type=\"search\" placeholder=\"Search\" aria-label=\"Search\">\
         <button id=\"out\" aria-label=\"Zoom out\">−</button><button id=\"in\" aria-label=\"Zoom in\">+</button>\
         <button id=\"fit\">Fit</button></header>\n<main>{drawing}</main>\n<aside hidden aria-live=\"polite\"></aside>\n{log}\
         <script type=\"application/json\" id=\"nodes\">{nodes}</script>\n<script>{SCRIPT}{live}</script>\n</html>\n",
        title = escaped(&picture.title),
        drawing = svg::draw(picture),
    )
}
