"""The set that the posts page shows: the one that a link names, else the newest; with its own jobs and bundle only."""

from __future__ import annotations

import gradio as gr

from studio.domain.bundle import Bundle
from studio.domain.persona import Persona
from studio.domain.posts import PostSet
from studio.library.records import JobRecord
from studio.library.results import job_of, jobs_of_set
from studio.ui.context import Ui
from studio.ui.parts.html import empty, file_url, link
from studio.ui.parts.look import show_look
from studio.ui.parts.origin import show_origin
from studio.ui.parts.post_cards import newest_set, show_arriving, show_set

__all__ = ["FORGET_SET", "SHOW_SET", "set_url", "show_jobs_of_set", "show_opened_set", "wanted_set"]

# Of a set that a link names its cards are shown, not the form above them; what is drawn from it is the newest again.
SHOW_SET = """() => {
  if (!new URLSearchParams(location.search).has('set')) { return; }
  let tries = 0;
  const seek = setInterval(() => {
    const shown = document.querySelector('#posts .st-card, #posts .st-empty');
    if (shown || ++tries > 100) { clearInterval(seek); }
    if (shown) { document.getElementById('progress').scrollIntoView(); }
  }, 100);
}"""
FORGET_SET = "() => history.replaceState(null, '', location.pathname)"
_TAKES = ("vary", "fix")


def set_url(ui: Ui, post_set: str) -> str:
    """Return a set's own address, which can be kept."""
    return f"{ui.url('posts')}?set={post_set}"


def wanted_set(request: gr.Request) -> str:
    """Return the id of the set that the page's address names; "" for the newest."""
    return str(dict(request.query_params).get("set", ""))[:64]


def show_opened_set(ui: Ui, owner: str, key: str) -> str:
    """Return the cards of the set as HTML, behind those that arrive for the newest; or that it is not there. What it
    was exported to last is beside the button that exports it.
    """

    def cards(found: PostSet) -> str:
        exports = [row for row in jobs_of_set(ui.studio.records, owner, found.id) if row.kind == Bundle.kind]
        made = _bundle(ui, exports[0]) if exports else ""
        return show_look(ui, owner, found) + show_set(ui, owner, found, made) + show_origin(ui, owner, found)

    if not key:
        newest = newest_set(ui, owner)
        arriving = show_arriving(ui, owner, ui.newest(owner, PostSet.kind))
        return arriving + ("" if newest is None else cards(newest))
    post_set = ui.find(owner, PostSet, key)
    if post_set is not None:
        return cards(post_set)
    return empty(ui.t("posts.set_gone"), link(ui.t("library.title"), f"{ui.url('library')}?kind=posts"))


def show_jobs_of_set(ui: Ui, owner: str, key: str) -> str:
    """Return the jobs of the set of this id ("": of the newest) as HTML: how far they are."""
    t = ui.t
    drawing = job_of(ui.studio.records, owner, PostSet, key) if key else ui.newest(owner, PostSet.kind)
    if drawing is None:
        if key or ui.results(owner, Persona):
            return ""
        return empty(t("posts.empty"), link(t("consolidate.title"), ui.url("consolidate")))
    parts = [ui.job_panel(owner, drawing, strip=False)]
    shown = newest_set(ui, owner) if not key else None
    of_set = jobs_of_set(ui.studio.records, owner, key or ("" if shown is None else shown.id))
    newest = {row.kind: row for row in reversed(of_set)}
    parts += [
        ui.job_panel(owner, newest[kind], strip=False)
        for kind in _TAKES
        if kind in newest and newest[kind].state != "done"
    ]
    if (export := newest.get(Bundle.kind)) is not None:
        parts.append(ui.job_panel(owner, export))
    return "".join(parts)


def _bundle(ui: Ui, export: JobRecord) -> str:
    if export.state != "done":
        return ""
    made = ui.queue.result(export, Bundle)
    label = ui.t("posts.download", size=f"{made.bytes / 1e6:.1f}", count=made.pictures)
    return link(label, file_url(made.bundle, made.name), name="download", download=True)
