"""What the next press draws: another set, of a number of its own, or the same again. Each persona counts their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from studio.domain.posts import MOST_AGAIN
from studio.library.records import PostSetRecord
from studio.ui.context import LATEST, Said, Ui, guarded, in_turn, owner_of
from studio.ui.parts.shots_form import ShotsForm
from studio.ui.parts.shots_table import HEADERS, other_rows

__all__ = ["build_another", "next_number", "show_due", "show_number", "take_number"]

_SEED = HEADERS.index("seed")


def next_number(ui: Ui, owner: str, persona: str) -> int:
    """Return the number that the next other set of this persona has, 0 for their first; `persona` is an id."""
    taken = int(ui.said(owner, _mark(persona)).get("sets", 0))
    drawn = len(ui.studio.records.find(PostSetRecord, owner, persona=persona))  # by the command line, too
    return min(max(taken, drawn), MOST_AGAIN)


def show_number(ui: Ui, form: ShotsForm, said: Said, number: int) -> Said:
    """Return the table as the set of this number: what its template proposed changes, what a person wrote stays."""
    rows, before = [list(row) for row in said[form.rows]], int(said[form.again] or 0)
    return {form.rows: other_rows(ui, rows, said[form.template], before, number), form.again: number}


def show_due(ui: Ui, form: ShotsForm, said: Said, owner: str, persona: str) -> Said:
    """Return the table as the set that is next for this persona: another page may have asked for one meanwhile."""
    return show_number(ui, form, said, next_number(ui, owner, persona))


def take_number(ui: Ui, form: ShotsForm, said: Said, owner: str, persona: str) -> Said:
    """Give the next number away, and return the table for the press after it. Seeds that were written into it were for
    one set: another with the same ones would be the same.
    """
    number = min(next_number(ui, owner, persona) + 1, MOST_AGAIN)
    ui.mark(owner, _mark(persona), sets=number)
    after = show_number(ui, form, said, number)
    return after | {form.rows: [[*row[:_SEED], "", *row[_SEED + 1 :]] for row in after[form.rows]]}


def build_another(ui: Ui, form: ShotsForm, persona: gr.Dropdown) -> gr.Checkbox:
    """Lay the choice out where the caller is; it changes which set the table shows."""
    t = ui.t
    fresh = gr.Checkbox(True, label=t("another.fresh"), info=t("another.what"), elem_id="fresh")

    def choose(said: Said, request: gr.Request) -> Any:
        due, now = next_number(ui, owner_of(request), str(said[persona] or "")), int(said[form.again] or 0)
        number = due if said[fresh] else min(now, max(due - 1, 0))
        return show_number(ui, form, said, number)

    def change_person(said: Said, request: gr.Request) -> Any:
        due = next_number(ui, owner_of(request), str(said[persona] or ""))
        return show_number(ui, form, said, due if said[fresh] else max(due - 1, 0))

    inputs = {fresh, persona, form.template, form.rows, form.again}
    handlers: tuple[tuple[Any, Callable[..., Any]], ...] = ((fresh, choose), (persona, change_person))
    for part, handler in handlers:
        part.input(guarded(ui, handler), inputs, [form.rows, form.again], **(LATEST | in_turn("ways")))
    return fresh


def _mark(persona: str) -> str:
    return f"sets:{persona}"
