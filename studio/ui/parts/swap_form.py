"""A persona's face put into pictures that somebody brings, shown before and after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.errors import BadInput, BadPicture, StudioError
from pipelines.pictures import load_scene
from studio.domain.limits import limits_of
from studio.domain.persona import Swap, SwapRequest
from studio.domain.times import JobSize
from studio.domain.values import NamedPicture
from studio.jobs.queue import admit
from studio.library.scenes import add_picture
from studio.ui.context import EACH, HIDDEN, Said, Ui, actions, guarded, owner_of, pressed
from studio.ui.parts.estimates import say_estimate
from studio.ui.parts.misfits import split_people
from studio.ui.parts.pulse import Pulse
from studio.ui.parts.sections import build_section
from studio.ui.parts.swap_cards import UNREAD, act_on_swap, show_swaps

__all__ = ["build_swap"]

_MOST_TIMES = 1000


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


def build_swap(ui: Ui, pulse: Pulse) -> None:
    """Lay the part out, folded, with what it made below, and connect it."""
    t = ui.t
    section = build_section(ui, "swap", t("swap.what"))
    with section.body:
        form = _lay_out(ui)
        estimate = gr.HTML("", js_on_load=None, padding=False)
        go = gr.Button(t("swap.go"), variant="primary", elem_id="swap-go")
    made = actions("", "swapped")

    def load(request: gr.Request) -> Any:
        owner = owner_of(request)
        people, greyed = split_people(ui, ui.people(owner))
        return gr.Dropdown(people, value=people[0][1] if people else None), greyed, show_swaps(ui, owner)

    def start(said: Said, request: gr.Request) -> str:
        owner = owner_of(request)
        asked, unread = _read(ui, form, said, owner)
        ui.queue.put(_once_more(ui, asked), **{UNREAD: [error.as_json() for error in unread]})
        return show_swaps(ui, owner)

    def act(event: gr.EventData, request: gr.Request) -> str:
        owner, data = owner_of(request), pressed(event)
        if not ui.act(owner, data):
            act_on_swap(ui, owner, data)
        return show_swaps(ui, owner)

    def expect(paths: list[str] | None) -> str:
        return say_estimate(ui, Swap.kind, JobSize(units=len(paths))) if paths else ""

    gr.on(None, guarded(ui, load), None, [form.persona, form.misfits, made], **HIDDEN)
    form.photos.change(guarded(ui, expect), [form.photos], [estimate], **HIDDEN)
    go.click(guarded(ui, start), form.inputs, [made], **HIDDEN)
    pulse.shows(lambda said, request: {made: show_swaps(ui, owner_of(request))}, [made])
    made.click(guarded(ui, act), None, [made], **EACH)


def _lay_out(ui: Ui) -> _Form:
    t, strength, seed = ui.t, limits_of(SwapRequest, "strength"), limits_of(SwapRequest, "seed")
    with gr.Row():
        persona = gr.Dropdown([], label=t("posts.persona"), elem_id="swap-persona")
        # any file is taken: one that is no picture is named, where the browser would refuse all that came with it
        photos = gr.File(label=t("swap.photos"), file_count="multiple", height=160, elem_id="swap-photos")
        with gr.Column():
            how = gr.Slider(0.05, strength.most or 1, value=strength.default, step=0.05, label=t("swap.strength"))
            hair = gr.Checkbox(limits_of(SwapRequest, "hair").default, label=t("swap.hair"))
            number = gr.Number(
                seed.default, precision=0, minimum=seed.least, maximum=seed.most, label=t("posts.seed")
            )  # fmt: skip
            any_look = gr.Checkbox(False, label=t("look.photos_too"), elem_id="swap-any-look")
    misfits = gr.HTML("", js_on_load=None, padding=False)
    return _Form(persona, misfits, photos, how, hair, number, any_look)


def _read(ui: Ui, form: _Form, said: Said, owner: str) -> tuple[SwapRequest, list[StudioError]]:
    """Return what is asked for, and why some of the files cannot be read. Raises the first reason where none can."""
    persona = ui.person(owner, said[form.persona])
    if persona is None or not said[form.photos]:
        raise BadInput("swap_incomplete")
    pictures: list[NamedPicture] = []
    unread: list[StudioError] = []
    for path in map(Path, said[form.photos]):
        try:
            image = load_scene(path).image
        except BadPicture as error:
            unread.append(error)
        else:
            kept = add_picture(ui.studio.library, image, owner)
            pictures.append(NamedPicture(name=path.name[-100:], picture=kept))
    if not pictures:
        raise unread[0]
    asked = SwapRequest.make(
        owner=owner, persona=persona, pictures=tuple(pictures), seed=int(said[form.seed] or 0),
        strength=float(said[form.strength]), hair=bool(said[form.hair]), any_look=bool(said[form.any_look]),
    )  # fmt: skip
    return asked, unread


def _once_more(ui: Ui, asked: SwapRequest) -> SwapRequest:
    """Return the request, with the next seeds that were not drawn yet where these pictures are done already."""
    for _ in range(_MOST_TIMES):
        known = ui.queue.find(admit(ui.studio, asked)[0], asked.owner)
        if known is None or known.state != "done":
            break
        asked = asked.changed(seed=(asked.seed + len(asked.pictures)) % 2**32)
    return asked
