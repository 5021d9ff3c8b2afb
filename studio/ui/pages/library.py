"""Library and queue: everything that was made, found by words, trashed and brought back; and all jobs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr

from pipelines.errors import BadInput
from studio.domain.platforms import load_platforms
from studio.jobs.album_sets import album_request
from studio.library.albums import make_album, put_into, rename_album, take_out
from studio.library.groups import groups_named
from studio.library.index import KINDS, tags_of
from studio.library.trash import disk_use, empty_trash
from studio.library.uploads import MOST_BYTES
from studio.library.votes import vote_post
from studio.ui.context import EACH, HIDDEN, LATEST, Pressed, Said, Ui, actions, guarded, owner_of, pressed, toast
from studio.ui.parts.checkpoint_cards import act_on_drawn_as
from studio.ui.parts.donor_form import build_adding
from studio.ui.parts.html import button, drop, panel, table
from studio.ui.parts.job_list import act_on_job, show_jobs
from studio.ui.parts.like_cards import UPLOAD
from studio.ui.parts.page_head import open_page
from studio.ui.parts.persona_card import choose_version
from studio.ui.parts.recall_form import build_reuse, refused
from studio.ui.parts.rights_card import act_on_consent
from studio.ui.parts.taste_order import order_choice
from studio.ui.parts.thing_grid import FILTERED, Opened, Wanted, show_things

__all__ = ["build"]

_KINDS = (*KINDS, "donor", "jobs", "trash")
_GROUPS = ("person", "place", "platform")
_MOST_TAGS = 12
_PHOTOS = "image/*"


def build(ui: Ui) -> None:
    t = ui.t
    pulse = open_page(ui, "library")
    kind = gr.Radio(
        [(t(f"library.{k}"), k) for k in _KINDS], value="consolidate", label=t("library.show"), elem_id="kind"
    )
    with gr.Row():
        search = gr.Textbox(
            "", label=t("library.search"), placeholder=t("library.search_hint"), elem_id="search", max_length=200,
            scale=2, min_width=260, max_lines=1,
        )  # fmt: skip
        tag, person, place, platform = (_dropdown(ui, name) for name in ("tag", *_GROUPS))
    by = order_choice(ui, visible=False)
    photo = actions(drop(t("faces.drop"), "find-upload", _PHOTOS, MOST_BYTES, t("faces.drop_what")), "find-face")
    groups = dict(zip(_GROUPS, (person, place, platform), strict=True))
    things, jobs = actions("", "things"), actions("", "jobs")
    for title, build_part in (("library.more", build_reuse), ("adding.title", build_adding)):
        gr.HTML(f"<h2>{escape(t(title))}</h2>", padding=False, apply_default_css=False, js_on_load=None)
        build_part(ui)
    disk = actions(_disk(ui), "disk")
    opened = gr.State(Opened())

    def show(said: Said, request: gr.Request) -> Any:
        owner = owner_of(request)
        chosen = {name: said[box] or "" for name, box in groups.items()}
        by_taste = said.get(by) == "taste" and said[kind] == "post"
        wanted = Wanted(said[kind], said[search] or "", said[tag] or "", **chosen, by_taste=by_taste)
        html, now = show_things(ui, owner, wanted, said[opened])
        filtered = wanted.kind in FILTERED
        return {
            kind: wanted.kind,
            by: gr.Radio(value="taste" if by_taste else "usual", visible=wanted.kind == "post"),
            things: html,
            opened: now,
            jobs: show_jobs(ui, owner),
            tag: _tags(ui, owner, wanted.tag),
            **{box: _choices(ui, owner, name, chosen[name], filtered) for name, box in groups.items()},
        }

    def look(said: Said, request: gr.Request) -> Any:
        album = said[opened].album if said[kind] == "album" else ""
        return show({**said, opened: Opened(album=album)}, request)

    def load(request: gr.Request) -> Any:
        asked = {name: str(value)[:200] for name, value in dict(request.query_params).items()}
        where = Opened(album=asked.get("album", ""), persona=asked.get("persona", ""))
        first = "album" if where.album else asked.get("kind", "")
        wanted = {box: asked.get(name, "") for name, box in groups.items()}
        told = {kind: first if first in _KINDS else "consolidate", search: "", tag: "", opened: where}
        return show({**told, **wanted}, request)

    def act(said: Said, event: gr.EventData, request: gr.Request) -> Any:
        data = pressed(event)
        if data.get("do") == "refused":
            raise refused(data.get("status"))
        turned = _turn(said[opened], data)
        if turned == said[opened]:
            _act(ui, owner_of(request), data)
        if data.get("do") == "trash":
            turned = replace(turned, gone=(*turned.gone, data["thing"]))
        now = show({**said, opened: turned}, request)
        return now | {things: _sure(ui) + now[things]} if data.get("do") == "empty" else now

    def about(event: gr.EventData) -> str:
        return _disk(ui, pressed(event).get("do") == "disk")

    inputs: set[Any] = {kind, by, search, tag, opened, *groups.values()}
    outputs = [things, jobs, *inputs - {search}]
    gr.on(None, guarded(ui, load), None, outputs, **HIDDEN)
    # on `input` a pasted text is told one event late
    changed = [kind.input, by.input, search.change, tag.input, *(box.input for box in groups.values())]
    gr.on(changed, guarded(ui, look), inputs, outputs, **LATEST)
    pulse.shows(lambda said, request: {jobs: show_jobs(ui, owner_of(request))}, [jobs])
    acting = guarded(ui, act)
    for part in (things, jobs, photo):
        part.click(acting, inputs, outputs, **EACH)
    disk.click(guarded(ui, about), None, [disk], **HIDDEN)
    pulse.connect()


def _dropdown(ui: Ui, name: str) -> gr.Dropdown:
    return gr.Dropdown(
        [(ui.t("library.any_tag"), "")], value="", label=ui.t(f"library.{name}"), elem_id=name,
        allow_custom_value=False, visible=name == "tag", min_width=120,
    )  # fmt: skip


def _turn(opened: Opened, data: Pressed) -> Opened:
    """Return what is opened after a button, the same where it is none of this."""
    do = data.get("do", "")
    if do == "close-album":
        return replace(opened, before=(), next=None, album="", gone=())
    if do == "close-persona":
        return replace(opened, persona="")
    if do == "find-face":
        return replace(opened, face=data["thing"], gone=())
    if do == "find-upload":
        return replace(opened, face=f"{UPLOAD}{data['upload']}", gone=())
    if do == "close-face":
        return replace(opened, face="", gone=())
    return opened.turned(do)


def _act(ui: Ui, owner: str, data: Pressed) -> None:
    do = data.get("do", "")
    if ui.act(owner, data) or act_on_job(ui, owner, do, data.get("job", "")) or act_on_drawn_as(ui, owner, data):
        return
    if act_on_consent(ui, owner, data):
        return
    if do == "empty-sure":
        freed = empty_trash(ui.studio.library, owner, ui.queue.forget)
        toast(ui.t("trash.freed", things=freed.things, files=freed.files, size=f"{freed.bytes / 1e6:.1f}"))
    elif do == "choose":
        choose_version(ui, owner, data["persona"])
    elif do == "export-album":
        ui.queue.put(album_request(ui.studio, owner, data["album"], (data["platform"],)))
        toast(ui.t("album.export_queued"))
    else:
        with ui.turn:
            if not _mark(ui, owner, do, data) and (act_on := _ALBUMS.get(do)) is not None:
                act_on(ui, owner, data)


def _mark(ui: Ui, owner: str, do: str, data: Pressed) -> bool:
    """Note what a person says of a thing; whether it was this."""
    thing = data.get("thing", "")
    if do in ("trash", "restore"):
        ui.mark(owner, thing, trashed=do == "trash")
    elif do == "star" and thing.startswith("post:"):
        vote_post(ui.studio.records, owner, thing, "none" if ui.said(owner, thing).get("favourite") else "like")
    elif do == "dislike":
        vote_post(ui.studio.records, owner, thing, "none" if ui.said(owner, thing).get("disliked") else "dislike")
    elif do == "star":
        ui.mark(owner, thing, favourite=not ui.said(owner, thing).get("favourite"))
    elif do == "tag":
        _add_tag(ui, owner, thing, data.get("value", ""))
    elif do == "untag":
        tags = str(ui.said(owner, thing).get("tags", "")).split()
        ui.mark(owner, thing, tags=_joined(name for name in tags if name != data.get("tag")))
    else:
        return False
    return True


def _make(ui: Ui, owner: str, data: Pressed) -> None:
    if data.get("value", "").strip():
        make_album(ui.studio.records, owner, data["value"])


def _put_into(ui: Ui, owner: str, data: Pressed) -> None:
    """Into the album of this name, which is made where there is none."""
    if data.get("value", "").strip():
        records = ui.studio.records
        put_into(records, owner, make_album(records, owner, data["value"]).id, [data["thing"]])


def _rename(ui: Ui, owner: str, data: Pressed) -> None:
    rename_album(ui.studio.records, owner, data["thing"].partition(":")[2], data.get("value", ""))


def _take_out(ui: Ui, owner: str, data: Pressed) -> None:
    take_out(ui.studio.records, owner, data["album"], data["thing"])


_ALBUMS: dict[str, Callable[[Ui, str, Pressed], None]] = {
    "new-album": _make, "put-into": _put_into, "rename-album": _rename, "take-out": _take_out,
}  # fmt: skip


def _add_tag(ui: Ui, owner: str, thing: str, said: str) -> None:
    names = "".join(c if c.isprintable() else " " for c in said).split()
    tags = list(dict.fromkeys([*str(ui.said(owner, thing).get("tags", "")).split(), *names]))
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


def _choices(ui: Ui, owner: str, group: str, wanted: str, filtered: bool) -> Any:
    """All persons, places or platforms of what was drawn; hidden where they filter nothing."""
    if not filtered:
        return gr.Dropdown(visible=False)
    known = {p.id: p.words[ui.t.language] for p in load_platforms()}
    values = groups_named(ui.studio.records, owner, group)
    named = [(known.get(value, value) if group == "platform" else ui.t.word(value), value) for value in values]
    choices = [(ui.t("library.any_tag"), ""), *named]
    return gr.Dropdown(choices, value=wanted if wanted in values else "", visible=True)


def _sure(ui: Ui) -> str:
    t = ui.t
    return panel(
        f"<strong>{escape(t('trash.sure'))}</strong><p>{escape(t('trash.what'))}</p><div class='st-row'>"
        f"{button(t('trash.yes'), 'empty-sure', big=True)}{button(t('trash.no'), 'empty-not')}</div>",
        "failed",
    )


def _disk(ui: Ui, wanted: bool = False) -> str:
    t = ui.t
    free = shutil.disk_usage(ui.studio.settings.data).free
    said = f"<p class='st-soft'>{escape(t('library.disk', free=f'{free / 1e9:.1f}'))} "
    if not wanted:
        return f"{said}{button(t('disk.show'), 'disk')}</p>"
    rows = [[escape(t(f"disk.{kind}")), f"{size / 1e6:.1f} MB"] for kind, size in disk_use(ui.studio.library).items()]
    return f"{said}</p>{table([t('disk.kind'), t('disk.size')], rows)}"
