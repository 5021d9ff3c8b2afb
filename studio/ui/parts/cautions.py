"""What the drawing model may not know or cannot draw, said where it is chosen: own words, real photos, and photos of
places that somebody stands before.
"""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import Any

import gradio as gr

from pipelines.errors import BadInput, StudioError
from studio.application import Studio
from studio.domain.capabilities import own_look, sees_people, vocabulary_of
from studio.domain.scene import Scene
from studio.domain.wording import doubts, say_doubts
from studio.jobs.fit import other_look
from studio.ui.context import LATEST, Ui, guarded, owner_of
from studio.ui.parts.shots_table import read_shots

__all__ = ["build_look", "say_hidden", "say_look", "say_own_words"]

_MUCH_HIDDEN = 0.3  # the share of a photo that people take from which on its place is found again clearly less often


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


def say_hidden(ui: Ui, scene: Scene | None) -> str:
    """Return as HTML that people hide much of a scene's photo, and what to do; "" where they do not, or the reader does
    not know such pictures.
    """
    if scene is None or not sees_people(ui.studio.settings) or not ui.studio.store.has(scene.photo):
        return ""
    share = _hidden_share(ui.studio, scene.photo)
    if share < _MUCH_HIDDEN:
        return ""
    return f'<p class="st-soft" role="status">ⓘ {escape(ui.t("look.hidden", percent=round(100 * share)))}</p>'


@lru_cache(maxsize=512)
def _hidden_share(studio: Studio, photo: str) -> float:
    (read,) = studio.regions.read([studio.store.get_picture(photo)])
    return float(read.person.mean())


def build_look(ui: Ui, scene: gr.Dropdown) -> gr.Checkbox:
    """Lay out, where the caller is, what is said of a chosen scene that the model cannot draw, and the wish to draw it
    all the same, which is returned.
    """
    said = gr.HTML("", js_on_load=None, padding=False, elem_id="scene-look")
    anyway = gr.Checkbox(False, label=ui.t("look.anyway"), visible=False, elem_id="any-look")

    def look(chosen: str | None, request: gr.Request) -> Any:
        place = next((s for s in ui.scenes(owner_of(request)) if s.id == chosen), None)
        html = say_look(ui, place)
        asked = gr.Checkbox(visible=True) if html else gr.Checkbox(value=False, visible=False)
        return html or say_hidden(ui, place), asked

    scene.change(guarded(ui, look), [scene], [said, anyway], **LATEST)
    return anyway
