
// What the server sends replaces what was known; another set of boxes is another page.
const log = document.getElementById('log');
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
  if (pinned !== null) describe(pinned);
  log.replaceChildren();
  for (const line of now.log) part('p', line, log);
  log.scrollTop = log.scrollHeight;
};
