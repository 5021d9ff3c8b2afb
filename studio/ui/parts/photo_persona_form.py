"""A person from photos, without training: drop them, see what is found of whom, record the consent, make a persona."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image, ImageOps

from pipelines.errors import BadInput, StudioError
from pipelines.pictures import PICTURE_SUFFIXES
from studio.domain.capabilities import backbone_facts, sees_people
from studio.domain.character import CLOTHES, HEAD, MOST_PHOTOS, Character, CharacterConsent
from studio.domain.days import read_day
from studio.domain.names import check_name
from studio.domain.persona import ConsolidateRequest, Persona
from studio.jobs.fit import no_character, other_look
from studio.library.characters import SeenPhoto, add_character, look_at_photos, read_worn
from studio.library.grants import grant
from studio.ui.context import HIDDEN, Said, Ui, guarded, owner_of
from studio.ui.parts.consent_fields import build_consent, build_look
from studio.ui.parts.html import card, grid, panel, picture

__all__ = ["build_photo_persona", "show_strip"]

_FREER, _TRUER, _STRENGTH = 0.5, 1.5, 1.0
_PARTS = tuple(part for part in (*HEAD, *CLOTHES) if part != "whole")


@dataclass(frozen=True)
class _Form:
    """The components; `added` is the state of the Character that was made of the photos, None before."""

    photos: gr.File
    clothes: gr.File
    seen: gr.HTML
    added: gr.State
    rest: gr.Column
    look: gr.Radio
    name: gr.Textbox
    strength: gr.Slider
    consent: Mapping[str, Any]
    agreed: gr.Checkbox
    go: gr.Button


def build_photo_persona(ui: Ui) -> None:
    """Lay the form out where the caller is, closed; where the backbone reads no photos of people it says so."""
    with gr.Accordion(ui.t("photos.title"), open=False, elem_id="photo-persona"):
        why = _why_not(ui)
        if why:
            gr.HTML(panel(escape(why)), padding=False, js_on_load=None)
            return
        form = _lay_out(ui)

    def look(said: Said, request: gr.Request) -> Said:
        owner, paths = owner_of(request), [Path(path) for path in said[form.photos] or ()]
        clothes = Path(said[form.clothes]) if said[form.clothes] else None
        if not paths:
            return {form.seen: "", form.added: None, form.rest: gr.Column(visible=False), form.agreed: False}
        try:
            reader = ui.studio.regions if sees_people(ui.studio.settings) else None
            character = add_character(ui.studio.library, paths, owner, clothes, reader=reader)
            html = _show(ui, owner, character, clothes is not None)
        except StudioError as error:
            shown = panel(escape(ui.t.error(error)), "warn")
            return {form.seen: shown, form.added: None, form.rest: gr.Column(visible=False), form.agreed: False}
        # other photos, another word of consent
        return {form.seen: html, form.added: character, form.rest: gr.Column(visible=True), form.agreed: False}

    def make(said: Said, request: gr.Request) -> None:
        ui.queue.put(_read(form, said, owner_of(request)))

    seen = [form.seen, form.added, form.rest, form.agreed]
    changed = [form.photos.upload, form.photos.clear, form.photos.delete, form.clothes.upload, form.clothes.clear]
    gr.on(changed, guarded(ui, look), {form.photos, form.clothes}, seen, **HIDDEN)
    inputs = {form.added, form.look, form.name, form.strength, form.agreed, *form.consent.values()}
    started = form.go.click(guarded(ui, make), inputs, None, **HIDDEN)
    started.success(None, None, None, js=f"() => {{ window.location.href = '{ui.url('consolidate')}'; }}")


def show_strip(ui: Ui, persona: Persona) -> tuple[str, ...]:
    """Return as HTML what a persona of photos looks like in five shots, how near that is, and what posts wear."""
    t, sample = ui.t, persona.samples[-1]
    figures = "".join(f"<figure>{picture(key, persona.name, 120)}</figure>" for key in sample.pictures)
    worn = None if persona.character is None else persona.character.worn
    said = [t("photos.likeness", value=f"{sample.identity:.2f}")]
    if worn is not None:
        said.append(t("photos.posts_wear", colour=t.word(worn.outfit_colour), outfit=t.word(worn.outfit)))
    return (
        f'<div class="st-strip st-samples st-wrap">{figures}</div>',
        *(f"<p class='st-soft'>{escape(line)}</p>" for line in said),
    )


def _why_not(ui: Ui) -> str:
    """Return why no persona can be made of photos with this backbone; "" where one can."""
    facts = backbone_facts(ui.studio.settings)
    why = None if facts is None else no_character(facts)
    return "" if why is None else ui.t.error(why)


def _read(form: _Form, said: Said, owner: str) -> ConsolidateRequest:
    """Return the request that the components say. Raises BadInput."""
    character: Character | None = said[form.added]
    if character is None:
        raise BadInput("character_photo_count", count=0, most=MOST_PHOTOS)
    if not said[form.agreed]:
        raise BadInput("not_agreed")
    told = {name: " ".join(str(said[part] or "").split()) for name, part in form.consent.items()}
    try:
        expires = read_day(told["expires"]) if told["expires"] else None
    except ValueError as error:
        raise BadInput("bad_date", date=told["expires"][:30]) from error
    consent = CharacterConsent.make(who=told["who"], scope=told["scope"], expires=expires)
    return ConsolidateRequest.make(
        owner=owner, character=character.model_copy(update={"strength": float(said[form.strength])}),
        character_consent=consent, category=said[form.look], name=check_name(str(said[form.name] or "")),
    )  # fmt: skip


def _show(ui: Ui, owner: str, character: Character, has_clothes: bool) -> str:
    """Show each photo's cut-out and which parts of the person are seen in it, and what is worn."""
    t, cards = ui.t, list[str]()
    real = other_look(ui.studio, {str(n): photo.picture for n, photo in enumerate(character.photos)})
    # of photographs the miniature's reader would say what it knows of drawings: nothing is said then
    reader = ui.studio.regions if sees_people(ui.studio.settings) and not real else None
    for number, photo in enumerate(look_at_photos(ui.studio.library, reader, character), 1):
        key = ui.studio.store.put_picture(np.asarray(_on_white(photo)))
        grant(ui.studio.records, owner, {key})
        is_clothes = has_clothes and number == len(character.photos)
        name = t("photos.of_clothes") if is_clothes else t("photos.number", number=number)
        chips = " ".join(f'<span class="st-chip">{escape(t(f"part.{p}"))}</span>' for p in _PARTS if p in photo.parts)
        lost = [p for p in _PARTS[: 2 if has_clothes else 5] if p not in photo.parts]
        lost = lost if reader is not None and not is_clothes else []
        unseen = t("photos.unseen", parts=t("comma").join(t(f"part.{p}") for p in lost)) if lost else ""
        body = [
            f"<strong>{escape(name)}</strong>",
            f"<div>{chips}</div>",
            f"<span class='st-soft'>{escape(unseen)}</span>",
        ]
        cards.append(card(picture(key, name, 200), body))
    worn = None if reader is None else read_worn(ui.studio.library, reader, character)
    said = "" if worn is None else t("photos.worn", colour=t.word(worn.outfit_colour), outfit=t.word(worn.outfit))
    warned = panel("⚠ " + escape(t("photos.real")), "warn") if real else ""
    return warned + grid(cards) + (f'<p class="st-soft" role="status">{escape(said)}</p>' if said else "")


