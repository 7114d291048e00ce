//! The drawing as a page: point at a resource to see what it needs and what needs it.

use super::{Picture, escaped, svg};

pub fn draw(picture: &Picture) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n{drawing}<script>{SCRIPT}</script>\n</html>\n",
        title = escaped(&picture.title),
        drawing = svg::draw(picture),
    )
}

const STYLE: &str = "\
body{margin:0}svg{display:block}.box{cursor:pointer}\
svg.chosen .box:not(.near){opacity:.25}svg.chosen .line:not(.near){opacity:.08}\
.line.near{stroke:#0969da;stroke-width:2}\
@media(prefers-color-scheme:dark){body{background:#0d1117}}";

const SCRIPT: &str = r"
const svg = document.querySelector('svg');
const lines = [...svg.querySelectorAll('.line')].map(line => ({line, from: line.dataset.from, to: line.dataset.to}));
const boxes = new Map([...svg.querySelectorAll('.box')].map(box => [box.dataset.node, box]));
let pinned = null;

function walk(start, near, far) {
  const open = [start];
  const seen = new Set(open);
  while (open.length > 0) {
    const at = open.pop();
    boxes.get(at).classList.add('near');
    for (const edge of lines.filter(edge => edge[near] === at)) {
      edge.line.classList.add('near');
      if (!seen.has(edge[far])) { seen.add(edge[far]); open.push(edge[far]); }
    }
  }
}

function choose(node) {
  svg.querySelectorAll('.near').forEach(part => part.classList.remove('near'));
  svg.classList.toggle('chosen', node !== null);
  if (node !== null) { walk(node, 'to', 'from'); walk(node, 'from', 'to'); }
}

const nodeOf = event => event.target.closest('.box')?.dataset.node ?? null;
svg.addEventListener('mouseover', event => { if (pinned === null) choose(nodeOf(event)); });
svg.addEventListener('click', event => { pinned = nodeOf(event); choose(pinned); });
";
