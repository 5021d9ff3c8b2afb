// Runs once for each piece of our HTML (Gradio gives element, trigger and watch).
const tell = (event, node) => { element.dataset.last = node.dataset.key || ''; trigger('click', {...node.dataset, value: node.value || ''}); };
// What a button opens elsewhere (data-seek) is shown as soon as it is there.
const seekOpened = id => {
  let tries = 0;
  const seek = setInterval(() => {
    const box = document.getElementById(id);
    if ((box && box.offsetHeight) || ++tries > 40) { clearInterval(seek); if (box) { box.scrollIntoView(); } }
  }, 200);
};
// A section is folded or not, whatever its tile says by then.
const showFold = () => {
  const node = element.querySelector('[data-do=fold]');
  if (node) { node.setAttribute('aria-expanded', String(element.dataset.open === 'true')); }
};
// A double click on these asks for one drawing, and a key that is held down is one press.
const DRAWS = ['redraw', 'redraw-weak', 'vary'];
// A caption is one paragraph: Enter ends it, but not while a word is being composed.
element.addEventListener('keydown', e => {
  if (e.key === 'Enter' && !e.isComposing && e.target.matches('textarea[data-do]')) { e.preventDefault(); e.target.blur(); }
});
element.addEventListener('keydown', e => { if (e.repeat && e.target.closest('button[data-do]')) { e.preventDefault(); } });
element.addEventListener('click', e => {
  const node = e.target.closest('[data-do]');
  if (node && e.detail > 1 && DRAWS.includes(node.dataset.do)) { return; }
  if (node && node.dataset.do === 'fold') { element.dataset.open = node.dataset.open = element.dataset.open !== 'true'; showFold(); }
  if (node && !node.matches('input, textarea') && !node.disabled) { tell(e, node); if (node.dataset.seek) { seekOpened(node.dataset.seek); } }
});
// What is being typed survives a redrawing: it is told when the field is left.
const typed = {};
element.addEventListener('change', e => { const node = e.target.closest('input[data-do], textarea[data-do]'); if (node) { delete typed[node.dataset.key]; tell(e, node); } });
// A card with data-drag goes to the place of the card that it is dropped on.
let dragged = null;
element.addEventListener('dragstart', e => {
  dragged = e.target.closest && e.target.closest('[data-drag]');
  if (dragged) { e.dataTransfer.effectAllowed = 'move'; e.dataTransfer.setData('text/plain', dragged.dataset.drag); }
});
element.addEventListener('dragover', e => {
  const over = e.target.closest('[data-drag]');
  if (dragged && over) { e.preventDefault(); element.querySelectorAll('.over').forEach(n => n.classList.remove('over')); over.classList.add('over'); }
});
element.addEventListener('dragend', () => { dragged = null; element.querySelectorAll('.over').forEach(n => n.classList.remove('over')); });
element.addEventListener('drop', e => {
  const over = e.target.closest('[data-drag]');
  if (dragged && over && over !== dragged) { e.preventDefault(); trigger('click', {do: 'move', set: dragged.dataset.set, number: dragged.dataset.drag, to: over.dataset.place}); }
});
// Many files, or a folder, go as one tar (POSIX ustar, GNU's long names): of the files themselves nothing is read here.
const bytes = text => new TextEncoder().encode(text);
const tarHead = (name, size, type) => {
  const head = new Uint8Array(512), put = (text, at) => head.set(bytes(text), at);
  head.set(name.slice(0, 100)); put('0000644\0', 100); put('0000000\0', 108); put('0000000\0', 116);
  put(size.toString(8).padStart(11, '0') + '\0', 124); put('00000000000\0', 136); put('        ' + type, 148); put('ustar  \0', 257);
  put(head.reduce((sum, one) => sum + one, 0).toString(8).padStart(6, '0') + '\0 ', 148);
  return head;
};
const tarOf = (files, called) => {
  const parts = [], add = (name, size, type, body) => parts.push(tarHead(name, size, type), body, new Uint8Array(-size & 511));
  for (const [path, file] of files) {
    const name = bytes(path);
    if (name.length > 100) { add(bytes('././@LongLink'), name.length, 'L', name); }
    add(name, file.size, '0', file);
  }
  parts.push(new Uint8Array(1024));
  return new File(parts, called + '.tar');
};
const sendMany = (input, files) => {
  const seen = files.filter(([path]) => !path.split('/').some(part => part.startsWith('.')));
  const top = seen.length && seen[0][0].includes('/') ? seen[0][0].split('/')[0] : '';
  if (seen.length) { send(input, seen.length === 1 && !top ? seen[0][1] : tarOf(seen, top || 'photos'), {count: seen.length, called: top}); }
};
// All files below what was dropped; a folder tells of its files a hundred at a time.
const filesOf = entry => new Promise((done, fail) => {
  if (entry.isFile) { entry.file(file => done([[entry.fullPath.slice(1), file]]), fail); return; }
  const reader = entry.createReader(), found = [];
  const next = () => reader.readEntries(async some => {
    if (!some.length) { done(found.flat()); return; }
    for (const one of some) { found.push(await filesOf(one)); }
    next();
  }, fail);
  next();
});
// A dropped or chosen file goes to the server in one piece; Python is then told which one it is.
const send = (input, file, more = {count: 1, called: ''}) => {
  const told = {do: 'refused', status: 413};
  if (file.size > Number(input.dataset.most)) { trigger('click', told); return; }
  const bar = input.parentElement.querySelector('progress'), ask = new XMLHttpRequest();
  ask.open('POST', '/uploads?name=' + encodeURIComponent(file.name));
  ask.upload.onprogress = e => { bar.hidden = false; bar.value = e.loaded / e.total; };
  ask.onloadend = () => {
    bar.hidden = true; input.value = '';
    if (ask.status === 200) { trigger('click', {do: input.dataset.upload, upload: JSON.parse(ask.responseText).upload, file: file.name, ...more}); }
    else { trigger('click', {do: 'refused', status: ask.status}); }
  };
  ask.send(file);
};
const zone = e => e.target.closest('.st-drop');
for (const name of ['dragover', 'dragleave', 'drop']) {
  element.addEventListener(name, e => {
    if (!zone(e)) { return; }
    e.preventDefault(); zone(e).classList.toggle('over', name === 'dragover');
    const file = name === 'drop' && e.dataTransfer.files[0], into = zone(e).querySelector('input');
    if (file && into.dataset.many !== undefined) {
      const entries = [...e.dataTransfer.items].map(item => item.webkitGetAsEntry()).filter(Boolean);
      Promise.all(entries.map(filesOf)).then(all => sendMany(into, all.flat()), () => trigger('click', {do: 'refused', status: 0}));
    } else if (file) { send(zone(e).querySelector('input'), file); }
  });
}
element.addEventListener('change', e => {
  if (!e.target.matches('input[data-upload]') || !e.target.files[0]) { return; }
  if (e.target.dataset.many === undefined) { send(e.target, e.target.files[0]); return; }
  sendMany(e.target, [...e.target.files].map(file => [file.webkitRelativePath || file.name, file]));
});
element.addEventListener('input', e => {
  if (e.target.matches('input[type=text][data-do], textarea[data-do]')) { typed[e.target.dataset.key] = e.target.value; }
  if (e.target.matches('[data-compare]')) { e.target.parentElement.style.setProperty('--at', e.target.value + '%'); }
});
watch('value', () => {
  showFold();
  for (const [key, text] of Object.entries(typed)) { const node = element.querySelector(`[data-key="${CSS.escape(key)}"]`); if (node) { node.value = text; } }
  const key = element.dataset.last;
  if (key && (document.activeElement === document.body || element.contains(document.activeElement))) {
    const node = element.querySelector(`[data-key="${CSS.escape(key)}"]`); if (node) { node.focus({preventScroll: true}); }
  }
});
