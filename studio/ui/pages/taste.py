"""Taste: a walk over eight pictures, and what is liked and disliked as chips that a hand can change."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from personas.taste.attributes import load_attributes
from personas.taste.reading import Question, ask_about
from pipelines.errors import BadInput
from studio.domain.persona import Persona
from studio.domain.taste import EVERYWHERE, Scope
from studio.library.records import TasteRecord
from studio.taste.keeping import count_votes, delete_taste, edit, taste_of, undo, vote
from studio.taste.saying import say_attribute
from studio.taste.walk import pass_by, walk_of
from studio.texts.errors import say_error
from studio.ui.context import EACH, HIDDEN, LATEST, Pressed, Ui, actions, guarded, in_turn, owner_of, pressed
from studio.ui.parts.html import button, panel
from studio.ui.parts.page_head import open_page
from studio.ui.parts.taste_cards import scope_name, show_question, show_read, show_taste, show_walk
from studio.workflows.taste import keep_comment

__all__ = ["build"]


def build(ui: Ui) -> None:
    t, pulse = ui.t, open_page(ui, "taste")
    scope = gr.Dropdown([], label=t("taste.scope"), info=t("taste.scope_what"), elem_id="scope")
    with gr.Row(elem_id="walk-row"):
        with gr.Column(min_width=260):
            walk = actions("", "walk")
        with gr.Column(min_width=260):
            words = gr.Textbox(
                "", label=t("taste.say"), placeholder=t("taste.say_hint"), lines=3, max_length=20_000, elem_id="say"
            )
            model = gr.Checkbox(
                False, label=t("taste.by_model"), info=t("taste.by_model_what"), elem_id="by-model", visible=False
            )
            tell = gr.Button(t("taste.say_go"), variant="primary", elem_id="say-go")
            read = actions("", "read")
    chips = actions("", "chips")
    add, like, dislike = _lay_out_adding(ui)
    foot = actions("", "foot")

    def show(key: str, request: gr.Request) -> Any:
        owner, of = owner_of(request), _scope(key)
        records = ui.studio.records
        with ui.turn:
            now = walk_of(records, ui.studio.store, owner, [taste_of(records, owner, of)])
        found = taste_of(records, owner, of)
        up, down = count_votes(records, owner, found)
        return {
            walk: show_walk(ui, now),
            chips: show_taste(ui, found, up, down),
            foot: _foot(ui, found.version > 0, of),
        }

    def load(request: gr.Request) -> Any:
        asked = str(dict(request.query_params).get("scope", ""))[:80]
        choices = _scopes(ui, owner_of(request))
        key = asked if asked in [value for _, value in choices] else EVERYWHERE.key
        can = ui.studio.caption_endpoint is not None
        return {scope: gr.Dropdown(choices, value=key), model: gr.Checkbox(visible=can), read: "", **show(key, request)}

    def change(key: str, request: gr.Request) -> Any:
        return {read: "", **show(key, request)}

    def say(text: str, key: str, by_model: bool, request: gr.Request) -> Any:
        owner, of = owner_of(request), _scope(key)
        now = walk_of(ui.studio.records, ui.studio.store, owner, [])
        shown = "" if now.over else now.picture
        kept = keep_comment(
            ui.studio, owner, text, scope=of, picture=shown, reader="endpoint" if by_model else "studio"
        )
        note = "" if kept.failed is None else say_error(kept.failed, t)[0]
        if shown and kept.said.items:
            pass_by(ui.studio.records, owner, shown)
        items = taste_of(ui.studio.records, owner, of).items()
        removed = [i.attribute for i in items if i.muted and i.source == "hand" and not i.weight]
        told = show_read(ui, kept.said, kept.question, note, removed)
        return {words: "", read: told, **show(key, request)}

    def act(key: str, event: gr.EventData, request: gr.Request) -> Any:
        owner, data = owner_of(request), pressed(event)
        told = _act(ui, owner, _scope(key), data)
        return {read: gr.skip() if told is None else told, **show(key, request)}

    def adding(weight: float) -> Callable[..., Any]:
        def put(chosen: str | None, key: str, request: gr.Request) -> Any:
            if not chosen:
                raise BadInput("taste_nothing_chosen")
            edit(ui.studio.records, owner_of(request), chosen, scope=_scope(key), weight=weight, muted=False)
            return {add: None, **show(key, request)}

        return put

    shown = [walk, chips, foot]
    gr.on(None, guarded(ui, load), None, [scope, model, read, *shown], **HIDDEN)
    scope.input(guarded(ui, change), [scope], [read, *shown], **(LATEST | in_turn("taste")))
    tell.click(guarded(ui, say), [words, scope, model], [words, read, *shown], **(HIDDEN | in_turn("taste")))
    for part in (walk, read, chips, foot):
        part.click(guarded(ui, act), [scope], [read, *shown], **(EACH | in_turn("taste")))
    for pressed_on, weight in ((like, 1.0), (dislike, -1.0)):
        pressed_on.click(guarded(ui, adding(weight)), [add, scope], [add, *shown], **(EACH | in_turn("taste")))
    pulse.connect()


def _lay_out_adding(ui: Ui) -> tuple[gr.Dropdown, gr.Button, gr.Button]:
    t = ui.t
    with gr.Row():
        add = gr.Dropdown(_attributes(ui), value=None, label=t("taste.add"), elem_id="add", min_width=220)
        like = gr.Button(t("taste.like"), elem_id="add-like", min_width=120)
        return add, like, gr.Button(t("taste.dislike"), elem_id="add-dislike", min_width=120)


def _act(ui: Ui, owner: str, of: Scope, data: Pressed) -> str | None:
    """Do what a button says; return what is said under the comment then, None where it stays as it is."""
    do, records, one = data.get("do", ""), ui.studio.records, data.get("attribute", "")
    key = data.get("picture", "")
    if do in ("walk-like", "walk-dislike", "walk-skip"):
        if do != "walk-skip":
            vote(records, ui.studio.store, owner, key, 1 if do == "walk-like" else -1, scope=of)
        pass_by(records, owner, key)
        return ""
    if do in ("walk-end", "walk-again"):
        pass_by(records, owner, "", end=do == "walk-end", again=do == "walk-again")
    elif do == "ask-field":
        return panel(show_question(ui, _values_of(data.get("field", ""))), "warn")
    elif do == "chip":
        edit(records, owner, one, scope=of, weight=float(data.get("weight", "0")), muted=False)
        return ""
    elif do == "weight":
        edit(records, owner, one, scope=of, weight=max(-1.0, min(1.0, float(data.get("value") or 0) / 100)))
    elif do == "mute":
        edit(records, owner, one, scope=of, muted=bool(data.get("muted")))
    elif do == "remove":
        edit(records, owner, one, scope=of, weight=0.0, muted=True)
    elif do == "forget":
        edit(records, owner, one, scope=of, forget=True)
        return ""
    elif do == "undo":
        undo(records, owner, scope=of)
    elif do == "delete":
        delete_taste(records, owner, of)
    return None


def _foot(ui: Ui, said: bool, of: Scope) -> str:
    t = ui.t
    if not said:
        return ""
    query = urlencode({"scope": of.kind, "name": of.name})
    href = escape(f"/api/taste/events?{query}")
    save = f'<a class="st-btn" href="{href}" download="taste.json">{escape(t("taste.export"))}</a>'
    sure = (
        f'<details class="st-export"><summary class="st-btn">{escape(t("taste.delete"))}</summary>'
        f"<p>{escape(t('taste.delete_sure'))}</p>{button(t('taste.delete_go'), 'delete')}</details>"
    )
    return f'<div class="st-row st-after">{button(t("taste.undo"), "undo")}{save}{sure}</div>'


def _scopes(ui: Ui, owner: str) -> list[tuple[str, str]]:
    """Everywhere, each persona, and each shop that has a taste."""
    names = dict.fromkeys(persona.name for persona in ui.results(owner, Persona))
    found = [EVERYWHERE, *(Scope(kind="persona", name=name[:60]) for name in names if name.strip())]
    kept = {str(row.scope) for row in ui.studio.records.find(TasteRecord, owner)}
    found += [_scope(key) for key in sorted(kept) if key not in {one.key for one in found}]
    return [(scope_name(ui, one), one.key) for one in found]


def _scope(key: str | None) -> Scope:
    kind, _, name = str(key or EVERYWHERE.key).partition(":")
    return Scope.make(kind=kind, name=name)


def _attributes(ui: Ui) -> list[tuple[str, str]]:
    known = load_attributes()
    return [
        (f"{say_attribute(ui.t, field.name)}: {say_attribute(ui.t, value.id)}", value.id)
        for field in known.fields.values()
        for value in field.values.values()
    ]


def _values_of(field: str) -> Question:
    """Return the question which of a field's values is meant, with all that a shot can say of it."""
    found = load_attributes().fields.get(field)
    asked = ask_about("aspect", field)
    return (
        asked
        if found is None
        else Question("aspect", field, tuple(v.id for v in found.values.values() if v.shot) or asked.chips)
    )
