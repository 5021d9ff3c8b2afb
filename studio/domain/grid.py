"""A grid: one shot in one place, drawn for every persona, checkpoint, strength and seed that somebody compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from statistics import fmean
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from personas.shots import Shot
from pipelines.errors import BadInput, StudioError, error_from_json
from studio.domain.checkpoints import DrawnAs, draw_as, kept_checkpoints, say_checkpoint
from studio.domain.persona import MOST_SCALE, Persona
from studio.domain.posts import PostRequest, Scores
from studio.domain.values import FileKey, Request, Result, Seed, Value
from studio.texts.texts import Texts

__all__ = ["MOST_CELLS", "Grid", "GridCell", "GridRequest", "GridTable", "count_cells", "plan_cells", "table_of"]

MOST_CELLS = 60
_MOST_OF_ONE = 12


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))


_Once = AfterValidator(_distinct)
Strength = Annotated[float, Field(ge=0, le=MOST_SCALE)]
Axis = Literal["persona", "checkpoint", "scale", "seed"]


class GridRequest(Request):
    """The first shot of `asked`, with all that it says of the place, for every persona (its own and the `others`),
    checkpoint, strength and seed.

    `checkpoints` are steps of the personas' trainings, 0 their end; a persona that did not keep one has no pictures of
    it. Each value counts once.
    """

    asked: PostRequest
    others: tuple[Persona, ...] = Field((), max_length=_MOST_OF_ONE - 1)
    checkpoints: Annotated[tuple[Annotated[int, Field(ge=0)], ...], _Once] = Field(
        (0,), min_length=1, max_length=_MOST_OF_ONE
    )
    strengths: Annotated[tuple[Strength, ...], _Once] = Field((1.0,), min_length=1, max_length=_MOST_OF_ONE)
    seeds: Annotated[tuple[Seed, ...], _Once] = Field((1,), min_length=1, max_length=_MOST_OF_ONE)

    @model_validator(mode="after")
    def _check(self) -> GridRequest:
        """Raise BadInput for more pictures than a grid has, or a checkpoint that nobody kept."""
        if any(persona.lora is None for persona in self.personas) or not self.asked.by_lora:
            raise BadInput("grid_without_strength")
        for step in self.checkpoints:
            if not any(_has(persona, step) for persona in self.personas):
                persona = self.asked.persona
                known = [sample.step for sample in kept_checkpoints(persona)]
                raise BadInput("checkpoint_unknown", persona=persona.name, step=step, known=known)
        if (count := count_cells(self)) > MOST_CELLS:
            raise BadInput("grid_too_large", count=count, most=MOST_CELLS)
        return self

    @property
    def personas(self) -> tuple[Persona, ...]:
        """Return all that are drawn, each once."""
        return tuple({persona.id: persona for persona in (self.asked.persona, *self.others)}.values())

    def of_cell(self, cell: GridCell) -> PostRequest:
        """Return the request of one picture, as that of a set."""
        persona = next(persona for persona in self.personas if persona.id == cell.persona)
        drawn = draw_as(persona, DrawnAs(scale=cell.scale, checkpoint=cell.checkpoint))
        told = {"persona": drawn, "shots": self.asked.shots[:1], "seeds": (cell.seed,), "captions": (), "panels": 1}
        return self.asked.model_copy(update=told)


class GridCell(Value):
    """A picture of a grid: whose (an id), and how it was drawn. Where it could not be drawn, `raised` is the error as
    JSON, and there is no picture.
    """

    persona: str
    checkpoint: int
    scale: float
    seed: Seed
    picture: FileKey | None = None
    scores: Scores = Field(default_factory=dict)
    raised: Mapping[str, JsonValue] | None = None

    @property
    def error(self) -> StudioError | None:
        return None if self.raised is None else error_from_json(self.raised)


class Grid(Result):
    """All cells, and by language the `sheet` that shows them with their words. `personas` are those that were drawn."""

    kind: ClassVar[str] = "grid"

    personas: tuple[Persona, ...] = Field(min_length=1)
    scene: str
    shot: Shot
    cells: tuple[GridCell, ...] = Field(min_length=1)
    sheet: Mapping[str, FileKey]


def plan_cells(request: GridRequest) -> tuple[GridCell, ...]:
    """Return what is drawn, in order, nothing drawn yet."""
    every = product(request.personas, request.checkpoints, request.seeds, request.strengths)
    return tuple(
        GridCell(persona=persona.id, checkpoint=step, scale=scale, seed=seed)
        for persona, step, seed, scale in every
        if _has(persona, step)
    )


def count_cells(request: GridRequest) -> int:
    """Return how many pictures are drawn."""
    trained = sum(_has(persona, step) for persona in request.personas for step in request.checkpoints)
    return prod((trained, len(request.seeds), len(request.strengths)))


@dataclass(frozen=True)
class GridTable:
    """A grid as rows and columns with their names; None where no picture was asked for. `likeness` is the mean of each
    column's, None where none was measured.
    """

    columns: tuple[str, ...]
    rows: tuple[str, ...]
    cells: tuple[tuple[GridCell | None, ...], ...]
    likeness: tuple[float | None, ...]


def table_of(t: Texts, grid: Grid) -> GridTable:
    """Lay a grid out: what varies first of strength, checkpoint, seed and persona is across, all else is down."""
    across: Axis = next((axis for axis in _ACROSS if len(_values(grid.cells, axis)) > 1), "scale")
    down: list[Axis] = [axis for axis in _DOWN if axis != across]
    keys = list(dict.fromkeys(tuple(getattr(cell, axis) for axis in down) for cell in grid.cells))
    columns = _values(grid.cells, across)
    at = {(tuple(getattr(cell, axis) for axis in down), getattr(cell, across)): cell for cell in grid.cells}
    named: list[Axis] = [axis for axis in down if len(_values(grid.cells, axis)) > 1] or down[:1]
    rows = [" · ".join(_say(t, grid, axis, key[down.index(axis)]) for axis in named) for key in keys]
    cells = tuple(tuple(at.get((key, value)) for value in columns) for key in keys)
    return GridTable(
        tuple(_say(t, grid, across, value) for value in columns),
        tuple(rows),
        cells,
        tuple(_mean([row[i] for row in cells]) for i in range(len(columns))),
    )


_ACROSS: tuple[Axis, ...] = ("scale", "checkpoint", "seed", "persona")
_DOWN: tuple[Axis, ...] = ("persona", "checkpoint", "scale", "seed")


def _has(persona: Persona, step: int) -> bool:
    return step == 0 or any(sample.step == step for sample in kept_checkpoints(persona))


def _values(cells: Sequence[GridCell], axis: Axis) -> list[Any]:
    return list(dict.fromkeys(getattr(cell, axis) for cell in cells))


def _mean(column: Sequence[GridCell | None]) -> float | None:
    known = [value for cell in column if cell is not None and (value := cell.scores.get("identity")) is not None]
    return fmean(known) if known else None


def _say(t: Texts, grid: Grid, axis: Axis, value: Any) -> str:
    """Return what a row or a column is called."""
    if axis == "persona":
        found = next(persona for persona in grid.personas if persona.id == value)
        return f"{found.name} · {t('version')} {found.version}"
    if axis == "checkpoint":
        of = next((persona for persona in grid.personas if _has(persona, value)), grid.personas[0])
        return say_checkpoint(t, of, value)
    return t("grid.strength", scale=f"{value:g}") if axis == "scale" else t("grid.seed", number=value)
