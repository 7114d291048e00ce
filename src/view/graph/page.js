const svg = document.querySelector('svg');
const details = document.querySelector('aside');
const search = document.querySelector('input');
const nodes = JSON.parse(document.getElementById('nodes').textContent);
const lines = [...svg.querySelectorAll('.line')].map(line => ({line, from: +line.dataset.from, to: +line.dataset.to}));
const boxes = [...svg.querySelectorAll('.box')];
let pinned = null;

// What is chosen, with all that it needs and all that needs it.
function walk(start, near, far) {
  const open = [start];
  const seen = new Set(open);
  while (open.length > 0) {
    const at = open.pop();
    boxes[at].classList.add('near');
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

function pin(node) {
  boxes[pinned]?.classList.remove('pinned');
  pinned = node;
  boxes[pinned]?.classList.add('pinned');
  choose(node);
  describe(node);
}

function part(name, content, parent) {
  const made = document.createElement(name);
  made.textContent = content;
  parent.append(made);
  return made;
}

function describe(node) {
  details.hidden = node === null;
  details.replaceChildren();
  if (node === null) return;
  const {id, at, state, why, objects, values = {}} = nodes[node];
  part('h2', id, details);
  const list = part('dl', '', details);
  const facts = {state, why, objects, ...values, file: at};
  for (const [name, value] of Object.entries(facts).filter(([, value]) => value != null)) {
    part('dt', name, list);
    part('dd', value, list);
  }
  const others = (title, found) => {
    if (found.length === 0) return;
    part('h3', title, details);
    const all = part('ul', '', details);
    for (const other of found) part('button', nodes[other].id, part('li', '', all)).onclick = () => show(other);
  };
  others('Needs', lines.filter(edge => edge.to === node).map(edge => edge.from));
  others('Needed by', lines.filter(edge => edge.from === node).map(edge => edge.to));
}

// The part of the drawing that is in the window.
const {width, height} = svg.viewBox.baseVal;
let seen;

function look(to) {
  seen = to;
  svg.setAttribute('viewBox', `${seen.x} ${seen.y} ${seen.width} ${seen.height}`);
}

function fit() {
  look({x: 0, y: 0, width, height});
}

// Where all of it would be too small to read, its beginning.
function begin() {
  const room = svg.getBoundingClientRect();
  const scale = Math.min(room.width / width, room.height / height);
  if (scale >= 0.55) { fit(); return; }
  const [wide, high] = [room.width / 0.8, room.height / 0.8];
  const first = boxes.map(box => box.querySelector('.face')).sort((a, b) => a.x.baseVal.value - b.x.baseVal.value)[0];
  look({x: 0, y: first.y.baseVal.value + 60 - high / 2, width: Math.min(wide, width), height: high});
}

function zoom(factor, center) {
  const [x, y] = center ?? [seen.x + seen.width / 2, seen.y + seen.height / 2];
  const size = Math.min(Math.max(seen.width * factor, 120), width * 4) / seen.width;
  look({x: x + (seen.x - x) * size, y: y + (seen.y - y) * size, width: seen.width * size, height: seen.height * size});
}

function under(event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  return [point.x, point.y];
}

function show(node) {
  const box = boxes[node].querySelector('.face');
  const of = name => box[name].baseVal.value;
  const shift = svg.querySelector('g').transform.baseVal[0].matrix;
  const [x, y] = [of('x') + shift.e + of('width') / 2, of('y') + shift.f + of('height') / 2];
  look({...seen, x: x - seen.width / 2, y: y - seen.height / 2});
  boxes[node].focus();
  pin(node);
}

const nodeOf = event => {
  const box = event.target.closest('.box');
  return box === null ? null : +box.dataset.node;
};
boxes.forEach((box, at) => {
  box.setAttribute('tabindex', 0);
  box.setAttribute('role', 'button');
  box.setAttribute('aria-label', nodes[at].id + (nodes[at].state ? `, ${nodes[at].state}` : ''));
});
svg.addEventListener('mouseover', event => { if (pinned === null) choose(nodeOf(event)); });

// A drag moves the drawing; two fingers zoom it; what did not move was a click.
const fingers = new Map();
let moved = false;
svg.addEventListener('pointerdown', event => {
  fingers.set(event.pointerId, event);
  if (fingers.size === 1) moved = false;
});
svg.addEventListener('pointermove', event => {
  const before = fingers.get(event.pointerId);
  if (before === undefined) return;
  const other = [...fingers.values()].find(finger => finger.pointerId !== event.pointerId);
  const far = Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY) > 3;
  if (!far && !moved) return;
  if (!moved) svg.setPointerCapture(event.pointerId);
  moved = true;
  if (other === undefined) {
    const [[x0, y0], [x1, y1]] = [under(before), under(event)];
    look({...seen, x: seen.x + x0 - x1, y: seen.y + y0 - y1});
  } else {
    const apart = finger => Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY);
    zoom(apart(before) / apart(event), under(other));
  }
  fingers.set(event.pointerId, event);
});
for (const end of ['pointerup', 'pointercancel']) svg.addEventListener(end, event => fingers.delete(event.pointerId));
svg.addEventListener('click', event => { if (!moved) pin(nodeOf(event)); });
svg.addEventListener('wheel', event => {
  event.preventDefault();
  zoom(Math.exp(event.deltaY / 400), under(event));
}, {passive: false});

document.addEventListener('keydown', event => {
  if (event.key === 'Escape') { search.value = ''; pin(null); return; }
  if (event.target === search) return;
  const box = document.activeElement.closest?.('.box');
  if (box && (event.key === 'Enter' || event.key === ' ')) { event.preventDefault(); pin(+box.dataset.node); }
  if (event.key === '+') zoom(0.8);
  if (event.key === '-') zoom(1.25);
  if (event.key === '0') fit();
  if (event.key === '/') { event.preventDefault(); search.focus(); }
});
const found = () => {
  const sought = search.value.trim().toLowerCase();
  const text = node => [node.id, node.state, ...Object.values(node.values ?? {})].join(' ').toLowerCase();
  return sought === '' ? [] : nodes.flatMap((node, at) => text(node).includes(sought) ? [at] : []);
};
search.addEventListener('input', () => {
  const all = found();
  pin(null);
  svg.classList.toggle('chosen', search.value.trim() !== '');
  all.forEach(at => boxes[at].classList.add('near'));
});
let next = 0;
search.addEventListener('keydown', event => {
  const all = found();
  if (event.key === 'Enter' && all.length > 0) { show(all[next++ % all.length]); search.focus(); }
});
document.getElementById('in').onclick = () => zoom(0.8);
document.getElementById('out').onclick = () => zoom(1.25);
document.getElementById('fit').onclick = fit;
begin();
