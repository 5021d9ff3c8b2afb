"""Consolidate: the training of one persona LoRA watched, stopped and resumed; a persona's versions compared."""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import quote

import gradio as gr

from pipelines.file_names import file_name
from studio.domain.persona import Persona
from studio.ui.context import EACH, HIDDEN, Ui, actions, guarded, owner_of, pressed
from studio.ui.parts.checkpoint_cards import act_on_drawn_as, show_training
from studio.ui.parts.html import button, card, empty, file_url, grid, link, picture
from studio.ui.parts.misfits import persona_reason
from studio.ui.parts.page_head import open_page
from studio.ui.parts.persona_card import choose_version
from studio.ui.parts.photo_persona_form import show_strip
from studio.ui.parts.swap_form import build_swap

__all__ = ["build"]


def build(ui: Ui) -> None:
    pulse = open_page(ui, "consolidate")
    progress = actions("", "progress")
    versions = actions("", "versions")
    build_swap(ui, pulse)

    def show(request: gr.Request) -> Any:
        return {progress: _progress(ui, owner_of(request)), versions: _versions(ui, owner_of(request))}

    def act(event: gr.EventData, request: gr.Request) -> Any:
        owner, data = owner_of(request), pressed(event)
        if ui.act(owner, data) or act_on_drawn_as(ui, owner, data):
            return show(request)
        if data.get("do") == "choose":
            choose_version(ui, owner, data["persona"])
        return show(request)

    gr.on(None, guarded(ui, show), None, [progress, versions], **HIDDEN)
    pulse.shows(lambda said, request: show(request), [progress, versions])
    acting = guarded(ui, act)
    for part in (progress, versions):
        part.click(acting, None, [progress, versions], **EACH)
    pulse.connect()


def _progress(ui: Ui, owner: str) -> str:
    job = ui.newest(owner, "consolidate")
    if job is None:
        return empty(ui.t("consolidate.empty"), link(ui.t("select.title"), ui.url("select")))
    return ui.job_panel(owner, job, link(ui.t("consolidate.then"), ui.url("posts"), name="next"))


def _versions(ui: Ui, owner: str) -> str:
    marks = ui.marks(owner)
    personas = ui.results(owner, Persona)
    if not personas:
        return ""
    cards = [_version(ui, owner, p, bool(marks.get(f"consolidate:{p.id}", {}).get("chosen"))) for p in personas]
    return f"<h2>{escape(ui.t('consolidate.versions'))}</h2>{grid(cards)}"


def _version(ui: Ui, owner: str, persona: Persona, chosen: bool) -> str:
    t, why = ui.t, persona_reason(ui, persona)
    trained = [r for r in persona.rounds if r.kept_consistency is not None and r.contact_sheet is not None]
    agree = f"{trained[-1].kept_consistency:.2f}" if trained else "–"
    sheet = picture(str(trained[-1].contact_sheet), t("consolidate.sheet"), 640) if trained else ""
    lora = "" if persona.lora is None else file_url(persona.lora, file_name(persona.name, ".safetensors", "persona"))
    how = (f"<span class='st-soft'>{escape(t('consolidate.agree', value=agree))}</span>", *_models(ui, persona),
           show_training(ui, owner, persona))  # fmt: skip
    body = [
        f"<strong>{escape(persona.name)} · {escape(t('version'))} {persona.version}</strong>",
        *(how if persona.character is None else show_strip(ui, persona)),
        f"<span class='st-bad'>{escape(why)}</span>" if why else "",
        '<div class="st-row">'
        + ("" if why else button(t("consolidate.choose"), "choose", pressed=chosen, persona=persona.id))
        + (link(t("consolidate.compare"), f"{ui.url('lab')}?persona={quote(persona.id)}", big=False) if lora else "")
        + (link(t("consolidate.lora"), lora, big=False, download=True) if lora else "")
        + "</div>",
    ]
    return card(sheet, body, "wide dropped" if why else "wide kept" if chosen else "wide")


def _models(ui: Ui, persona: Persona) -> list[str]:
    """Which model draws the persona and which it was trained on; nothing of personas that do not say so."""
    if not persona.backbone:
        return []
    words = ui.t("consolidate.models", backbone=persona.backbone, trained_on=persona.trained_on)
    return [f"<span class='st-soft'>{escape(words)}</span>"]
