"""The table of shots: words in the page's language, templates, and shots pasted as lines of text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from personas import shots as words
from personas.shots import Shot, vary_shots
from pipelines.errors import BadInput
from studio.requests import plan_shots
from studio.ui.context import Ui

__all__ = ["CHOICES", "COLUMNS", "MOST", "TEMPLATES", "make_shots", "read_shots", "write_shots"]

COLUMNS = ("framing", "view", "expression", "outfit", "outfit_colour", "pose")
CHOICES = {
    "framing": words.FRAMINGS, "view": words.VIEWS, "expression": words.EXPRESSIONS, "outfit": words.OUTFITS,
    "outfit_colour": words.OUTFIT_COLOURS, "pose": words.POSES,
}  # fmt: skip
TEMPLATES = ("mixed", "outfits", "portraits", "one_outfit")
MOST = 35


def make_shots(name: str, count: int) -> list[Shot]:
    """The shots of a template."""
    if name == "outfits":
        return list(vary_shots(count, 3, framings=("full-body",), lights=("day",)))
    if name == "portraits":
        return list(vary_shots(count, 4, framings=("close-up", "half-body"), lights=("day",)))
    shots = plan_shots(count, 1)
    if name == "one_outfit":
        return [Shot(**(asdict(s) | {"outfit": "dress", "outfit_colour": "red"})) for s in shots]
    return list(shots)


def write_shots(ui: Ui, shots: list[Shot]) -> list[list[str]]:
    """Rows of the table in the page's language."""
    return [[ui.t.word(getattr(shot, column)) for column in COLUMNS] for shot in shots]


def read_shots(ui: Ui, rows: list[list[Any]]) -> list[Shot]:
    """The table's rows back; empty cells are as usual, empty rows are left out. Raises BadInput, naming the cell."""
    shots = []
    for number, row in enumerate(rows, 1):
        said = {c: " ".join(str(cell or "").split()) for c, cell in zip(COLUMNS, row, strict=False)}
        cells = {c: ui.t.word_back(cell).casefold() for c, cell in said.items() if cell}
        if not cells:
            continue
        for column, word in cells.items():
            if word not in CHOICES[column]:
                raise BadInput(
                    f"Row {number} says {word[:40]!r}, which is no {column.replace('_', ' ')}.",
                    f"Use one of: {', '.join(CHOICES[column])}.", code="bad_shot",
                )  # fmt: skip
        shots.append(Shot(**cells))
    if not 1 <= len(shots) <= MOST:
        raise BadInput(
            f"A set has 1 to {MOST} shots, and this has {len(shots)}.", "Change the table.", code="bad_count"
        )
    return shots
