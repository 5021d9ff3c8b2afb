// Runs once for each piece of our HTML (Gradio gives element, trigger and watch).
const tell = (event, node) => { element.dataset.last = node.dataset.key || ''; trigger('click', {...node.dataset, value: node.value || ''}); };
element.addEventListener('click', e => {
  const node = e.target.closest('[data-do]');
  if (node && node.tagName !== 'INPUT' && !node.disabled) { tell(e, node); }
});
// A dropped or chosen file goes to the server in one piece; Python is then told which one it is.
const send = (input, file) => {
  const told = {do: 'refused', status: 413};
  if (file.size > Number(input.dataset.most)) { trigger('click', told); return; }
  const bar = input.parentElement.querySelector('progress'), ask = new XMLHttpRequest();
  ask.open('POST', '/uploads?name=' + encodeURIComponent(file.name));
  ask.upload.onprogress = e => { bar.hidden = false; bar.value = e.loaded / e.total; };
  ask.onloadend = () => {
    bar.hidden = true; input.value = '';
    if (ask.status === 200) { trigger('click', {do: input.dataset.upload, upload: JSON.parse(ask.responseText).upload}); }
    else { trigger('click', {do: 'refused', status: ask.status}); }
  };
  ask.send(file);
};
const zone = e => e.target.closest('.st-drop');
for (const name of ['dragover', 'dragleave', 'drop']) {
  element.addEventListener(name, e => {
    if (!zone(e)) { return; }
    e.preventDefault(); zone(e).classList.toggle('over', name === 'dragover');
    const file = name === 'drop' && e.dataTransfer.files[0];
    if (file) { send(zone(e).querySelector('input'), file); }
  });
}
element.addEventListener('change', e => {
  if (e.target.matches('input[data-upload]') && e.target.files[0]) { send(e.target, e.target.files[0]); }
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
