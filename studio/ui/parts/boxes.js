// A box on a picture (a button with data-box): dragged by its middle, sized by its corner (data-corner), or moved by the
// arrow keys and sized by + and -. Python is told where it stands: left, top, width and height in shares.
// data-ratio keeps its shape; data-least is its least width.
const SIDES = ['left', 'top', 'width', 'height'], STEP = 0.02;
const within = (value, least, most) => Math.min(Math.max(most, least), Math.max(least, value));
const boxOf = node => SIDES.map(side => parseFloat(node.style[side]) / 100);
const putBox = (node, box) => SIDES.forEach((side, i) => { node.style[side] = `${(100 * box[i]).toFixed(2)}%`; });
const tellBox = node => {
  element.dataset.last = node.dataset.key;
  trigger('click', {do: node.dataset.box, ...Object.fromEntries(SIDES.map((side, i) => [side, boxOf(node)[i]]))});
};
const changed = (node, [left, top, width, height], across, down, sizes) => {
  if (!sizes) { return [within(left + across, 0, 1 - width), within(top + down, 0, 1 - height), width, height]; }
  const least = Number(node.dataset.least || 0.05), wide = within(width + across, least, 1 - left);
  if (!('ratio' in node.dataset)) { return [left, top, wide, within(height + down, least, 1 - top)]; }
  const by = Math.min(wide / width, (1 - top) / height);
  return [left, top, width * by, height * by];
};
let grip = null, soon = 0;
element.addEventListener('pointerdown', e => {
  const node = e.target.closest('[data-box]');
  if (!node || e.button) { return; }
  grip = {node, stage: node.parentElement.getBoundingClientRect(), x: e.clientX, y: e.clientY, box: boxOf(node), sizes: !!e.target.closest('[data-corner]')};
  node.setPointerCapture(e.pointerId);
});
element.addEventListener('pointermove', e => {
  if (!grip) { return; }
  const across = (e.clientX - grip.x) / grip.stage.width, down = (e.clientY - grip.y) / grip.stage.height;
  grip.moved = grip.moved || Math.hypot(e.clientX - grip.x, e.clientY - grip.y) > 3;
  if (grip.moved) { putBox(grip.node, changed(grip.node, grip.box, across, down, grip.sizes)); }
});
for (const name of ['pointerup', 'pointercancel']) {
  element.addEventListener(name, () => { const was = grip; grip = null; if (was && was.moved) { tellBox(was.node); } });
}
element.addEventListener('keydown', e => {
  const ways = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], '+': [1, 1], '=': [1, 1], '-': [-1, -1]};
  const node = e.target.closest('[data-box]'), way = ways[e.key];
  if (!node || !way) { return; }
  e.preventDefault();
  putBox(node, changed(node, boxOf(node), STEP * way[0], STEP * way[1], !e.key.startsWith('Arrow')));
  clearTimeout(soon);
  soon = setTimeout(() => { if (node.isConnected) { tellBox(node); } }, 400);
});
