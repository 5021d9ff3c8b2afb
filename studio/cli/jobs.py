"""`persona-studio jobs …`: every kind of job, asked for as a program asks."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from studio.application import Studio
from studio.cli.options import Data, Json, Owner, open_jobs, read_request_file, say, settings_of
from studio.domain.times import say_duration
from studio.jobs.bodies import body_of
from studio.jobs.kinds import KINDS, find_kind
from studio.texts.terminal import terminal_texts

__all__ = ["jobs"]

_LAST = 30


class Where(StrEnum):
    """Where a waiting job goes."""

    UP = "up"
    DOWN = "down"
    NEXT = "next"


jobs = typer.Typer(
    no_args_is_help=True, help="All kinds of jobs: listed, moved in the queue, and asked for with JSON files."
)


@jobs.command()
def kinds(as_json: Json = False) -> None:
    """List the kinds with their fields; --json prints the whole schemas."""
    fields = {kind: [name for name in body_of(kind).model_fields if name != "kind"] for kind in KINDS}
    text = "\n".join(f"{kind:12}{', '.join(names)}" for kind, names in fields.items())
    say({kind: body_of(kind).model_json_schema() for kind in KINDS} if as_json else {}, as_json, text)


@jobs.command("list")
def list_jobs(data: Data = None, owner: Owner = None, as_json: Json = False) -> None:
    """List what runs, what waits in its order, and the last jobs that are done."""
    from studio.jobs.line import look_at_line, page_of, say_job
    from studio.jobs.queue import Queue

    studio, texts = Studio(settings_of(data, owner)), terminal_texts()
    queue, owner = Queue(studio), studio.settings.owner
    line = look_at_line(queue, owner)
    done = [row for row in queue.jobs(owner, _LAST) if row.state not in ("queued", "running")]
    rows = [*([] if line.running is None else [line.running]), *line.waiting, *done]
    told = [
        {"id": row.id, "kind": row.kind, "name": say_job(texts, row), "state": row.state, "page": page_of(row)}
        for row in rows
    ]
    lines = [f"{row.id}  {texts(f'job.{row.state}')}  {say_job(texts, row)}" for row in rows] or [texts("jobs.empty")]
    if line.seconds_in_all is not None:
        lines.append(texts("line.in_all", time=say_duration(texts, line.seconds_in_all)))
    say({"jobs": told, "seconds_in_all": line.seconds_in_all}, as_json, "\n".join(lines))


@jobs.command("move")
def move_job(
    job: Annotated[str, typer.Argument(help="The job's id, as `jobs list` says it.")],
    where: Annotated[Where, typer.Argument(help="One place earlier, one later, or before all others of yours.")],
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Let a waiting job run earlier or later."""
    from studio.jobs.queue import Queue

    studio = Studio(settings_of(data, owner))
    queue, owner = Queue(studio), studio.settings.owner
    if where is Where.NEXT:
        queue.run_next(job, owner)
    else:
        queue.move(job, owner, -1 if where is Where.UP else 1)
    waiting = [row.id for row in queue.waiting(owner)]
    say({"waiting": waiting}, as_json, "\n".join(waiting))


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
    with open_jobs(studio, as_json) as engine:
        result = engine.run(asked, row.result)
    say(result.model_dump(mode="json"), as_json, f"{kind} {result.id}")