def _on_white(photo: SeenPhoto) -> Image.Image:
    """Return whoever is in the photo alone, whole in the 3:4 that cards show."""
    shown = Image.fromarray(np.where(photo.mask[..., None], photo.image, 255).astype(np.uint8))
    rows, columns = np.flatnonzero(photo.mask.any(axis=1)), np.flatnonzero(photo.mask.any(axis=0))
    cut = shown.crop((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))
    height = max(cut.height, -(-4 * cut.width // 3))
    return ImageOps.pad(cut, (-(-3 * height // 4), height), color="white")


def _lay_out(ui: Ui) -> _Form:
    t = ui.t
    gr.Markdown(t("photos.what"))
    with gr.Row():
        photos = gr.File(
            label=t("photos.photos"), file_count="multiple", file_types=[*PICTURE_SUFFIXES], height=150,
            elem_id="persona-photos",
        )  # fmt: skip
        clothes = gr.File(
            label=t("photos.clothes"), file_count="single", file_types=[*PICTURE_SUFFIXES], height=150,
            elem_id="persona-clothes",
        )  # fmt: skip
    seen = gr.HTML("", padding=False, js_on_load=None, elem_id="photos-seen")
    with gr.Column(visible=False, elem_id="photos-form") as rest:
        look = build_look(ui, "photos")
        with gr.Row():
            name = gr.Textbox(t("select.default_name"), label=t("select.name"), max_length=200, elem_id="photos-name")
            strength = gr.Slider(
                _FREER, _TRUER, value=_STRENGTH, step=0.1, label=t("photos.strength"), info=t("photos.strength_what"),
                elem_id="photos-strength",
            )  # fmt: skip
        consent = build_consent(ui, "photos")
        agreed = gr.Checkbox(False, label=t("adding.agreed"), elem_id="photos-agreed")
        go = gr.Button(t("photos.go"), variant="primary", elem_id="photos-go")
    return _Form(photos, clothes, seen, gr.State(None), rest, look, name, strength, consent, agreed, go)
