// What Gradio 6.31 says in English only, or by a word of its own although it was given another (a toast's title), said
// in the page's language. SAID holds [its words, ours]; {what} in both is what stands there.
(() => {
  const quote = text => text.replace(/[.*+?^$()|[\]\\]/g, '\\$&');
  const rows = SAID.map(([theirs, ours]) => [new RegExp(`^${quote(theirs).replace(/\{(\w+)\}/g, '(?<$1>[^]+)')}$`), ours]);
  const known = new Map();
  const say = text => {
    if (!known.has(text)) {
      const row = rows.find(([theirs]) => theirs.test(text.trim()));
      known.set(text, row ? row[1].replace(/\{(\w+)\}/g, (_, name) => row[0].exec(text.trim()).groups[name]) : null);
    }
    return known.get(text);
  };
  const ATTRIBUTES = ['aria-label', 'title', 'placeholder'];
  const attributes = node => {
    for (const name of ATTRIBUTES) {
      const text = node.getAttribute(name), ours = text && say(text);
      if (ours && ours !== text) { node.setAttribute(name, ours); }
    }
  };
  const texts = node => {
    for (const part of node.querySelectorAll('.toast-title, .toast-text')) {
      const ours = part.children.length ? null : say(part.textContent);
      if (ours && ours !== part.textContent) { part.textContent = ours; }
    }
  };
  const whole = node => {
    if (node.nodeType !== Node.ELEMENT_NODE) { return; }
    attributes(node);
    node.querySelectorAll('[aria-label], [title], [placeholder]').forEach(attributes);
    texts(node);
  };
  new MutationObserver(changes => {
    for (const change of changes) {
      if (change.type === 'attributes') { attributes(change.target); }
      else { change.addedNodes.forEach(whole); if (change.target.closest && change.target.closest('.toast-body')) { texts(change.target.closest('.toast-body')); } }
    }
  }).observe(document.documentElement, {childList: true, subtree: true, attributes: true, attributeFilter: ATTRIBUTES});
})();
