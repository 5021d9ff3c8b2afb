"""Who holds a job: the one worker that may write of it.

A worker takes a hold before it begins a job, and all that it writes of the job is accepted only as long as it has it. A
watchdog that takes the hold away (`studio.jobs.watchdog`) thereby shuts out a worker that was frozen and wakes up. Each
taking has a token of its own, so that even the same worker's earlier attempt is shut out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

from dbos import error as dbos_errors
from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from studio.library.records import Base, HoldRecord, Records

__all__ = [
    "Hold", "NOBODY", "as_holder", "check_holder", "forget_hold", "free_hold", "keep_as_holder", "note_step",
    "take_hold",
]  # fmt: skip

NOBODY = ""


@dataclass(frozen=True)
class Hold:
    """This `worker`'s right to write of this `owner`'s `job`; `takeovers` as it found them."""

    job: str
    owner: str
    worker: str
    token: str
    takeovers: int = 0


def take_hold(records: Records, job: str, owner: str, worker: str) -> Hold | None:
    """Take a job that nobody holds, or again one that this worker holds; None where another has it."""
    token, mine = uuid4().hex, (HoldRecord.id == job, HoldRecord.owner == owner)
    free = update(HoldRecord).where(*mine, HoldRecord.worker.in_((NOBODY, worker)))
    while True:
        try:
            with records.transaction() as session:
                row = session.get(HoldRecord, (job, owner))
                if row is None:
                    session.add(HoldRecord(id=job, owner=owner, worker=worker, token=token, takeovers=0))
                    return Hold(job, owner, worker, token)
                if _count(session, free.values(worker=worker, token=token)):
                    return Hold(job, owner, worker, token, row.takeovers)
        except IntegrityError:  # another inserted it in this moment
            return None
        with records.transaction() as session:
            if session.get(HoldRecord, (job, owner)) is not None:
                return None
        # forgotten between the two statements, as that of a job that has ended: nobody has it


@contextmanager
def as_holder(records: Records, hold: Hold) -> Iterator[Session]:
    """A transaction of who still holds the job. Raises the engine's own DBOSWorkflowConflictIDError for who does not
    any more: it ends the run without a trace of it.

    The row stays locked to the end of the transaction, so that no hold is taken away in between.
    """
    with records.transaction() as session:
        token = select(HoldRecord.token).where(HoldRecord.id == hold.job, HoldRecord.owner == hold.owner)
        if session.scalar(token.with_for_update()) != hold.token:
            raise dbos_errors.DBOSWorkflowConflictIDError(hold.job)
        yield session


def check_holder(records: Records, hold: Hold) -> None:
    """Raise as `as_holder` does."""
    with as_holder(records, hold):
        pass


def keep_as_holder(records: Records, hold: Hold | None, *rows: Base) -> None:
    """Insert or update rows of a job, as who holds it; without a hold, as the page that asks for it."""
    if hold is None:
        records.keep(*rows)
        return
    with as_holder(records, hold) as session:
        for row in rows:
            session.merge(row)


def note_step(records: Records, hold: Hold) -> None:
    """A finished step: takeovers of before it do not count any more."""
    if hold.takeovers:
        with as_holder(records, hold) as session:
            session.execute(update(HoldRecord).where(*_that(hold)).values(takeovers=0))


def free_hold(records: Records, row: HoldRecord, takeovers: int) -> HoldRecord | None:
    """Take a job from whoever holds it as in `row`, and return what is there now; None where that has changed since:
    of several that try, one succeeds."""
    token = uuid4().hex
    with records.transaction() as session:
        free = update(HoldRecord).where(*_that(row), HoldRecord.worker == row.worker)
        if not _count(session, free.values(worker=NOBODY, token=token, takeovers=takeovers)):
            return None
    return HoldRecord(id=row.id, owner=row.owner, worker=NOBODY, token=token, takeovers=takeovers)


def forget_hold(records: Records, row: HoldRecord | Hold) -> None:
    """Of a job that has ended; nothing happens where somebody took it since."""
    with records.transaction() as session:
        session.execute(delete(HoldRecord).where(*_that(row)))


def _that(row: HoldRecord | Hold) -> tuple[Any, ...]:
    job = row.job if isinstance(row, Hold) else row.id
    return HoldRecord.id == job, HoldRecord.owner == row.owner, HoldRecord.token == row.token


def _count(session: Session, statement: Any) -> int:
    return cast(CursorResult[Any], session.execute(statement)).rowcount
