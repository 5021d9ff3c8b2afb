// A page's clock: it asks how things stand at the pace that the last answer names, sooner after a press, and not at all
// while nobody looks at the page.
const AFTER_PRESS_S = 1, PRESSED_S = 5;
let next = 0, pressed = 0;
const pace = () => {
  const named = Number((element.querySelector('[data-every]') || {dataset: {}}).dataset.every) || 2;
  return Date.now() < pressed ? Math.min(named, AFTER_PRESS_S) : named;
};
const wait = () => { clearTimeout(next); next = setTimeout(ask, 1000 * pace()); };
const ask = () => {
  if (!element.isConnected) { return; }
  if (!document.hidden) { trigger('tick'); }
  wait();
};
document.addEventListener('visibilitychange', () => { if (!document.hidden) { ask(); } });
document.addEventListener('click', () => { const idle = Date.now() >= pressed; pressed = Date.now() + 1000 * PRESSED_S; if (idle) { wait(); } }, true);
wait();
