"""Library and queue: everything that was made, found by words, trashed and brought back; and all jobs."""

from __future__ import annotations

import shutil
from datetime import datetime
from html import escape
from typing import Any

import gradio as gr

from studio.places import scenes_of
from studio.ui.adding import build_adding
from studio.ui.context import HIDDEN, Ui, actions, guarded, open_page, owner_of
from studio.ui.parts import button, card, empty, grid, picture, table
from studio.ui.reuse import build_reuse

__all__ = ["build"]

_KINDS = ("consolidate", "posts", "scene", "design", "donor", "trash")
_PAGE = 60


def build(ui: Ui) -> None:
    t = ui.t
    open_page(ui, "library")
    with gr.Row():
        kind = gr.Radio(
            [(t(f"library.{k}"), k) for k in _KINDS], value="consolidate", label=t("library.show"), elem_id="kind"
        )
        search = gr.Textbox("", label=t("library.search"), elem_id="search", max_length=200)
        number = gr.Number(1, precision=0, minimum=1, label=t("library.page"), elem_id="page-number")
    shelf = actions("", "shelf")
    for title, build_part in (("library.more", build_reuse), ("adding.title", build_adding)):
        gr.HTML(f"<h2>{escape(t(title))}</h2>", padding=False, apply_default_css=False, js_on_load=None)
        build_part(ui)
    jobs = actions("", "jobs")
    shown = gr.State("")
    timer = gr.Timer(2.0)

    def show(what: str, words: str, page: float | None, request: gr.Request) -> Any:
        owner = owner_of(request)
        return _shelf(ui, owner, what, words, int(page or 1)), _jobs(ui, owner)

    def tick(before: str, request: gr.Request) -> Any:
        html = _jobs(ui, owner_of(request))
        return (gr.skip(), before) if html == before else (html, html)

    def act(what: str, words: str, page: float | None, event: gr.EventData, request: gr.Request) -> Any:
        owner, data = owner_of(request), dict(event._data or {})
        if not ui.act(owner, data) and data.get("do") in ("trash", "restore"):
            ui.mark(owner, str(data["thing"]), trashed=data["do"] == "trash")
        if data.get("do") == "star":
            thing = str(data["thing"])
            ui.mark(owner, thing, favourite=not ui.marks(owner).get(thing, {}).get("favourite"))
        return show(what, words, page, request)

    inputs = [kind, search, number]

    def load(request: gr.Request) -> Any:
        return show("consolidate", "", 1, request)

    gr.on(None, guarded(ui, load), None, [shelf, jobs], **HIDDEN)
    gr.on([kind.input, search.input, number.input], guarded(ui, show), inputs, [shelf, jobs], **HIDDEN)
    timer.tick(guarded(ui, tick), [shown], [jobs, shown], **HIDDEN)
    for part in (shelf, jobs):
        part.click(guarded(ui, act), inputs, [shelf, jobs], **HIDDEN)


def _things(ui: Ui, owner: str) -> list[dict[str, str]]:
    """Everything as {thing, kind, name, key}; `key` is of its picture, or "" ."""
    t, rows = ui.t, []
    for result in ui.queue.results(owner, "consolidate"):
        sheets = [r["contact_sheet"] for r in result["rounds"] if "contact_sheet" in r]
        rows.append(
            (
                "consolidate",
                result["id"],
                f"{result['name']} · {t('version')} {result['version']}",
                (sheets or [""])[-1],
            )
        )
    for result in ui.queue.results(owner, "posts"):
        name = f"{result['persona']['name']} · {t.word(result['scene']['name'])} · {len(result['posts'])}"
        rows.append(("posts", result["id"], name, result["posts"][0]["picture"]))
    for scene in scenes_of(ui.studio, owner):
        rows.append(("scene", scene["id"], t.word(scene["name"]), scene["photo"]))
    for result in ui.queue.results(owner, "design"):
        name = f"{t.word(result['recipe']['category'])} · {len(result['kept'])}/{len(result['pictures'])}"
        rows.append(("design", result["id"], name, result["contact_sheet"]))
    return [{"thing": f"{kind}:{key}", "kind": kind, "name": name, "key": pic} for kind, key, name, pic in rows]


