"""A set to its owner's taste: a switch, how boldly, and what it changes of the shots that nobody wrote, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

import gradio as gr

from studio.domain.capabilities import vocabulary_of
from studio.domain.drafts import OWN_LIST
from studio.domain.guidance import USUAL_ADVENTUROUS, Guidance
from studio.taste.guiding import GuidedSet, guide_planned
from studio.taste.keeping import tastes_of
from studio.taste.saying import say_choice
from studio.ui.context import Said, Ui
from studio.ui.parts.html import link, panel
from studio.ui.parts.shots_form import ShotsForm
from studio.ui.parts.shots_table import COLUMNS, make_shots, read_shots, write_shots

__all__ = ["TasteFill", "build_fill", "filled_set", "show_why"]

_SAID_BY: Mapping[str, frozenset[str]] = {  # what somebody says who chooses a template
    "outfits": frozenset({"framing"}),
    "portraits": frozenset({"framing"}),
    "one_outfit": frozenset({"outfit", "outfit_colour"}),
    "goods": frozenset({"framing", "goods"}),
}
_ANOTHER = 1_000_003  # between the chances of one set and the next


@dataclass(frozen=True)
class TasteFill:
    """The components; `why` says what changes."""

    box: gr.Checkbox
    bold: gr.Slider
    why: gr.HTML


def build_fill(ui: Ui) -> TasteFill:
    """Lay the components out where the caller is."""
    t = ui.t
    box = gr.Checkbox(False, label=t("taste.fill"), info=t("taste.fill_what"), elem_id="to-taste")
    bold = gr.Slider(0, 1, value=USUAL_ADVENTUROUS, step=0.05, label=t("taste.bold"), elem_id="bold", visible=False)
    why = gr.HTML("", js_on_load=None, padding=False, elem_id="taste-why")
    return TasteFill(box, bold, why)


def filled_set(
    ui: Ui, fill: TasteFill, form: ShotsForm, said: Said, owner: str, persona: str, seed: int
) -> GuidedSet | None:
    """Return the table's shots to the taste, None where that is off. Cells that a person wrote stay, and what the
    template is for; the light is the same in all. Raises BadInput for a table that says no shots.
    """
    if not said[fill.box]:
        return None
    table, template, again = said[form.rows], str(said[form.template]), int(said[form.again] or 0)
    if template == OWN_LIST:
        usual = [[""] * len(COLUMNS)] * len(table)
    else:
        usual = write_shots(ui, make_shots(template, len(table), again))
    fixed = _SAID_BY.get(template, frozenset())
    stated = [
        {c for c, cell, known in zip(COLUMNS, row, before, strict=False) if str(cell or "") not in ("", known)} | fixed
        for row, before in zip(table, usual, strict=False)
        if any(str(cell or "").strip() for cell in row)
    ]
    shots = read_shots(ui, table).shots
    return guide_planned(
        tastes_of(ui.studio.records, owner, persona), shots, stated, (seed + _ANOTHER * again) % 2**32,
        adventurous=float(said[fill.bold]), vocabulary=vocabulary_of(ui.studio.settings),
    )  # fmt: skip


def show_why(ui: Ui, guidance: Guidance | None, *, is_open: bool = True) -> str:
    """Return as HTML what follows the taste, and why."""
    t = ui.t
    if guidance is None:
        return panel(f"<p>{escape(t('taste.moved_none'))}</p>{link(t('taste.nav'), ui.url('taste'), big=False)}")
    moved = [choice for choice in guidance.choices if choice.word != choice.was]
    rows = "".join(f"<li>{escape(say_choice(t, choice))}</li>" for choice in moved)
    title = escape(t("taste.moved", count=len(moved)))
    return f'<details class="st-panel"{" open" if is_open else ""}><summary>{title}</summary><ul>{rows}</ul></details>'
