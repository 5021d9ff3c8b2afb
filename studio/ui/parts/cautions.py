"""What the drawing model may not know or cannot draw, said where it is chosen: own words, and real photos."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from pipelines.errors import BadInput, StudioError
from studio.domain.capabilities import own_look, vocabulary_of
from studio.domain.scene import Scene
from studio.domain.wording import doubts, say_doubts
from studio.jobs.fit import other_look
from studio.ui.context import LATEST, Ui, guarded, owner_of
from studio.ui.parts.shots_table import read_shots

__all__ = ["build_look", "say_look", "say_own_words"]


def say_own_words(ui: Ui, rows: list[list[Any]], goods: str = "") -> str:
    """Return as HTML which own words of a table's rows and of goods' name the model may not know; "" for none.

    What is wrong with a row is said when it is to be drawn.
    """
    try:
        shots = read_shots(ui, rows).shots
    except StudioError:
        shots = ()
    said = say_doubts(doubts(shots, " ".join(goods.split()), vocabulary_of(ui.studio.settings)), ui.t)
    return f'<p class="st-soft st-bad" role="status">⚠ {escape(said)}</p>' if said else ""


def say_look(ui: Ui, scene: Scene | None) -> str:
    """Return as HTML that the model cannot draw a scene's photo, and what to do; "" where it can."""
    if scene is None or own_look(ui.studio.settings) is None or not other_look(ui.studio, {"": scene.photo}):
        return ""
    why = BadInput("scene_of_other_look", scene=ui.t.word(scene.name))
    return f'<div class="st-panel warn" role="status">⚠ {escape(ui.t.error(why))}</div>'


def build_look(ui: Ui, scene: gr.Dropdown) -> gr.Checkbox:
    """Lay out, where the caller is, what is said of a chosen scene that the model cannot draw, and the wish to draw it
    all the same, which is returned.
    """
    said = gr.HTML("", js_on_load=None, padding=False, elem_id="scene-look")
    anyway = gr.Checkbox(False, label=ui.t("look.anyway"), visible=False, elem_id="any-look")

    def look(chosen: str | None, request: gr.Request) -> Any:
        place = next((s for s in ui.scenes(owner_of(request)) if s.id == chosen), None)
        html = say_look(ui, place)
        return html, gr.Checkbox(visible=True) if html else gr.Checkbox(value=False, visible=False)

    scene.change(guarded(ui, look), [scene], [said, anyway], **LATEST)
    return anyway
