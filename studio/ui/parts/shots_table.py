"""The table of shots: words in the page's language, seeds, captions and templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from personas import shots as words
from personas.shots import Shot, vary_shots
from pipelines.errors import BadInput
from studio.domain.drafts import OWN_LIST
from studio.domain.posts import MOST_SHOTS, plan_shots
from studio.domain.shot_lines import CHOICES, COLUMNS, HEADERS, known_word, paste_shots
from studio.domain.values import MOST_CAPTION
from studio.texts.texts import Language, Texts
from studio.ui.context import Ui

__all__ = [
    "CHOICES",
    "COLUMNS",
    "HEADERS",
    "TEMPLATES",
    "Table",
    "describe_shot",
    "fit_rows",
    "make_shots",
    "other_rows",
    "paste_shots",
    "read_shots",
    "say_rows",
    "write_shots",
]

TEMPLATES = ("mixed", "outfits", "portraits", "one_outfit", "goods")
Rows = list[list[Any]]
_USUAL = (("goods", "nothing"), ("light", "day"))  # what need not be said of a picture


@dataclass(frozen=True)
class Table:
    """Rows of the table. Seeds and captions are one for each shot, None where they are left to the studio."""

    shots: tuple[Shot, ...]
    seeds: tuple[int | None, ...] = ()
    captions: tuple[str | None, ...] = ()


def make_shots(name: str, count: int, again: int = 0) -> list[Shot]:
    """Return the shots of a template; `again` is the number of another set by it, as in `vary_shots`."""
    vary = partial(vary_shots, count, lights=("day",), again=again)
    if name == "outfits":
        return list(vary(3, framings=("full-body",)))
    if name == "portraits":
        return list(vary(4, framings=("close-up", "half-body")))
    if name == "goods":
        return list(vary(5, framings=("half-body", "close-up"), goods=words.GOODS[1:]))
    shots = plan_shots(count, 1, again)
    if name == "one_outfit":
        return [replace(s, outfit="dress", outfit_colour="red") for s in shots]
    return list(shots)


def describe_shot(t: Texts, shot: Shot) -> str:
    """A shot's words in the page's language."""
    said = {column: str(getattr(shot, column)) for column in COLUMNS}
    return ", ".join(t.word(word) for column, word in said.items() if (column, word) not in _USUAL)


def write_shots(
    ui: Ui, shots: Sequence[Shot], seeds: Sequence[int | None] = (), captions: Sequence[str | None] = ()
) -> list[list[str]]:
    """Rows of the table in the page's language, as `HEADERS`; empty cells are left to the studio."""
    left = [None] * len(shots)
    return [
        [*(ui.t.word(getattr(shot, column)) for column in COLUMNS), "" if seed is None else str(seed), caption or ""]
        for shot, seed, caption in zip(shots, [*seeds, *left], [*captions, *left], strict=False)
    ]


def read_shots(ui: Ui, rows: list[list[Any]]) -> Table:
    """The table's rows back; empty cells are as usual, empty rows are left out, own words stay in the fields of FREE.

    Raises BadInput, naming the cell.
    """
    shots: list[Shot] = []
    seeds: list[int | None] = []
    captions: list[str | None] = []
    for number, row in enumerate(rows, 1):
        said = {c: " ".join(str(cell or "").split()) for c, cell in zip(COLUMNS, row, strict=False)}
        cells = {c: known_word(c, cell, ui.t) or cell for c, cell in said.items() if cell}
        seed, caption = (" ".join(str(cell or "").split()) for cell in [*row, "", ""][len(COLUMNS) : len(HEADERS)])
        if not cells and not seed and not caption:
            continue
        if seed and not (seed.isascii() and seed.isdigit() and len(seed) <= 10 and int(seed) < 2**32):
            raise BadInput("bad_seed", row=number, said=seed[:40])
        if len(caption) > MOST_CAPTION:
            raise BadInput("long_caption", row=number, length=len(caption), most=MOST_CAPTION)
        for column, word in cells.items():
            _check_cell(number, column, word)
        shots.append(Shot(**cells))
        seeds.append(int(seed) if seed else None)
        captions.append(caption or None)
    if not 1 <= len(shots) <= MOST_SHOTS:
        raise BadInput("bad_count", most=MOST_SHOTS, count=len(shots))
    return Table(tuple(shots), tuple(seeds), tuple(captions))


def _check_cell(row: int, column: str, word: str) -> None:
    """Raise BadInput for a word that the column does not take: some take any that somebody writes."""
    column_name = column.replace("_", " ")
    if column not in words.FREE and word not in CHOICES[column]:
        raise BadInput("bad_shot", row=row, said=word[:40], column=column_name, known=list(CHOICES[column]))
    if len(word) > words.MOST_LETTERS or not any(letter.isalpha() for letter in word):
        raise BadInput("bad_shot_text", row=row, said=word[:40], column=column_name, most=words.MOST_LETTERS)


def fit_rows(ui: Ui, rows: Rows, template: str, count: int, again: int = 0) -> Rows:
    """Return `count` rows: what a person wrote stays, more come from the template, too many go from the end."""
    return (rows + write_shots(ui, make_shots(template, count, again))[len(rows) :])[:count]


def other_rows(ui: Ui, rows: Rows, template: str, before: int, after: int) -> Rows:
    """Return the rows of another set: the cells that the template proposed as the set of number `before` become those
    of number `after`; what a person wrote stays, and all of a list of their own.
    """
    if template == OWN_LIST or before == after:
        return rows
    old, new = (write_shots(ui, make_shots(template, len(rows), again)) for again in (before, after))
    return [
        [fresh if cell == known else cell for cell, known, fresh in zip(row, *columns, strict=False)]
        for row, *columns in zip(rows, old, new, strict=True)
    ]


def say_rows(ui: Ui, rows: Sequence[Sequence[str]], language: Language) -> Rows:
    """Return rows that were typed in one language in the page's; what is no word of a shot stays as it is."""
    at = HEADERS.index("light")  # which a form that was filled in earlier does not have
    rows = [[*row[:at], "", *row[at:]] if len(row) == len(HEADERS) - 1 else row for row in rows]
    if language == ui.t.language:
        return [list(row) for row in rows]
    theirs, columns = Texts(language), len(COLUMNS)
    return [[*(ui.t.word(theirs.word_back(cell)) for cell in row[:columns]), *row[columns:]] for row in rows]
