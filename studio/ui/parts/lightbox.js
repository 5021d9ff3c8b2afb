// Any picture of ours, enlarged: a click or Enter opens it, arrows go to the others on the page, Escape closes.
(() => {
  const OURS = 'img[src^="/thumbs/"], img[src^="/files/"], img[src^="/places/"]';
  const ACTS = 'a, button, label, [data-do], .st-compare, .image-editor';
  const whole = img => img.dataset.large || img.getAttribute('src').replace(/^\/thumbs\/([0-9a-f]{64}).*$/, '/files/$1');
  const shown = () => [...document.querySelectorAll('img[data-zoom]')].filter(img => img.offsetParent && !img.closest('dialog'));
  let box, group = [], at = 0, from = null;
  const make = () => {
    box = document.createElement('dialog');
    box.className = 'st-zoom'; box.setAttribute('aria-label', ZOOM.title);
    const part = (tag, name, label) => {
      const node = document.createElement(tag);
      node.className = name;
      if (label) { node.type = 'button'; node.setAttribute('aria-label', label[0]); node.textContent = label[1]; }
      box.append(node);
      return node;
    };
    const image = part('img', 'st-zoom-image'), said = part('p', 'st-zoom-said');
    said.setAttribute('aria-live', 'polite');
    const back = part('button', 'st-zoom-back', [ZOOM.back, '‹']), next = part('button', 'st-zoom-next', [ZOOM.next, '›']);
    const close = part('button', 'st-zoom-close', [ZOOM.close, '×']);
    box.show = number => {
      at = (number + group.length) % group.length;
      image.src = group[at].src; image.alt = group[at].alt;
      said.textContent = group[at].alt + (group.length > 1 ? ` (${at + 1} / ${group.length})` : '');
      back.hidden = next.hidden = group.length < 2;
    };
    back.onclick = () => box.show(at - 1);
    next.onclick = () => box.show(at + 1);
    close.onclick = () => box.close();
    box.onclick = e => { if (e.target === box) { box.close(); } };
    box.onkeydown = e => {
      const step = {ArrowLeft: -1, ArrowRight: 1}[e.key];
      if (step && group.length > 1) { e.preventDefault(); box.show(at + step); }
      if (e.key === 'Home' || e.key === 'End') { e.preventDefault(); box.show(e.key === 'Home' ? 0 : -1); }
    };
    box.addEventListener('close', () => {
      // the page may have been drawn anew meanwhile: its picture is found again by what it shows
      const node = from && from.isConnected ? from : shown().find(img => whole(img) === group[at].src);
      if (node) { node.focus({preventScroll: true}); }
    });
    document.body.append(box);
  };
  const open = img => {
    if (!box) { make(); }
    const all = shown();
    from = img;
    group = all.map(one => ({src: whole(one), alt: one.alt}));
    box.show(all.indexOf(img));
    box.showModal();
  };
  const zoomed = e => { const img = e.target.closest && e.target.closest('img[data-zoom]'); return img && !img.closest('dialog') ? img : null; };
  addEventListener('click', e => { const img = zoomed(e); if (img) { open(img); } });
  addEventListener('keydown', e => {
    const img = zoomed(e);
    if (img && (e.key === 'Enter' || e.key === ' ')) { e.preventDefault(); open(img); }
  });
  let due = false;
  const mark = () => {
    due = false;
    for (const img of document.querySelectorAll(OURS)) {
      if (img.dataset.zoom || img.closest(ACTS) || img.closest('dialog')) { continue; }
      img.dataset.zoom = '1'; img.tabIndex = 0;
      img.setAttribute('role', 'button'); img.setAttribute('aria-haspopup', 'dialog'); img.title = img.title || ZOOM.title;
    }
  };
  const seek = () => { if (!due) { due = true; requestAnimationFrame(mark); } };
  new MutationObserver(seek).observe(document.documentElement, {childList: true, subtree: true, attributes: true, attributeFilter: ['src']});
})();
