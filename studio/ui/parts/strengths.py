"""A strip of one shot at several strengths of the place, to choose the slider's position by eye."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from personas.measures.catalogue import POST_MEASURES
from studio.domain.posts import PostRequest
from studio.domain.scores import say_scores
from studio.domain.takes import Strengths, StrengthsRequest
from studio.ui.context import EACH, HIDDEN, Said, Ui, actions, guarded, in_turn, owner_of, pressed
from studio.ui.parts.html import button, picture
from studio.ui.parts.pulse import Pulse
from studio.ui.parts.reference_cards import most_strength
from studio.ui.parts.reference_form import Cards

__all__ = ["build_strengths"]

_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def build_strengths(
    ui: Ui, pulse: Pulse, cards: Cards, inputs: set[Any], wish: Callable[[Said, str], PostRequest]
) -> None:
    """A button beside the slider and the strip under it; `wish` makes the set's request of what `inputs` say."""
    with cards.strengths:
        go = gr.Button(ui.t("strengths.go"), elem_id="strengths-go")
        strip = actions("", "strengths")

    def start(said: Said, request: gr.Request) -> str:
        owner = owner_of(request)
        asked = wish(said, owner).changed(captions=())  # a strip is the same whatever the posts are called
        most = most_strength(said[cards.ways])
        ui.queue.put(StrengthsRequest.make(owner=owner, asked=asked, scales=tuple(most * s for s in _SHARES)))
        return _strip(ui, owner)

    def act(event: gr.EventData, request: gr.Request) -> Any:
        data = pressed(event)
        if ui.act(owner_of(request), data) or data.get("do") != "strength":
            return gr.skip()
        return float(data["scale"])

    go.click(guarded(ui, start), inputs, [strip], **(HIDDEN | in_turn("ways")))
    pulse.shows(lambda said, request: {strip: _strip(ui, owner_of(request))}, [strip])
    strip.click(guarded(ui, act), None, [cards.strength], **EACH)


def _strip(ui: Ui, owner: str) -> str:
    job, t = ui.newest(owner, "strengths"), ui.t
    if job is None:
        return ""
    if job.state != "done":
        return ui.job_panel(owner, job)
    figures = []
    for row in ui.queue.result(job, Strengths).rows:
        scores = " · ".join(say_scores(t, row.scores, POST_MEASURES).values())
        label = t("strengths.use", scale=f"{row.scale:g}")
        figures.append(
            f"<figure>{picture(row.picture, label, 160)}<figcaption>{escape(scores)}</figcaption>"
            f"{button(label, 'strength', scale=row.scale)}</figure>"
        )
    return f'<div class="st-strip st-samples" tabindex="0">{"".join(figures)}</div>'
