// Runs once for each piece of our HTML (Gradio gives element, trigger and watch).
const tell = (event, node) => { element.dataset.last = node.dataset.key || ''; trigger('click', {...node.dataset, value: node.value || ''}); };
element.addEventListener('click', e => {
  const node = e.target.closest('[data-do]');
  if (node && node.tagName !== 'INPUT' && !node.disabled) { tell(e, node); }
});
element.addEventListener('change', e => { const node = e.target.closest('input[data-do]'); if (node) { tell(e, node); } });
element.addEventListener('input', e => {
  if (e.target.matches('[data-compare]')) { e.target.parentElement.style.setProperty('--at', e.target.value + '%'); }
});
watch('value', () => {
  const key = element.dataset.last;
  if (key && (document.activeElement === document.body || element.contains(document.activeElement))) {
    const node = element.querySelector(`[data-key="${CSS.escape(key)}"]`); if (node) { node.focus({preventScroll: true}); }
  }
});
