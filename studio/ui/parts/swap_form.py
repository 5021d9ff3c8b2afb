"""A persona's face put into pictures that somebody brings, shown before and after."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.errors import BadInput
from pipelines.file_names import file_name
from pipelines.pictures import PICTURE_SUFFIXES, load_scene
from studio.domain.limits import limits_of
from studio.domain.persona import Persona, Swap, SwapRequest
from studio.domain.values import NamedPicture
from studio.library.scenes import add_picture
from studio.ui.context import EACH, HIDDEN, Said, Ui, actions, guarded, owner_of, pressed
from studio.ui.parts.html import card, file_url, grid, link, picture
from studio.ui.parts.misfits import split_people

__all__ = ["build_swap"]


@dataclass(frozen=True)
class _Form:
    persona: gr.Dropdown
    misfits: gr.HTML
    photos: gr.File
    strength: gr.Slider
    hair: gr.Checkbox
    seed: gr.Number
    any_look: gr.Checkbox

    @property
    def inputs(self) -> set[Any]:
        return {self.persona, self.photos, self.strength, self.hair, self.seed, self.any_look}


def build_swap(ui: Ui) -> None:
    """Lay the part out, closed, and connect it."""
    t = ui.t
    with gr.Accordion(t("swap.title"), open=False, elem_id="swap-box"):
        gr.HTML(f"<p class='st-soft'>{escape(t('swap.what'))}</p>", js_on_load=None)
        form = _lay_out(ui)
        go = gr.Button(t("swap.go"), elem_id="swap-go")
        made = actions("", "swapped")
    shown = gr.State("")
    timer = gr.Timer(2.0)

    def load(request: gr.Request) -> Any:
        owner = owner_of(request)
        people, greyed = split_people(ui, ui.results(owner, Persona))
        first = people[0][1] if people else None
        return gr.Dropdown(people, value=first), greyed, _made(ui, owner)

    def start(said: Said, request: gr.Request) -> str:
        owner = owner_of(request)
        ui.queue.put(_read(ui, form, said, owner))
        return _made(ui, owner)

    def tick(before: str, request: gr.Request) -> Any:
        html = _made(ui, owner_of(request))
        return (gr.skip(), before) if html == before else (html, html)

    def act(event: gr.EventData, request: gr.Request) -> str:
        ui.act(owner_of(request), pressed(event))
        return _made(ui, owner_of(request))

    gr.on(None, guarded(ui, load), None, [form.persona, form.misfits, made], **HIDDEN)
    go.click(guarded(ui, start), form.inputs, [made], **HIDDEN)
    timer.tick(guarded(ui, tick), [shown], [made, shown], **HIDDEN)
    made.click(guarded(ui, act), None, [made], **EACH)


def _lay_out(ui: Ui) -> _Form:
    t, strength, seed = ui.t, limits_of(SwapRequest, "strength"), limits_of(SwapRequest, "seed")
    with gr.Row():
        persona = gr.Dropdown([], label=t("posts.persona"), elem_id="swap-persona")
        photos = gr.File(
            label=t("swap.photos"),
            file_count="multiple",
            file_types=[*PICTURE_SUFFIXES],
            height=130,
            elem_id="swap-photos",
        )
        with gr.Column():
            how = gr.Slider(0.05, strength.most or 1, value=strength.default, step=0.05, label=t("swap.strength"))
            hair = gr.Checkbox(limits_of(SwapRequest, "hair").default, label=t("swap.hair"))
            number = gr.Number(
                seed.default, precision=0, minimum=seed.least, maximum=seed.most, label=t("posts.seed")
            )  # fmt: skip
            any_look = gr.Checkbox(False, label=t("look.photos_too"), elem_id="swap-any-look")
    misfits = gr.HTML("", js_on_load=None, padding=False)
    return _Form(persona, misfits, photos, how, hair, number, any_look)


def _read(ui: Ui, form: _Form, said: Said, owner: str) -> SwapRequest:
    persona = ui.find(owner, Persona, said[form.persona])
    if persona is None or not said[form.photos]:
        raise BadInput("swap_incomplete")
    paths = [Path(path) for path in said[form.photos]]
    images = [(path.name[-100:], load_scene(path).image) for path in paths]
    pictures = tuple(
        NamedPicture(name=name, picture=add_picture(ui.studio.library, image, owner)) for name, image in images
    )
    return SwapRequest.make(
        owner=owner, persona=persona, pictures=pictures, seed=int(said[form.seed] or 0),
        strength=float(said[form.strength]), hair=bool(said[form.hair]), any_look=bool(said[form.any_look]),
    )  # fmt: skip


def _made(ui: Ui, owner: str) -> str:
    job, t = ui.newest(owner, Swap.kind), ui.t
    if job is None or job.state != "done":
        return ui.job_panel(owner, job)
    cards = []
    for row in ui.queue.result(job, Swap).pictures:
        before, after = picture(row.before, t("swap.before"), 160), picture(row.picture, t("swap.after"), 160)
        scores = t("swap.scores", before=f"{row.identity_before:.2f}", after=f"{row.identity:.2f}")
        url = file_url(row.picture, file_name(Path(row.name).stem, ".png", "picture"))
        save = link(t("swap.save"), url, big=False, download=True)
        cards.append(card(before + after, [f"<span class='st-soft'>{escape(scores)}</span>", save]))
    return grid(cards)
