"""Grid: one shot in one place for every persona, checkpoint, strength and seed, each scored, and all on one sheet."""

from __future__ import annotations

import json
from functools import partial

import numpy as np

from personas.measures.catalogue import POST_MEASURES
from pipelines.errors import BadInput, ModelMissing, NotEnough
from pipelines.progress import SILENT, Progress, Stage, StageProgress, tell_steps
from pipelines.sampling.draw import check_requests, draw_batch
from studio.application import Studio
from studio.domain.grid import Grid, GridCell, GridRequest, GridTable, plan_cells, table_of
from studio.domain.report import LeftOut, PostScored, ScoredPost, StudioStage
from studio.domain.scores import say_scores
from studio.domain.values import FileKey
from studio.export.bundle import PRODUCER
from studio.export.content_credentials import open_credentials
from studio.export.grid_sheet import SheetCell, draw_sheet
from studio.export.provenance import Label, encode_labelled
from studio.library.records import content_id
from studio.texts.texts import LANGUAGES, Texts
from studio.workflows import Run
from studio.workflows.bundling import is_composite
from studio.workflows.injections import Injections
from studio.workflows.post import plan_requests, score_post

__all__ = ["draw_grid"]

_STAGE = Stage(StudioStage.GRID)
_ON_SHEET = ("identity", "scene")  # what fits under a small picture; the page says all


def draw_grid(studio: Studio, request: GridRequest, run: Run, progress: Progress = SILENT) -> Grid:
    """Every cell is a step of its own: one that cannot be drawn is named, and the others are done.

    Raises NotEnough where none can be drawn, for a single one what is wrong with it.
    """
    planned, cells = plan_cells(request), list[GridCell]()
    progress.tell(StageProgress(_STAGE, 0, len(planned)))
    for number, cell in enumerate(planned):
        progress.check_cancelled()
        made = run(f"cell-{number}", partial(_draw, studio, request, cell, progress))
        cells.append(GridCell.model_validate_json(json.dumps(cell.model_dump(mode="json") | made)))
        if (key := cells[-1].picture) is not None:
            progress.tell(PostScored(ScoredPost(number=number, picture=key, scores=cells[-1].scores)))
        progress.tell(StageProgress(_STAGE, number + 1, len(planned)))
    errors = [error for cell in cells if (error := cell.error) is not None]
    if len(errors) == len(cells):
        raise errors[0] if len(cells) == 1 else NotEnough("no_cell_drawn", count=len(cells), cause=errors[0])
    progress.tell(LeftOut(tuple(errors)))
    told = {"request": request.model_dump(mode="json"), "pictures": [cell.picture for cell in cells]}
    asked = request.asked
    grid = Grid(
        id=content_id(told), personas=request.personas, scene=asked.scene.name, shot=asked.shots[0],
        cells=tuple(cells), sheet={},
    )  # fmt: skip
    sheet = run("sheet", lambda: {language: _sheet(studio, grid, request, Texts(language)) for language in LANGUAGES})
    return grid.model_copy(update={"sheet": {language: FileKey(key) for language, key in sheet.items()}})


def _draw(studio: Studio, request: GridRequest, cell: GridCell, progress: Progress) -> dict[str, object]:
    """Return the fields of a cell that is drawn; what a person can do something about is no reason to stop."""
    try:
        asked = request.of_cell(cell)
        injections = Injections(studio, asked)
        planned = plan_requests(studio, asked, asked.shots, injections)
        check_requests(studio.backbone, planned)
        (drawn,) = draw_batch(studio.backbone, planned, tell_steps(progress, _STAGE))
        key = studio.store.put_picture(drawn)
        return {"picture": key, "scores": score_post(studio, asked, asked.shots[0], key, injections)}
    except (BadInput, ModelMissing) as error:
        return {"raised": error.as_json()}


def _sheet(studio: Studio, grid: Grid, request: GridRequest, t: Texts) -> str:
    """Store the labelled sheet in one language, and return its key."""
    table = table_of(t, grid)
    where, shot = t.word(grid.scene), t.word(grid.shot.framing)
    image = draw_sheet(
        t("grid.sheet_title", who=", ".join(dict.fromkeys(p.name for p in grid.personas)), where=where, shot=shot),
        _headers(t, table),
        table.rows,
        [[_shown(studio, t, cell) for cell in row] for row in table.cells],
    )
    label = Label(PRODUCER, grid.id, is_composite(request.asked))
    return studio.store.put(_signed(studio, encode_labelled(image, "PNG", label), label))


def _signed(studio: Studio, sheet: bytes, label: Label) -> bytes:
    """Return the sheet's file with content credentials; without them where the certificate cannot be used, which stops
    exports, but takes nobody the pictures that were drawn for it.
    """
    try:
        return open_credentials(studio.settings).sign(sheet, "PNG", label.composite)
    except BadInput:
        return sheet


def _headers(t: Texts, table: GridTable) -> list[str]:
    means = ["" if mean is None else t("grid.mean", value=f"{mean:.2f}") for mean in table.likeness]
    return [f"{name}\n{mean}" if mean else name for name, mean in zip(table.columns, means, strict=True)]


def _shown(studio: Studio, t: Texts, cell: GridCell | None) -> SheetCell:
    if cell is None or (cell.picture is None and cell.error is None):
        return SheetCell(None, "–")
    if cell.picture is None:
        assert cell.error is not None  # it is one or the other
        return SheetCell(None, t.error(cell.error))
    said = say_scores(t, cell.scores, [row for row in POST_MEASURES if row.name in _ON_SHEET])
    picture = np.asarray(studio.store.get_picture(cell.picture))
    return SheetCell(picture, "  ".join(said[name] for name in _ON_SHEET if name in said))
