"""`persona-studio grid`: one shot for every persona, stage of training, strength and seed, on one labelled sheet."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from personas.measures.catalogue import POST_MEASURES
from pipelines.errors import BadInput
from pipelines.file_names import file_name, keep_beside
from pipelines.pictures import load_scene
from studio.application import Studio
from studio.cli.options import (
    ANY_LOOK,
    Data,
    Json,
    Owner,
    RequestFile,
    find_person,
    left_out_rows,
    open_jobs,
    option,
    read_request_file,
    say,
    settings_of,
    tell,
)
from studio.cli.outputs import check_folder
from studio.domain.capabilities import usual_way
from studio.domain.grid import MOST_CELLS, Grid, GridCell, GridRequest, GridTable, table_of
from studio.domain.persona import MOST_SCALE
from studio.domain.posts import PostRequest
from studio.domain.scores import say_scores
from studio.domain.shot_lines import paste_shots
from studio.domain.times import say_duration
from studio.jobs.estimates import estimate_request
from studio.library.scenes import add_scene
from studio.texts.terminal import terminal_texts

__all__ = ["grids"]

grids = typer.Typer()


@grids.command()
def grid(
    photo: Annotated[Path | None, typer.Argument(help="The scene's photo; none with --request.")] = None,
    request: RequestFile = None,
    persona: Annotated[
        list[str] | None, typer.Option(help="Who is compared; may be repeated, the newest persona if left out.")
    ] = None,
    strength: Annotated[
        list[float] | None,
        typer.Option(min=0, max=MOST_SCALE, help="How strongly the persona is drawn; may be repeated, 1 if left out."),
    ] = None,
    checkpoint: Annotated[
        list[int] | None,
        typer.Option(min=0, help="A kept step of the training, 0 its end; may be repeated, 0 if left out."),
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(min=0, max=2**32 - 1, help="May be repeated, 1 if left out.")
    ] = None,
    shot: Annotated[str, typer.Option(help="The shot in words, English or Chinese.")] = "half-body",
    scale: Annotated[float | None, option(PostRequest, "scale", "How strongly the place is shown.")] = None,
    any_look: Annotated[bool, typer.Option("--any-look", help=ANY_LOOK)] = False,
    out: Annotated[Path | None, typer.Option(help="A folder for the sheet and each picture.")] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Say how many pictures it is and how long they take, and draw none.")
    ] = False,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Compare strengths and stages of a persona's training: the same shot, drawn in every way that is named.

    A picture that cannot be drawn is named, and the exit status is 1; the others are done.
    """
    if photo is not None and request is not None:
        raise BadInput("request_file_alone")
    if photo is None and request is None:
        raise BadInput("photo_missing")
    folder, studio = None if out is None else check_folder(out), Studio(settings_of(data, owner))
    if request is not None:
        asked = read_request_file(studio, "grid", request)
        assert isinstance(asked, GridRequest)
    else:
        assert photo is not None  # one of the two is given
        load_scene(photo)
        people = [find_person(studio, key) for key in persona or [""]]
        scene = add_scene(studio.library, photo, None, photo.stem, studio.settings.owner)
        of_place = usual_way(studio.settings) | ({} if scale is None else {"scale": scale})
        post = PostRequest.make(
            owner=studio.settings.owner, persona=people[0], scene=scene, shots=tuple(paste_shots(shot)[:1]),
            any_look=any_look, **of_place,
        )  # fmt: skip
        asked = GridRequest.make(
            owner=studio.settings.owner, asked=post, others=tuple(people[1:]), strengths=tuple(strength or (1.0,)),
            checkpoints=tuple(checkpoint or (0,)), seeds=tuple(seed or (1,)),
        )  # fmt: skip
    size, seconds = estimate_request(studio, asked)
    if estimate or not as_json:
        _say_estimate(size.units, seconds, as_json, only=estimate)
    if estimate:
        return
    with open_jobs(studio, as_json) as engine:
        result = engine.run(asked, Grid)
    _say(studio, result, folder, as_json)


def _say_estimate(count: int, seconds: float | None, as_json: bool, only: bool) -> None:
    """Print before anything is drawn: what is asked for is printed, what merely goes before the work is not in it."""
    texts = terminal_texts()
    how_long = (
        texts("estimate.unknown") if seconds is None else texts("estimate.about", time=say_duration(texts, seconds))
    )
    text = f"{texts('cli.grid_count', count=count, most=MOST_CELLS)} {how_long}"
    if only:
        say({"pictures": count, "seconds": seconds}, as_json, text)
    else:
        print(text, file=sys.stderr, flush=True)


def _say(studio: Studio, made: Grid, folder: Path | None, as_json: bool) -> None:
    texts = terminal_texts()
    table = table_of(texts, made)
    sheet = studio.store.open_local(made.sheet[texts.language])
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        sheet = keep_beside(
            folder / file_name(made.personas[0].name, f"-{made.id[:6]}.png", "persona"), sheet.read_bytes()
        )
    lines, rows = [tell("cli.grid", id=made.id, sheet=sheet.resolve())], []
    for cell, name in _named(made, table):
        file = None
        if cell.picture is not None and folder is not None:
            file = str(
                keep_beside(folder / file_name(name, ".png", "picture"), studio.store.get(cell.picture)).resolve()
            )
        told = cell.model_dump(mode="json", exclude={"raised"})
        rows.append(told | {"file": file} | ({} if cell.error is None else left_out_rows([cell.error])[0]))
        words = "  ".join(say_scores(texts, cell.scores, POST_MEASURES).values())
        lines.append(f"{name}  {words}" if cell.error is None else f"✗ {name}: {texts.error(cell.error)}")
    for column, mean in zip(table.columns, table.likeness, strict=True):
        if mean is not None and len(table.columns) > 1:
            lines.append(f"{column}: {texts('grid.mean', value=f'{mean:.2f}')}")
    say({"id": made.id, "sheet": str(sheet.resolve()), "cells": rows}, as_json, "\n".join(lines))
    if any(cell.raised is not None for cell in made.cells):
        raise typer.Exit(1)


def _named(made: Grid, table: GridTable) -> Iterator[tuple[GridCell, str]]:
    """Yield every cell with its row's and its column's name."""
    for row, cells in zip(table.rows, table.cells, strict=True):
        for column, cell in zip(table.columns, cells, strict=True):
            if cell is not None:
                yield cell, f"{row}, {column}"
