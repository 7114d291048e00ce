
// What the server sends replaces what was known; another set of boxes is another page.
const log = document.getElementById('log');
const legend = svg.querySelector('.legend');

function shape(name, attributes) {
  const made = document.createElementNS(svg.namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  legend.append(made);
  return made;
}

function explainMarks() {
  const tints = new Map(nodes.filter(node => node.state).map(node => [node.state, node.tint]));
  legend.replaceChildren();
  [...tints].sort().forEach(([state, tint], at) => {
    shape('rect', {class: `mark ${tint}`, x: 96 * at, y: -9, width: 10, height: 10, rx: 2});
    shape('text', {class: 'kind', x: 96 * at + 16, y: 0}).textContent = state;
  });
}

const news = new EventSource('events' + location.search);
news.onopen = () => document.body.classList.remove('lost');
news.onerror = () => document.body.classList.add('lost');
news.onmessage = event => {
  const now = JSON.parse(event.data);
  if (now.nodes.length !== nodes.length || now.nodes.some((node, at) => node.id !== nodes[at].id)) {
    location.reload();
    return;
  }
  now.nodes.forEach((node, at) => {
    nodes[at] = node;
    boxes[at].querySelector('.mark').setAttribute('class', `mark ${node.tint ?? ''}`);
    boxes[at].setAttribute('aria-label', `${node.id}, ${node.state}`);
  });
  explainMarks();
  if (pinned !== null) describe(pinned);
  log.replaceChildren();
  for (const line of now.log) part('p', line, log);
  log.scrollTop = log.scrollHeight;
};
