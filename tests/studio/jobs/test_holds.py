"""Holds of jobs: one worker has a job, takes it again, and takes one whose hold was forgotten in the very moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from studio.application import Studio
from studio.jobs import dispatch, holds
from studio.jobs.engine import Engine
from studio.jobs.holds import NOBODY, forget_hold, free_hold, take_hold
from studio.library.records import HoldRecord, Records
from studio.settings import Settings
from tests.studio.jobs.local_kind import Work, WorkRequest, add_kind


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "studio.sqlite")


def test_one_worker_has_a_job_until_it_is_free(records: Records) -> None:
    first = take_hold(records, "a", "li", "one")
    again = take_hold(records, "a", "li", "one")
    assert first is not None
    assert again is not None
    assert first.token != again.token
    assert take_hold(records, "a", "li", "two") is None
    forget_hold(records, first)  # an earlier attempt's: nothing happens
    (row,) = records.everyones(HoldRecord)
    assert free_hold(records, row, 1) is not None
    (row,) = records.everyones(HoldRecord)
    assert row.worker == NOBODY
    taken = take_hold(records, "a", "li", "two")
    assert taken is not None
    assert taken.takeovers == 1


def test_a_hold_that_is_forgotten_while_it_is_taken_again_is_taken(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker looks for holds of jobs that have ended, and sees one before the engine knows of its job."""
    seen = take_hold(records, "a", "li", "one")
    assert seen is not None
    others, count, turns = Records(tmp_path / "studio.sqlite"), holds._count, list[int]()

    def forgotten_before(session: Any, statement: Any) -> int:
        turns.append(1)
        if len(turns) == 1:
            with others.transaction() as other:
                other.delete(other.get_one(HoldRecord, ("a", "li")))
        return count(session, statement)

    monkeypatch.setattr(holds, "_count", forgotten_before)
    again = take_hold(records, "a", "li", "one")
    assert again is not None
    (row,) = records.everyones(HoldRecord)
    assert (row.worker, row.token) == ("one", again.token)


def test_a_job_ends_whose_hold_is_forgotten_before_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes until the engine knows of the job: it ran into itself once, and waited for its own end."""
    add_kind(monkeypatch, lambda *_: Work(id="it"))
    with Engine(Studio(Settings(data=tmp_path / "data"))) as engine:
        take, first = holds.take_hold, list[int]()

        def taken(records: Records, job: str, owner: str, worker: str) -> Any:
            hold = take(records, job, owner, worker)
            if not first:
                first.append(1)
                dispatch.drop_ended(engine._client, records, worker, engine._place.executor)
            return hold

        monkeypatch.setattr("studio.jobs.engine.take_hold", taken)
        assert engine.run(WorkRequest(owner="mei"), Work).id == "it"
