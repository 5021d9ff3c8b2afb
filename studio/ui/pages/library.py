"""Library and queue: everything that was made, found by words, trashed and brought back; and all jobs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from html import escape
from typing import Any

import gradio as gr

from pipelines.errors import BadInput
from studio.domain.report import say_stage
from studio.jobs.kinds import find_kind
from studio.library.index import KINDS, Cursor, Search, Thing, count_things, find_things, tags_of
from studio.library.records import JobRecord
from studio.library.trash import disk_use, empty_trash
from studio.texts.licences import say_answers
from studio.ui.context import EACH, HIDDEN, LATEST, Pressed, Said, Ui, actions, guarded, owner_of, pressed, toast
from studio.ui.parts.donor_form import build_adding
from studio.ui.parts.html import button, card, empty, grid, panel, picture, table
from studio.ui.parts.misfits import donor_reasons
from studio.ui.parts.page_head import open_page
from studio.ui.parts.recall_form import build_reuse

__all__ = ["Opened", "build", "show_things"]

_KINDS = (*KINDS, "donor", "trash")
_MORE_DONORS = Cursor(False, datetime.min, "donor")  # donors are a list in memory: its pages are counted
_PAGE = 60
_MOST_TAGS = 12
_JOBS = 30


@dataclass(frozen=True)
class Opened:
    """Which page is shown: the ends of those before it, and its own where one follows."""

    before: tuple[Cursor, ...] = ()
    next: Cursor | None = None

    def turned(self, do: str) -> Opened:
        """Return the page that a button asks for."""
        if do == "next-page" and self.next is not None:
            return Opened((*self.before, self.next))
        return Opened(self.before[:-1]) if do == "previous-page" and self.before else self


def build(ui: Ui) -> None:
    t = ui.t
    open_page(ui, "library")
    with gr.Row():
        kind = gr.Radio(
            [(t(f"library.{k}"), k) for k in _KINDS], value="consolidate", label=t("library.show"), elem_id="kind"
        )
        search = gr.Textbox(
            "", label=t("library.search"), placeholder=t("library.search_hint"), elem_id="search", max_length=200
        )
        tag = gr.Dropdown(
            [(t("library.any_tag"), "")], value="", label=t("library.tag"), elem_id="tag", allow_custom_value=False
        )
    things = actions("", "shelf")
    for title, build_part in (("library.more", build_reuse), ("adding.title", build_adding)):
        gr.HTML(f"<h2>{escape(t(title))}</h2>", padding=False, apply_default_css=False, js_on_load=None)
        build_part(ui)
    jobs = actions("", "jobs")
    disk = actions(_disk(ui), "disk")
    opened = gr.State(Opened())
    shown = gr.State("")
    timer = gr.Timer(2.0)

    def show(said: Said, request: gr.Request) -> Any:
        owner = owner_of(request)
        html, now = show_things(ui, owner, said[kind], said[search] or "", said[tag] or "", said[opened])
        return {things: html, opened: now, jobs: _jobs(ui, owner), tag: _tags(ui, owner, said[tag] or "")}

    def look(said: Said, request: gr.Request) -> Any:
        return show({**said, opened: Opened()}, request)

    def load(request: gr.Request) -> Any:
        return show({kind: "consolidate", search: "", tag: "", opened: Opened()}, request)

    def tick(before: str, request: gr.Request) -> Any:
        html = _jobs(ui, owner_of(request))
        return (gr.skip(), before) if html == before else (html, html)

    def act(said: Said, event: gr.EventData, request: gr.Request) -> Any:
        data = pressed(event)
        turned = said[opened].turned(data.get("do", ""))
        if turned == said[opened]:
            _act(ui, owner_of(request), data)
        now = show({**said, opened: turned}, request)
        return now | {things: _sure(ui) + now[things]} if data.get("do") == "empty" else now

    def about(event: gr.EventData) -> str:
        return _disk(ui, pressed(event).get("do") == "disk")

    inputs: set[Any] = {kind, search, tag, opened}
    outputs = [things, opened, jobs, tag]
    gr.on(None, guarded(ui, load), None, outputs, **HIDDEN)
    # on `input` a pasted text is told one event late
    gr.on([kind.input, search.change, tag.input], guarded(ui, look), inputs, outputs, **LATEST)
    timer.tick(guarded(ui, tick), [shown], [jobs, shown], **HIDDEN)
    acting = guarded(ui, act)
    for part in (things, jobs):
        part.click(acting, inputs, outputs, **EACH)
    disk.click(guarded(ui, about), None, [disk], **HIDDEN)


def _act(ui: Ui, owner: str, data: Pressed) -> None:
    do, thing = data.get("do"), data.get("thing", "")
    if ui.act(owner, data):
        return
    if do == "next":
        ui.queue.run_next(data["job"], owner)
    elif do in ("pause", "go-on"):
        ui.queue.pause(owner, do == "pause")
    elif do == "empty-sure":
        freed = empty_trash(ui.studio.library, owner, ui.queue.forget)
        toast(ui.t("trash.freed", things=freed.things, files=freed.files, size=f"{freed.bytes / 1e6:.1f}"))
    else:
        with ui.turn:
            _mark(ui, owner, do, thing, data)


def _mark(ui: Ui, owner: str, do: object, thing: str, data: Pressed) -> None:
    """Note what a person says of a thing."""
    if do in ("trash", "restore"):
        ui.mark(owner, thing, trashed=do == "trash")
    elif do == "star":
        ui.mark(owner, thing, favourite=not ui.marks(owner).get(thing, {}).get("favourite"))
    elif do == "tag":
        _add_tag(ui, owner, thing, data.get("value", ""))
    elif do == "untag":
        tags = str(ui.marks(owner).get(thing, {}).get("tags", "")).split()
        ui.mark(owner, thing, tags=_joined(name for name in tags if name != data.get("tag")))


def _add_tag(ui: Ui, owner: str, thing: str, said: str) -> None:
    names = "".join(c if c.isprintable() else " " for c in said).split()
    tags = list(dict.fromkeys([*str(ui.marks(owner).get(thing, {}).get("tags", "")).split(), *names]))
    if len(tags) > _MOST_TAGS or any(len(name) > 30 for name in tags):
        raise BadInput("too_many_tags", most=_MOST_TAGS, longest=30)
    ui.mark(owner, thing, tags=_joined(tags))


def _joined(tags: Iterable[str]) -> str:
    """With a space around each, so that a query finds whole ones."""
    text = " ".join(tags)
    return f" {text} " if text else ""


def _tags(ui: Ui, owner: str, wanted: str) -> Any:
    tags = tags_of(ui.studio.records, owner)
    choices = [(ui.t("library.any_tag"), ""), *((name, name) for name in tags)]
    return gr.Dropdown(choices, value=wanted if wanted in tags else "")


def show_things(ui: Ui, owner: str, what: str, search: str, tag: str, opened: Opened) -> tuple[str, Opened]:
    """Return a page of a kind's things as HTML, and where it is; the page before where nothing is left on this one.

    Every word of `search` must be found, in the page's language or in English.
    """
    t = ui.t
    if what == "donor":
        every = _donors(ui, search)
        first = len(opened.before) * _PAGE
        cards, count = every[first : first + _PAGE], len(every)
        more = _MORE_DONORS if first + _PAGE < count else None
    else:
        terms = tuple((word, t.word_back(word)) for word in search.split()[:12])
        wanted = Search(owner, "" if what == "trash" else what, what == "trash", terms, tag)
        found = find_things(ui.studio.records, wanted, opened.before[-1] if opened.before else None, _PAGE)
        cards, more = [_thing(ui, thing) for thing in found.things], found.next
        count = count_things(ui.studio.records, wanted)
    if not cards:
        if opened.before:
            return show_things(ui, owner, what, search, tag, opened.turned("previous-page"))
        return empty(t("library.empty")), Opened()
    number = len(opened.before) + 1
    pages = max(number + (more is not None), -(-count // _PAGE))
    bar = escape(t("library.count", count=count, page=number, pages=pages))
    bar += f" {button(t('trash.empty'), 'empty')}" if what == "trash" else ""
    bar += f" {button(t('library.previous'), 'previous-page')}" if opened.before else ""
    bar += f" {button(t('library.next'), 'next-page')}" if more is not None else ""
    return f'<p class="st-soft">{bar}</p>{grid(cards)}', replace(opened, next=more)


def _donors(ui: Ui, search: str) -> list[str]:
    t, wanted, known = ui.t, search.strip().casefold(), ui.studio.list_donors()
    found = [d for d in known.donors if wanted in f"{d.name} {d.category} {t.word(d.category)} {d.licence}".casefold()]
    reasons = donor_reasons(ui, known.donors)
    damaged = [
        card(
            "",
            [
                f"<strong>{escape(d.folder.name)}</strong> <span class='st-bad'>{escape(t('donor.damaged'))}</span>",
                f"<p class='st-soft'>{escape(t.error(d.error))}</p>",
            ],
        )
        for d in known.damaged
        if wanted in f"{d.folder.parent.name} {d.folder.name}".casefold()
    ]
    return damaged + [
        card(
            f'<img src="/donors/{d.id}" alt="{escape(d.name)}" loading="lazy">',
            [
                f"<strong>{escape(d.name)}</strong>",
                f"<span class='st-soft'>{escape(t.word(d.category))} · {escape(d.licence)}</span>",
                f"<span class='st-soft'>{escape(say_answers(t, d.licence))}</span>",
                f"<span class='st-bad'>{escape(reasons[d.id])}</span>" if d.id in reasons else "",
            ],
            "dropped" if d.id in reasons else "",
        )
        for d in found
    ]


def _name(ui: Ui, thing: Thing) -> str:
    t, facts = ui.t, thing.facts
    if thing.kind == "consolidate":
        return f"{facts['name']} · {t('version')} {facts['version']}"
    if thing.kind == "posts":
        return f"{facts['name']} · {t.word(facts['scene'])} · {facts['count']}"
    if thing.kind == "design":
        return f"{t.word(facts['name'])} · {facts['kept']}/{facts['count']}"
    return t.word(facts["name"])


def _thing(ui: Ui, thing: Thing) -> str:
    t, marks, name = ui.t, thing.marks, _name(ui, thing)
    trashed = bool(marks.get("trashed"))
    buttons = button(
        "★", "star", pressed=bool(marks.get("favourite")), title=t("library.star", name=name), thing=thing.id
    )
    buttons += button(t("restore" if trashed else "trash"), "restore" if trashed else "trash", thing=thing.id)
    tags = "".join(
        button(f"{tag} ×", "untag", title=t("library.untag", tag=tag), thing=thing.id, tag=tag)
        for tag in str(marks.get("tags", "")).split()
    )
    add = escape(t("library.add_tag", name=name))
    tags += (
        f'<input class="st-tag" type="text" maxlength="60" data-do="tag" data-thing="{escape(thing.id)}" '
        f'placeholder="{escape(t("library.tag_hint"))}" aria-label="{add}">'
    )
    key = str(thing.facts.get("picture", ""))
    return card(
        picture(key, name) if key else "",
        [
            f"<strong>{escape(name)}</strong><span class='st-soft'>{_when(thing.created)}</span>",
            f'<div class="st-row">{tags}</div><div class="st-row">{buttons}</div>',
        ],
    )


def _sure(ui: Ui) -> str:
    t = ui.t
    return panel(
        f"<strong>{escape(t('trash.sure'))}</strong><p>{escape(t('trash.what'))}</p><div class='st-row'>"
        f"{button(t('trash.yes'), 'empty-sure', big=True)}{button(t('trash.no'), 'empty-not')}</div>",
        "failed",
    )


def _jobs(ui: Ui, owner: str) -> str:
    t = ui.t
    rows = [_job(ui, owner, job) for job in ui.queue.jobs(owner, _JOBS)]
    headers = [t(f"jobs.{name}") for name in ("kind", "when", "state", "why", "do")]
    body = table(headers, rows) if rows else empty(t("jobs.empty"))
    held = ui.queue.paused(owner)
    pause = button(t("jobs.go_on" if held else "jobs.pause"), "go-on" if held else "pause")
    note = f' <span class="st-bad">{escape(t("jobs.paused"))}</span>' if held else ""
    return f"<h2>{escape(t('jobs.title'))}</h2><p>{pause}{note}</p>{body}"


def _job(ui: Ui, owner: str, job: JobRecord) -> list[str]:
    t = ui.t
    state = t(f"job.{job.state}")
    if job.state == "running":
        now = ui.queue.report(job.id, owner).current
        state += "" if now is None else f" {say_stage(t, now)}"
    why = ui.why(job)
    do = ""
    if job.state in ("queued", "running"):
        do = button(t("job.stop"), "stop", job=job.id)
        if job.state == "queued":
            do += button(t("job.next"), "next", job=job.id)
    elif job.state in ("failed", "cancelled"):
        do = button(t("job.resume"), "retry", job=job.id)
    return [escape(find_kind(job.kind).words[t.language]), _when(job.created), escape(state), escape(why), do]


def _when(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")


def _disk(ui: Ui, wanted: bool = False) -> str:
    t = ui.t
    free = shutil.disk_usage(ui.studio.settings.data).free
    said = f"<p class='st-soft'>{escape(t('library.disk', free=f'{free / 1e9:.1f}'))} "
    if not wanted:
        return f"{said}{button(t('disk.show'), 'disk')}</p>"
    rows = [[escape(t(f"disk.{kind}")), f"{size / 1e6:.1f} MB"] for kind, size in disk_use(ui.studio.library).items()]
    return f"{said}</p>{table([t('disk.kind'), t('disk.size')], rows)}"
