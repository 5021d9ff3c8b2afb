"""An owner's line of jobs: the one that runs, those that wait in their order, and how long all of it will take.

A job takes as long as the last ones like it (`studio.domain.times`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from pydantic import ValidationError

from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.job_title import JobTitle, say_title
from studio.domain.report import Report
from studio.domain.times import JobSize
from studio.jobs.estimates import estimate_kind
from studio.jobs.kinds import find_kind
from studio.jobs.queue import Queue
from studio.jobs.ranks import in_order
from studio.jobs.workers import list_workers
from studio.library.records import PAUSED, JobRecord, MarkRecord
from studio.texts.texts import Texts

__all__ = ["Line", "expected_seconds", "look_at_line", "page_of", "say_job", "title_of"]

_UNFINISHED = ("queued", "running")
_SERVED_S = 60.0  # a worker that loads a large model may not be heard of for a while


@dataclass(frozen=True)
class Line:
    """`running` and `waiting` are the owner's own; `report` and `seconds_left` are of the running one.

    `seconds_in_all` is when the last of them will be done, other people's before it included; None where no job of a
    kind was finished yet, or nothing will start because the queue is paused. `served`: a worker lives.
    """

    running: JobRecord | None
    waiting: tuple[JobRecord, ...]
    report: Report
    seconds_left: float | None
    seconds_in_all: float | None
    paused: bool
    served: bool = True

    @property
    def is_empty(self) -> bool:
        return self.running is None and not self.waiting


def title_of(row: JobRecord) -> JobTitle | None:
    """Return what a job is called; None for those of before they had titles."""
    told = row.facts.get("title")
    return None if told is None else JobTitle.model_validate(told, strict=False)


def say_job(t: Texts, row: JobRecord) -> str:
    """Return what a job is called."""
    return say_title(t, find_kind(row.kind).words, title_of(row))


def page_of(row: JobRecord) -> str:
    """Return the page, with its question, where a job is watched or, once it is done, what it made is seen."""
    kind, title = find_kind(row.kind), title_of(row)
    told = {"id": str(row.facts.get("id", "")), "set": "" if title is None else title.post_set}
    needed = [name for name in told if f"{{{name}}}" in kind.seen]
    if kind.seen and all(told[name] for name in needed) and (row.state == "done" or "set" in needed):
        return kind.seen.format(**{name: quote(value) for name, value in told.items()})
    return kind.watched or kind.page


def look_at_line(queue: Queue, owner: str) -> Line:
    """Return the owner's line as it is now. Few queries, and no result is read: every page asks every two seconds."""
    records = queue.studio.records
    every = records.everyones(JobRecord, "state", _UNFINISHED)
    mine = [row for _, row in in_order(records, every) if row.owner == owner] if every else []
    running = next((row for row in mine if row.state == "running"), None)
    waiting = tuple(row for row in mine if row.state == "queued")
    report = Report() if running is None else queue.report(running.id, owner)
    if not mine:
        return Line(None, (), report, None, None, False)
    expect = partial(expected_seconds, queue.studio)
    paused = queue.paused(owner)
    left = None if running is None else _left(running, report, expect)
    in_all = None if paused and waiting else _in_all(queue, every, mine[-1], expect)
    served = any(worker.silent_s < _SERVED_S for worker in list_workers(records))
    return Line(running, waiting, report, left, in_all, paused, served)


def expected_seconds(studio: Studio, row: JobRecord) -> float | None:
    """Return how long a job takes from its beginning to its end; None where nothing like it was measured."""
    try:
        return estimate_kind(studio, row.kind, JobSize.model_validate(row.facts.get("size")))
    except (ValidationError, BadInput):  # an older studio asked for it; settings that cannot be read
        return None


Expect = Callable[[JobRecord], float | None]


def _left(running: JobRecord, report: Report, expect: Expect) -> float | None:
    """What the stage says, or what is left of what such jobs took, whichever is more: stages follow."""
    known = [] if report.current is None else [report.current.seconds_left]
    if (whole := expect(running)) is not None:
        known.append(whole - (time.time() - float(running.facts.get("began", time.time()))))
    return max((seconds for seconds in known if seconds is not None and seconds > 0), default=None)


def _in_all(queue: Queue, every: list[JobRecord], last: JobRecord, expect: Expect) -> float | None:
    """None as soon as one of the jobs before the last, or the last itself, is of a kind that was never timed."""
    records = queue.studio.records
    held = {mark.owner for mark in records.everyones(MarkRecord, "id", (PAUSED,)) if mark.facts.get("paused")}
    seconds = 0.0
    for _, row in in_order(records, every):
        if row.state == "running":
            left = _left(row, queue.report(row.id, row.owner), expect)
        else:
            left = 0.0 if row.owner in held else expect(row)
        if left is None:
            return None
        seconds += left
        if (row.id, row.owner) == (last.id, last.owner):
            break
    return seconds
