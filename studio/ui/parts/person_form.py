"""Who is shown in a set: the persona's LoRA, one picture of the persona that the model sees, or both."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipelines.pictures import PICTURE_SUFFIXES, load_scene
from pipelines.references.catalogue import find_kind
from studio.domain.limits import limits_of
from studio.domain.persona import Persona
from studio.domain.posts import PostRequest, SetSettings
from studio.domain.values import FileKey
from studio.library.scenes import add_picture
from studio.ui.context import EACH, HIDDEN, Facts, Said, Ui, actions, guarded, owner_of, pressed
from studio.ui.parts.html import button, picture
from studio.ui.parts.misfits import persona_reason

__all__ = ["Chosen", "PersonForm", "build_person", "fit_person", "read_person", "write_person"]

_MOST_SHOWN = 12


@dataclass(frozen=True)
class Chosen:
    """A picture that shows the persona of this id; for another persona it is none."""

    persona: str
    picture: FileKey


@dataclass(frozen=True)
class PersonForm:
    """The components; `picture` is a state of Chosen or None, `more` the column of all that a picture needs."""

    shown_as: gr.Radio
    picture: gr.State
    more: gr.Column
    box: gr.Column
    strip: gr.HTML

    @property
    def inputs(self) -> set[Any]:
        return {self.shown_as, self.picture}

    @property
    def outputs(self) -> set[Any]:
        return self.inputs | {self.more, self.strip}


def read_person(form: PersonForm, said: Said) -> Facts:
    """Return fields of PostRequest from what the components say."""
    shown_as, chosen = str(said[form.shown_as]), said[form.picture]
    wanted = shown_as != "lora" and chosen is not None
    return {"person_as": shown_as, "person_picture": chosen.picture if wanted else None}


def write_person(ui: Ui, form: PersonForm, settings: SetSettings, who: Persona | None) -> Said:
    """Return what the components say of a set's settings."""
    key = settings.person_picture
    chosen = None if key is None or who is None else Chosen(who.id, key)
    return {
        form.shown_as: settings.person_as,
        form.picture: chosen,
        form.more: gr.Column(visible=settings.person_as != "lora"),
        form.strip: _strip(ui, who, chosen),
    }


def build_person(ui: Ui, persona: gr.Dropdown, able: Collection[str]) -> PersonForm:
    """Lay the components out and connect them; they are hidden where no way of the backbone's shows a person."""
    form, upload = _lay_out(ui, _shows_people(able))

    def show(said: Said, request: gr.Request) -> Any:
        """Show the persona's own pictures; the last that training drew is chosen, where none of this persona is."""
        who, chosen = ui.find(owner_of(request), Persona, said[persona]), said[form.picture]
        if who is None or chosen is None or chosen.persona != who.id:
            chosen = None if who is None or not who.pictures else Chosen(who.id, who.pictures[0])
        shown_as = said[form.shown_as]
        if who is not None and _shows_people(able) and persona_reason(ui, who):
            shown_as = "reference"  # the LoRA is another model's: a picture alone can show who it is
        return {
            form.shown_as: shown_as,
            form.picture: chosen,
            form.more: gr.Column(visible=shown_as != "lora"),
            form.strip: _strip(ui, who, chosen),
        }

    def choose(said: Said, event: gr.EventData, request: gr.Request) -> Any:
        who, key = ui.find(owner_of(request), Persona, said[persona]), pressed(event).get("picture")
        chosen = said[form.picture]
        if who is not None:
            chosen = next((Chosen(who.id, own) for own in who.pictures if own == key), chosen)
        return {form.picture: chosen, form.strip: _strip(ui, who, chosen)}

    def load(said: Said, request: gr.Request) -> Any:
        owner, path = owner_of(request), said[upload]
        key = add_picture(ui.studio.library, load_scene(path).image, owner) if path else None
        return show(said | {form.picture: None if key is None else Chosen(str(said[persona]), key)}, request)

    inputs: set[Any] = {form.shown_as, form.picture, persona}
    outputs = [form.shown_as, form.picture, form.more, form.strip]
    gr.on([form.shown_as.input, persona.change], guarded(ui, show), inputs, outputs, **HIDDEN)
    form.strip.click(guarded(ui, choose), inputs, [form.picture, form.strip], **EACH)
    gr.on([upload.upload, upload.clear], guarded(ui, load), inputs | {upload}, outputs, **HIDDEN)
    return form


def fit_person(form: PersonForm, able: Collection[str]) -> Said:
    """Return whether the components are shown, with the backbone that is drawn with now."""
    return {
        form.box: gr.Column(visible=_shows_people(able)),
        form.shown_as: limits_of(PostRequest, "person_as").default,
        form.more: gr.Column(visible=False),
    }


def _shows_people(able: Collection[str]) -> bool:
    return any("person" in find_kind(way).roles for way in able)


def _lay_out(ui: Ui, can_show: bool) -> tuple[PersonForm, gr.File]:
    t, limits = ui.t, limits_of(PostRequest, "person_as")
    with gr.Column(visible=can_show, elem_id="person-ways") as box:
        shown_as = gr.Radio(
            [(t(f"person.{choice}"), choice) for choice in limits.choices], value=limits.default,
            label=t("person.as"), info=t("person.as_what"), elem_id="person-as",
        )  # fmt: skip
        with gr.Column(visible=False) as more:
            strip = actions("", "person-pictures")
            upload = gr.File(
                label=t("person.upload"),
                file_count="single",
                file_types=[*PICTURE_SUFFIXES],
                height=110,
                elem_id="person-photo",
            )
    return PersonForm(shown_as, gr.State(None), more, box, strip), upload


def _strip(ui: Ui, who: Persona | None, chosen: Chosen | None) -> str:
    """The persona's pictures, each with a button; one that was brought goes first."""
    own = [] if who is None else list(who.pictures[:_MOST_SHOWN])
    key_now = None if chosen is None else chosen.picture
    keys = own if key_now is None or key_now in own else [key_now, *own]
    figures = []
    for number, key in enumerate(keys, 1):
        label = ui.t("person.use", number=number)
        press = button(label, "person", pressed=key == key_now, picture=key)
        figures.append(f"<figure>{picture(key, label, 120)}<figcaption>{press}</figcaption></figure>")
    return f'<div class="st-strip st-samples" tabindex="0">{"".join(figures)}</div>'
