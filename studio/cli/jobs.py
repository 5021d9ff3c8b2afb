"""`persona-studio jobs …`: every kind of job, asked for as a program asks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.application import Studio
from studio.cli.options import Data, Json, Owner, open_engine, read_request_file, say, settings_of
from studio.jobs.bodies import body_of
from studio.jobs.kinds import KINDS, find_kind

__all__ = ["jobs"]

jobs = typer.Typer(no_args_is_help=True, help="All kinds of jobs, with requests as JSON files.")


@jobs.command()
def kinds(as_json: Json = False) -> None:
    """List the kinds with their fields; --json prints the whole schemas."""
    fields = {kind: [name for name in body_of(kind).model_fields if name != "kind"] for kind in KINDS}
    text = "\n".join(f"{kind:12}{', '.join(names)}" for kind, names in fields.items())
    say({kind: body_of(kind).model_json_schema() for kind in KINDS} if as_json else {}, as_json, text)


@jobs.command("run")
def run_job(
    kind: Annotated[str, typer.Argument(help=f"The kind: {', '.join(KINDS)}.")],
    request: Annotated[
        Path, typer.Option(help="The request as JSON, with the fields that `kinds` lists; results may be named by id.")
    ],
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Do one job; --json prints its whole result."""
    row = find_kind(kind)
    studio = Studio(settings_of(data, owner))
    asked = read_request_file(studio, kind, request)
    with open_engine(studio, as_json) as engine:
        result = engine.run(asked, row.result)
    say(result.model_dump(mode="json"), as_json, f"{kind} {result.id}")
