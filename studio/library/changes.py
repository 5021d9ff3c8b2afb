"""Whether anything of an owner's has changed, in one small query: an open page asks for nothing more as long as not."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.sql.elements import ColumnElement

from studio.library.records import DraftRecord, JobRecord, MarkRecord, Records, SceneRecord, TimeRecord

__all__ = ["Changes", "look_at_changes"]

_JUST_NOW_S = 10.0


@dataclass(frozen=True)
class Changes:
    """`told` is another one after each change of the owner's jobs, marks, drafts and scenes, and of measured times.

    `waits`: some job of the owner's is unfinished. `moves`: one of them runs, or is about to as far as can be seen.
    """

    told: tuple[float, ...]
    waits: bool
    moves: bool


def look_at_changes(records: Records, owner: str) -> Changes:
    """Return how an owner's things stand. One statement, answered from indexes."""
    mine, waiting = JobRecord.owner == owner, JobRecord.state == "queued"
    told = [
        _scalar(what, table.owner == owner)
        for table in (JobRecord, MarkRecord, DraftRecord)
        # not the latest moment: a clock may be put back
        for what in (func.count(), func.coalesce(func.sum(table.changed), 0.0))
    ]
    told += [_scalar(func.count(), SceneRecord.owner == owner), select(func.count(TimeRecord.id)).scalar_subquery()]
    just_now = JobRecord.changed > time.time() - _JUST_NOW_S
    states = [
        _scalar(func.count(), mine, JobRecord.state == "running"),
        _scalar(func.count(), mine, waiting),
        _scalar(func.count(), mine, waiting, just_now),
        _scalar(func.count(), JobRecord.state == "running"),
    ]
    with records.transaction() as session:
        found = [float(value) for value in session.execute(select(*told, *states)).one()]
    running, queued, fresh, anybodys = found[len(told) :]
    moves = running > 0 or fresh > 0 or (queued > 0 and anybodys == 0)
    return Changes(tuple(found[: len(told)]), running + queued > 0, moves)


def _scalar(what: Any, *where: ColumnElement[bool]) -> ScalarSelect[Any]:
    return select(what).where(*where).scalar_subquery()
