"""Consolidate: the training of one persona LoRA watched, stopped and resumed; a persona's versions compared."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from studio.domain.persona import Persona
from studio.ui.context import EACH, HIDDEN, Ui, actions, guarded, owner_of
from studio.ui.parts.html import button, card, curve, empty, file_url, grid, link, picture, samples
from studio.ui.parts.page_head import open_page

__all__ = ["build"]


def build(ui: Ui) -> None:
    open_page(ui, "consolidate")
    progress = actions("", "progress")
    versions = actions("", "versions")
    shown = gr.State("")
    timer = gr.Timer(1.0)

    def show(request: gr.Request) -> Any:
        return _progress(ui, owner_of(request)), _versions(ui, owner_of(request))

    def tick(before: str, request: gr.Request) -> Any:
        html, cards = show(request)
        return (gr.skip(), gr.skip(), before) if html + cards == before else (html, cards, html + cards)

    def act(event: gr.EventData, request: gr.Request) -> Any:
        owner, data = owner_of(request), dict(event._data or {})
        if not ui.act(owner, data) and data.get("do") == "choose":
            with ui.turn:
                for key in [k for k, facts in ui.marks(owner).items() if facts.get("chosen")]:
                    ui.mark(owner, key, chosen=False)
                ui.mark(owner, f"consolidate:{data['persona']}", chosen=True)
        return show(request)

    gr.on(None, guarded(ui, show), None, [progress, versions], **HIDDEN)
    timer.tick(guarded(ui, tick), [shown], [progress, versions, shown], **HIDDEN)
    acting = guarded(ui, act)
    for part in (progress, versions):
        part.click(acting, None, [progress, versions], **EACH)


def _progress(ui: Ui, owner: str) -> str:
    job = ui.newest(owner, "consolidate")
    if job is None:
        return empty(ui.t("consolidate.empty"), link(ui.t("select.title"), ui.url("select")))
    return ui.job_panel(owner, job, link(ui.t("consolidate.then"), ui.url("posts"), name="next"))


def _versions(ui: Ui, owner: str) -> str:
    t, marks = ui.t, ui.marks(owner)
    personas = ui.results(owner, Persona)
    if not personas:
        return ""
    cards = []
    for persona in personas:
        rounds = [r for r in persona.rounds if r.contact_sheet is not None]
        agree = f"{rounds[-1].kept_consistency or 0:.2f}" if rounds else "–"
        losses = [] if persona.losses is None else ui.studio.store.get_json(persona.losses)
        chosen = bool(marks.get(f"consolidate:{persona.id}", {}).get("chosen"))
        sheet = picture(rounds[-1].contact_sheet or "", t("consolidate.sheet"), 640) if rounds else ""
        name = f"{persona.name} · {t('version')} {persona.version}"
        body = [
            f"<strong>{escape(name)}</strong>",
            f"<span class='st-soft'>{escape(t('consolidate.agree', value=agree))}</span>",
            curve([(i + 1, v) for i, v in enumerate(_smooth(losses))], t("loss"), t("step"), t("loss")),
            samples(t, [s.model_dump(mode="json") for s in persona.samples]),
            '<div class="st-row">'
            + button(t("consolidate.choose"), "choose", pressed=chosen, persona=persona.id)
            + link(
                t("consolidate.lora"),
                file_url(persona.lora, f"{persona.name}.safetensors"),
                big=False,
                download=True,
            )
            + "</div>",
        ]
        cards.append(card(sheet, body, "wide kept" if chosen else "wide"))
    return f"<h2>{escape(t('consolidate.versions'))}</h2>{grid(cards)}"


def _smooth(values: list[float], over: int = 10) -> list[float]:
    return [
        sum(values[max(0, i - over + 1) : i + 1]) / len(values[max(0, i - over + 1) : i + 1])
        for i in range(len(values))
    ]
