"""Who is shown in a set: the persona's LoRA, one picture of the persona that the model sees, or both."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.pictures import load_scene
from pipelines.references.catalogue import find_kind
from studio.domain.limits import limits_of
from studio.domain.persona import Persona
from studio.domain.posts import PostRequest
from studio.domain.values import FileKey
from studio.library.scenes import add_picture
from studio.ui.context import EACH, HIDDEN, Facts, Said, Ui, actions, guarded, owner_of, pressed
from studio.ui.parts.html import button, picture

__all__ = ["PersonForm", "build_person", "read_person", "write_person"]

_PHOTOS = [".jpg", ".jpeg", ".png", ".webp"]
_MOST_SHOWN = 12


@dataclass(frozen=True)
class PersonForm:
    """The components; `picture` is a state of FileKey or None, `more` the column of all that a picture needs."""

    shown_as: gr.Radio
    picture: gr.State
    more: gr.Column
    strip: gr.HTML

    @property
    def inputs(self) -> set[Any]:
        return {self.shown_as, self.picture}

    @property
    def outputs(self) -> set[Any]:
        return self.inputs | {self.more, self.strip}


def read_person(form: PersonForm, said: Said) -> Facts:
    """Return fields of PostRequest from what the components say."""
    shown_as = str(said[form.shown_as])
    return {"person_as": shown_as, "person_picture": None if shown_as == "lora" else said[form.picture]}


def write_person(ui: Ui, form: PersonForm, request: PostRequest) -> Said:
    """Return what the components say of a request."""
    return {
        form.shown_as: request.person_as,
        form.picture: request.person_picture,
        form.more: gr.Column(visible=request.person_as != "lora"),
        form.strip: _strip(ui, request.persona, request.person_picture),
    }


def build_person(ui: Ui, persona: gr.Dropdown, able: Collection[str]) -> PersonForm:
    """Lay the components out and connect them; they are hidden where no way of the backbone's shows a person."""
    form, upload = _lay_out(ui, any("person" in find_kind(way).roles for way in able))

    def show(said: Said, request: gr.Request) -> Any:
        """The persona's own pictures, the last that was drawn of it in training first."""
        who = ui.find(owner_of(request), Persona, said[persona])
        chosen = next(iter(() if who is None else who.pictures), None)
        return {
            form.picture: chosen,
            form.more: gr.Column(visible=said[form.shown_as] != "lora"),
            form.strip: _strip(ui, who, chosen),
        }

    def choose(said: Said, event: gr.EventData, request: gr.Request) -> Any:
        who, key = ui.find(owner_of(request), Persona, said[persona]), pressed(event).get("picture")
        chosen = next((own for own in (() if who is None else who.pictures) if own == key), said[form.picture])
        return {form.picture: chosen, form.strip: _strip(ui, who, chosen)}

    def load(said: Said, request: gr.Request) -> Any:
        owner = owner_of(request)
        if not said[upload]:
            return show(said, request)
        chosen = add_picture(ui.studio.library, load_scene(said[upload]).image, owner)
        return {form.picture: chosen, form.strip: _strip(ui, ui.find(owner, Persona, said[persona]), chosen)}

    inputs: set[Any] = {form.shown_as, form.picture, persona}
    outputs = [form.picture, form.more, form.strip]
    gr.on([form.shown_as.input, persona.input], guarded(ui, show), inputs, outputs, **HIDDEN)
    form.strip.click(guarded(ui, choose), inputs, [form.picture, form.strip], **EACH)
    gr.on([upload.upload, upload.clear], guarded(ui, load), inputs | {upload}, outputs, **HIDDEN)
    return form


def _lay_out(ui: Ui, can_show: bool) -> tuple[PersonForm, gr.File]:
    t, limits = ui.t, limits_of(PostRequest, "person_as")
    with gr.Accordion(t("person.title"), open=False, visible=can_show, elem_id="person-box"):
        shown_as = gr.Radio(
            [(t(f"person.{choice}"), choice) for choice in limits.choices], value=limits.default,
            label=t("person.as"), info=t("person.as_what"), elem_id="person-as",
        )  # fmt: skip
        with gr.Column(visible=False) as more:
            strip = actions("", "person-pictures")
            upload = gr.File(
                label=t("person.upload"), file_count="single", file_types=_PHOTOS, height=110, elem_id="person-photo"
            )
    return PersonForm(shown_as, gr.State(None), more, strip), upload


def _strip(ui: Ui, who: Persona | None, chosen: FileKey | None) -> str:
    """The persona's pictures, each with a button; one that was brought goes first."""
    own = [] if who is None else list(who.pictures[:_MOST_SHOWN])
    keys = own if chosen is None or chosen in own else [chosen, *own]
    figures = []
    for number, key in enumerate(keys, 1):
        label = ui.t("person.use", number=number)
        press = button(label, "person", pressed=key == chosen, picture=key)
        figures.append(f"<figure>{picture(key, label, 120)}<figcaption>{press}</figcaption></figure>")
    return f'<div class="st-strip st-samples" tabindex="0">{"".join(figures)}</div>'
