"""What all commands share: options, the engine, and how results are said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from studio.application import Studio
from studio.cli.progress import Bars
from studio.settings import Settings

__all__ = ["Data", "Json", "Owner", "Seed", "open_engine", "say", "settings_of"]

Data = Annotated[Path | None, typer.Option(help="Where the studio keeps its files.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and no progress.")]
Owner = Annotated[str | None, typer.Option(help="Whose work this is.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1)]


def settings_of(data: Path | None, owner: str | None, **more: Any) -> Settings:
    given = {"data": data, "owner": owner, **more}
    return Settings(**{key: value for key, value in given.items() if value is not None})


@contextmanager
def open_engine(studio: Studio, quiet: bool) -> Iterator[Any]:
    """Takes seconds to start: look at what was asked for before."""
    from studio.jobs.engine import Engine

    with Bars(quiet) as bars, Engine(studio, bars) as engine:
        yield engine


def say(value: dict[str, Any], as_json: bool, text: str) -> None:
    print(json.dumps(value, ensure_ascii=False) if as_json else text)
