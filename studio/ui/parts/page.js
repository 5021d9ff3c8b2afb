// Runs at the head of every page, before Gradio does. RUN is the id of the process that sent the page.
(() => {
  const ask = window.fetch.bind(window), pause = ms => new Promise(go => setTimeout(go, ms)), never = () => new Promise(() => {});
  // Nothing that a browser translates by itself is what the studio says.
  document.documentElement.setAttribute('translate', 'no');
  // A link that is followed cuts what is on its way, which is no lost connection.
  let left = -Infinity, lost = false;
  addEventListener('beforeunload', () => { left = Date.now(); });
  // The studio is away, or another process answers, which knows nothing of this page: wait until it is there, and load
  // the page again. What was filled in is kept there.
  const wait = async () => {
    if (lost) { return; }
    lost = true;
    await pause(300);
    if (Date.now() - left < 5000) { lost = false; return; }
    document.documentElement.classList.add('st-lost');
    const said = document.createElement('div');
    said.className = 'st-away'; said.setAttribute('role', 'alert'); said.textContent = WORDS;
    document.body.append(said);
    for (;;) {
      try { if ((await ask('/health', {cache: 'no-store'})).ok) { location.reload(); return; } } catch { /* not yet */ }
      await pause(1000);
    }
  };
  const watch = body => {
    const reader = body.getReader();
    return new ReadableStream({
      async pull(out) {
        try { const {done, value} = await reader.read(); if (done) { out.close(); } else { out.enqueue(value); } }
        catch (error) { if (error.name === 'AbortError') { throw error; } wait(); await never(); }
      },
      cancel(why) { return reader.cancel(why); },
    });
  };
  window.fetch = async (...all) => {
    let got;
    try { got = await ask(...all); } catch (error) { if (error.name === 'AbortError') { throw error; } wait(); return never(); }
    // A session that ended in an open tab leads to the login, not to an error a second.
    if (got.status === 401) { location.reload(); }
    const run = got.headers.get('x-studio-run');
    if ([502, 503, 504].includes(got.status) || (run && run !== RUN)) { wait(); return never(); }
    const streams = got.body && (got.headers.get('content-type') || '').startsWith('text/event-stream');
    return streams ? new Response(watch(got.body), {status: got.status, headers: got.headers}) : got;
  };
  // A double click is one press.
  addEventListener('click', e => { if (e.detail > 1 && e.target.closest('#go')) { e.stopPropagation(); e.preventDefault(); } }, true);
})();
