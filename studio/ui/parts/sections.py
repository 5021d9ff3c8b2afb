"""Sections of a form, folded to what is chosen in them: pictures with a line of text, which open on a press."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from studio.ui.context import HIDDEN, Ui, actions, guarded, pressed

__all__ = ["Section", "build_section", "show_tile"]

_SIGNS = {"advanced": "⋯", "text": "¶", "gates": "≥", "endpoint": "¶", "swap": "⇄"}
_OPEN, _FOLDED = ["st-section"], ["st-section", "st-folded"]
_SHAPE_PX = 34  # a shape's longer side


@dataclass(frozen=True)
class Section:
    """`tile` says what is chosen, `kept` and `body` hold what it is chosen with: parts of `kept` are on the page while
    it is folded, too, so that others may follow them; those of `body` once it was opened. Only some have a `kept`.
    """

    name: str
    tile: gr.HTML
    kept: gr.Column
    body: gr.Column


def build_section(ui: Ui, name: str, text: str = "", *, keeps: bool = False) -> Section:
    """Lay a folded section out where the caller is, who fills `body`, and `kept` where it `keeps`. Its title is the
    text `section.<name>`; what is chosen is told by whoever knows it, with `show_tile`.
    """
    tile = actions(show_tile(ui, name, text), f"{name}-tile")
    kept = gr.Column(elem_id=f"{name}-kept", elem_classes=_FOLDED, visible=keeps)
    body = gr.Column(visible=False, elem_id=f"{name}-box", elem_classes=_OPEN)

    def fold(event: gr.EventData) -> Any:
        is_open = pressed(event).get("open") == "true"
        return gr.Column(elem_classes=_OPEN if is_open else _FOLDED), gr.Column(visible=is_open)

    tile.click(guarded(ui, fold), None, [kept, body], **HIDDEN)
    return Section(name, tile, kept, body)


def show_tile(ui: Ui, name: str, text: str, pictures: Sequence[str] = (), shape: str = "") -> str:
    """Return as HTML what is chosen in a section: a line of text, and pictures by their addresses. `shape`, such as
    "3:4", is drawn where there is no picture.
    """
    seen = "".join(f'<img src="{escape(url)}" alt="">' for url in pictures)
    if not seen and shape:
        wide, tall = (float(side) for side in shape.split(":"))
        longer = _SHAPE_PX / max(wide, tall)
        seen = f'<i class="st-shape" style="width:{wide * longer:.0f}px;height:{tall * longer:.0f}px"></i>'
    seen = seen or f"<i>{_SIGNS.get(name, '＋')}</i>"
    title = escape(ui.t(f"section.{name}"))
    return (
        f'<button type="button" class="st-tile" data-do="fold" data-key="fold-{name}" aria-expanded="false">'
        f'<span class="st-tile-seen" aria-hidden="true">{seen}</span>'
        f'<span class="st-tile-said"><strong>{title}</strong> '
        f"<span>{escape(text)}</span></span></button>"
    )
