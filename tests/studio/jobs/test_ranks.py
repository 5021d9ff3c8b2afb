"""Waiting jobs run as they came, until somebody moves one among their own; the worker follows."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import BadInput
from studio.application import Studio
from studio.jobs.engine import Engine
from studio.jobs.queue import Queue
from studio.jobs.ranks import in_order, move_by, move_first
from studio.library.records import JobRecord, RankRecord, Records
from studio.settings import Settings
from tests.studio.jobs.local_kind import Work, WorkRequest, add_kind

BEGAN = datetime(2026, 11, 30, tzinfo=UTC)


def _keep(records: Records, jobs: str, owner: str = "li", first: int = 0, state: str = "queued") -> None:
    """A job a letter, one a minute."""
    for minute, job in enumerate(jobs, first):
        row = JobRecord(id=job, owner=owner, kind="work", state=state, error=None, facts={})
        row.created = BEGAN + timedelta(minutes=minute)
        records.keep(row)


def _order(records: Records) -> str:
    return "".join(row.id for _, row in in_order(records, records.everyones(JobRecord)))


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "studio.sqlite")


@pytest.mark.parametrize(
    ("job", "places", "order"),
    [
        ("c", -1, "acbd"), ("c", 1, "abdc"), ("a", 1, "bacd"), ("a", -1, "abcd"), ("d", 5, "abcd"), ("d", -9, "dabc"),
        ("b", 0, "abcd"),
    ],
)  # fmt: skip
def test_a_job_moves_among_the_waiting(records: Records, job: str, places: int, order: str) -> None:
    _keep(records, "abcd")
    move_by(records, job, "li", places)
    assert _order(records) == order
    move_by(records, "nobody's", "li", -1)
    assert _order(records) == order


def test_people_take_turns_and_who_moves_their_own_takes_nobodys_place(records: Records) -> None:
    _keep(records, "ab")
    _keep(records, "xy", "wang", 2)
    _keep(records, "cd", first=4)
    assert _order(records) == "axbycd"
    move_by(records, "d", "li", -3)
    assert _order(records) == "dxaybc"
    move_by(records, "x", "li", -1)  # not li's
    assert _order(records) == "dxaybc"
    move_first(records, "y", "wang")
    assert _order(records) == "dyaxbc"
    move_first(records, "y", "li")
    assert _order(records) == "dyaxbc"


def test_whose_last_job_began_longest_ago_is_next(records: Records) -> None:
    _keep(records, "abcdefgh")
    _keep(records, "x", "wang", 60)
    now = datetime.now(UTC)
    for job, owner, minutes in (("z1", "li", 5), ("z2", "wang", 9), ("z3", "li", 20)):
        row = JobRecord(id=job, owner=owner, kind="work", state="done", error=None, facts={})
        row.facts = {"began": (now - timedelta(minutes=minutes)).timestamp()}
        records.keep(row)
    waiting = records.everyones(JobRecord, "state", ("queued",))
    assert "".join(row.id for _, row in in_order(records, waiting)) == "xabcdefgh"
    _keep(records, "r", "wang", 61, state="running")
    assert _order(records).replace("z1", "").replace("z2", "").replace("z3", "").startswith("rax")


def test_what_runs_is_first_and_what_came_in_one_moment_can_be_moved(records: Records) -> None:
    _keep(records, "a")
    for job in "bcd":
        _keep(records, job, first=1)
    _keep(records, "z", first=9, state="running")
    move_by(records, "d", "li", -2)
    assert _order(records) == "zadbc"
    move_first(records, "z", "li")
    assert _order(records) == "zadbc"


def _ordered(order: list[int], hold: Path) -> Callable[..., Work]:
    def job(studio: Studio, request: WorkRequest, run: Any, progress: Any) -> Work:
        order.append(request.seed)
        while request.seed == 0 and hold.exists():
            time.sleep(0.02)
        return Work(id=f"{request.seed}")

    return job


def test_the_worker_takes_them_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[int] = []
    hold = tmp_path / "hold"
    hold.touch()
    add_kind(monkeypatch, _ordered(order, hold))
    studio = Studio(Settings(data=tmp_path))
    with Engine(studio, None):
        queue = Queue(Studio(studio.settings))
        jobs = [queue.put(WorkRequest(owner="li", seed=seed)) for seed in range(5)]
        _wait(queue, jobs[0], "running")
        queue.move(jobs[4], "li", -2)  # 1 4 2 3
        queue.move(jobs[1], "li", 2)
        assert [row.id for row in queue.waiting("li")] == [jobs[i] for i in (4, 2, 1, 3)]
        with pytest.raises(BadInput, match="no_job"):
            queue.move(jobs[4], "wang", -1)
        hold.unlink()
        for job in jobs:
            _wait(queue, job, "done")
    assert order == [0, 4, 2, 1, 3]
    assert studio.records.everyones(RankRecord) == []  # a place is forgotten once its job runs


def _wait(queue: Queue, job: str, state: str) -> None:
    deadline = time.monotonic() + 60
    while (row := queue.find(job, "li")) is None or row.state != state:
        assert time.monotonic() < deadline
        assert row is None or row.state != "failed", row.error
        time.sleep(0.05)