def _shelf(ui: Ui, owner: str, what: str, search: str, page: int) -> str:
    t, marks = ui.t, ui.marks(owner)
    wanted = search.strip().casefold()
    if what == "donor":
        found = [
            d for d in ui.donors() if wanted in f"{d.name} {d.category} {t.word(d.category)} {d.licence}".casefold()
        ]
        cards = [
            card(
                f'<img src="/donors/{d.id}" alt="{escape(d.name)}" loading="lazy">',
                [
                    f"<strong>{escape(d.name)}</strong>",
                    f"<span class='st-soft'>{escape(t.word(d.category))} · {escape(d.licence)}</span>",
                ],
            )
            for d in found
        ]
    else:
        rows = [
            row for row in _things(ui, owner)
            if (bool(marks.get(row["thing"], {}).get("trashed")) if what == "trash"
                else row["kind"] == what and not marks.get(row["thing"], {}).get("trashed"))
            and wanted in row["name"].casefold()
        ]  # fmt: skip
        rows.sort(key=lambda row: not marks.get(row["thing"], {}).get("favourite"))
        cards = [_thing(ui, row, marks.get(row["thing"], {})) for row in rows]
    pages = max(1, -(-len(cards) // _PAGE))
    page = min(page, pages)
    if not cards:
        return empty(t("library.empty"))
    count = t("library.count", count=len(cards), page=page, pages=pages)
    return f'<p class="st-soft">{escape(count)}</p>{grid(cards[(page - 1) * _PAGE : page * _PAGE])}'


def _thing(ui: Ui, row: dict[str, str], marks: dict[str, Any]) -> str:
    t = ui.t
    trashed = bool(marks.get("trashed"))
    buttons = button(
        "★", "star", pressed=bool(marks.get("favourite")), title=t("library.star", name=row["name"]), thing=row["thing"]
    )
    buttons += button(t("restore" if trashed else "trash"), "restore" if trashed else "trash", thing=row["thing"])
    image = picture(row["key"], row["name"]) if row["key"] else ""
    return card(image, [f"<strong>{escape(row['name'])}</strong>", f'<div class="st-row">{buttons}</div>'])


def _jobs(ui: Ui, owner: str) -> str:
    t = ui.t
    rows = []
    for job in ui.queue.jobs(owner)[:30]:
        state = t(f"job.{job.state}")
        if job.state == "running":
            report = ui.queue.report(job.id, owner)
            stage = report.get("stages", {}).get(report.get("stage", ""), {"done": 0, "total": 0})
            state += f" {ui.stage(str(report.get('stage', '')))} {stage['done']}/{stage['total']}"
        why = t.explain(job.error, str(job.facts.get("code", ""))) if job.error and job.state == "failed" else ""
        do = ""
        if job.state in ("queued", "running"):
            do = button(t("job.stop"), "stop", job=job.id)
        elif job.state in ("failed", "cancelled"):
            do = button(t("job.resume"), "retry", job=job.id)
        rows.append([escape(t(f"kind.{job.kind}")), _when(job.created), escape(state), escape(why), do])
    headers = [t(f"jobs.{name}") for name in ("kind", "when", "state", "why", "do")]
    body = table(headers, rows) if rows else empty(t("jobs.empty"))
    return f"<h2>{escape(t('jobs.title'))}</h2>{body}<p class='st-soft'>{escape(_disk(ui))}</p>"


def _when(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")


def _disk(ui: Ui) -> str:
    free = shutil.disk_usage(ui.studio.settings.data).free
    return ui.t("library.disk", free=f"{free / 1e9:.1f}")
