"""A set's title and body, kept as they are written, with what is too long for the platform said beside them."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from studio.domain.bundle import ExportRequest
from studio.domain.limits import limits_of
from studio.domain.platforms import find_platform, overlong
from studio.domain.posts import PostSet
from studio.ui.context import LATEST, Said, Ui, guarded, owner_of
from studio.ui.parts.html import panel
from studio.ui.parts.post_cards import newest_set

__all__ = ["TextForm", "build_text", "kept_text"]

_DRAFT = "text:draft"


@dataclass(frozen=True)
class TextForm:
    """The components; `platform` is the page's."""

    title: gr.Textbox
    body: gr.Textbox
    platform: gr.Dropdown

    @property
    def inputs(self) -> set[Any]:
        return {self.title, self.body, self.platform}

    def ask(self, owner: str, post_set: PostSet, said: Said) -> ExportRequest:
        """Return the request for a bundle of this set. Raises BadInput."""
        return ExportRequest.make(
            owner=owner, post_set=post_set, platform=find_platform(said[self.platform]).id,
            title=said[self.title] or "", body=said[self.body] or "",
        )  # fmt: skip


def build_text(ui: Ui, platform: gr.Dropdown) -> TextForm:
    t = ui.t
    with gr.Accordion(t("text.box"), open=False, elem_id="text-box"):
        title = gr.Textbox(
            "", label=t("text.title"), max_length=limits_of(ExportRequest, "title").longest, elem_id="title"
        )
        body = gr.Textbox(
            "", label=t("text.body"), lines=4, max_length=limits_of(ExportRequest, "body").longest, elem_id="body"
        )
        length = gr.HTML("", js_on_load=None, elem_id="length", padding=False)
    form = TextForm(title, body, platform)

    def measure(said: Said) -> str:
        return _length(ui, said[platform], said[title] or "", said[body] or "")

    def write(said: Said, request: gr.Request) -> str:
        owner = owner_of(request)
        newest = newest_set(ui, owner)
        with ui.turn:
            for thing in [_DRAFT] + ([] if newest is None else [f"posts:{newest.id}"]):
                ui.mark(owner, thing, title=said[title] or "", body=said[body] or "")
        return measure(said)

    platform.input(guarded(ui, measure), form.inputs, [length], **LATEST)
    # what is pasted is told one event late, so the field is read again when it is left
    gr.on([title.input, body.input, title.blur, body.blur], guarded(ui, write), form.inputs, [length], **LATEST)
    return form


def kept_text(ui: Ui, form: TextForm, owner: str) -> Said:
    """Return what the components say: the newest set's title and body, those written last where it has none."""
    newest, marks = newest_set(ui, owner), ui.marks(owner)
    own = {} if newest is None else marks.get(f"posts:{newest.id}", {})
    facts = own if "title" in own else marks.get(_DRAFT, {})
    return {form.title: str(facts.get("title", "")), form.body: str(facts.get("body", ""))}


def _length(ui: Ui, where: str, title: str, body: str) -> str:
    target, t = find_platform(where), ui.t
    name = target.name_zh if t.language == "zh" else target.name_en
    wrong = [
        t("text.long", what=t(f"text.{what}"), length=length, most=most, platform=name)
        for what, length, most in overlong(target, title, body)
    ]
    return panel("<br>".join(map(escape, wrong)), "failed") if wrong else ""
