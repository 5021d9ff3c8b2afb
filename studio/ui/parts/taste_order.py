"""Pictures in the order of their owner's taste, for pages that show them: an order, and never a gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeVar

import gradio as gr

from studio.taste.keeping import tastes_of
from studio.taste.order import Picture, Ranked, liking_of
from studio.taste.saying import say_attribute
from studio.ui.context import Ui

__all__ = ["TasteOrder", "order_by_taste", "order_choice"]

Row = TypeVar("Row")


def order_choice(ui: Ui, visible: bool = True) -> gr.Radio:
    """Lay out the choice of the order: "usual" or "taste"."""
    words = [(ui.t("taste.order_usual"), "usual"), (ui.t("taste.order_taste"), "taste")]
    return gr.Radio(words, value="usual", label=ui.t("taste.order"), elem_id="order", visible=visible)


@dataclass(frozen=True)
class TasteOrder:
    """Where pictures stand, by their keys; `known` is false where nothing was said yet, and nothing is ordered."""

    ranked: Mapping[str, Ranked]
    known: bool

    def sort(self, rows: Sequence[Row], key: Callable[[Row], str]) -> list[Row]:
        """Return all rows by the keys of their pictures, the likeliest first; equals, and those of which nothing is
        known, stay as they stand."""
        at = {picture: number for number, picture in enumerate(self.ranked)}
        return sorted(rows, key=lambda row: at.get(key(row), len(at)))

    def say(self, ui: Ui, key: str) -> str:
        """Return as HTML how a picture fits, and which attributes spoke; "" where nothing is known."""
        if key not in self.ranked:
            return ""
        one, t = self.ranked[key], ui.t
        words = [t("taste.match", chance=round(100 * one.chance))]
        for text, sign in (("taste.for_it", 1), ("taste.against_it", -1)):
            spoke = [say_attribute(t, name) for name, value in one.spoke if value * sign > 0]
            if spoke:
                words.append(t(text, what=("、" if t.language == "zh" else ", ").join(spoke)))
        return f"<span class='st-soft'>{escape(' · '.join(words))}</span>"


def order_by_taste(
    ui: Ui, owner: str, pictures: Sequence[tuple[str, Mapping[str, str]]], persona: str = ""
) -> TasteOrder:
    """Return the order of pictures, each by its key and the words of its shot."""
    studio = ui.studio
    liking = liking_of(studio.records, studio.store, owner, tastes_of(studio.records, owner, persona))
    if liking is None:
        return TasteOrder({}, known=False)
    rows = [Picture(key, shot) for key, shot in pictures]
    return TasteOrder({rows[one.place].key: one for one in liking.rank(rows)}, known=True)
