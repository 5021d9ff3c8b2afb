"""Records and engine that disagree are brought together again, with the real engine and real locks."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

import studio.jobs.engine as engine_module
import studio.jobs.queue as queue_module
import studio.jobs.reconcile as reconcile_module
import studio.library.database as database_module
from pipelines.errors import StudioError
from studio.application import Studio
from studio.jobs.engine import Engine
from studio.jobs.kinds import KINDS
from studio.jobs.queue import Queue
from studio.library.records import JobRecord, RequestRecord, StopRecord
from studio.settings import Settings
from tests.studio.jobs.local_kind import Work, WorkRequest, add_kind

WISH = WorkRequest(owner="li", seed=1)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the two steps of a job did; a reconciliation every half second."""
    done: list[str] = []

    def job(studio: Studio, request: WorkRequest, run: Any, progress: Any) -> Work:
        for number in range(2):
            run(f"step-{number}", lambda number=number: done.append(f"{request.seed} {number}"))
        return Work(id=str(request.seed))

    add_kind(monkeypatch, job)
    monkeypatch.setattr(engine_module, "_RECONCILE_SOON_S", 0.5)
    monkeypatch.setattr(engine_module, "_RECONCILE_EVERY_S", 0.5)
    return done


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


def _wait(queue: Queue, job: str, *states: str) -> JobRecord:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        row = queue.find(job, "li")
        if row is not None and row.state in states:
            return row
        time.sleep(0.05)
    pytest.fail(f"the job is still {row.state if row else 'unknown'}")


def _die_before_the_engine(monkeypatch: pytest.MonkeyPatch, queue: Queue) -> str:
    """Put a job with a process that ends between the row and the engine."""

    class Ended(BaseException):
        pass

    def end(*_: object) -> None:
        raise Ended

    with monkeypatch.context() as patch:
        patch.setattr(queue_module, "enqueue", end)
        with pytest.raises(Ended):
            queue.put(WISH, note="t")
    (row,) = queue.jobs("li")
    assert row.state == "queued"
    return row.id


def test_a_job_that_never_reached_the_engine_is_enqueued_again(
    studio: Studio, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Engine(studio, None):
        queue = Queue(Studio(studio.settings))
        job = _die_before_the_engine(monkeypatch, queue)
        assert _wait(queue, job, "done").facts["note"] == "t"
    assert calls == ["1 0", "1 1"]
    assert studio.records.everyones(RequestRecord) == []


def test_one_that_never_reached_it_can_be_stopped_and_resumed(
    studio: Studio, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_RECONCILE_SOON_S", 60)
    with Engine(studio, None):
        queue = Queue(Studio(studio.settings))
        job = _die_before_the_engine(monkeypatch, queue)
        queue.stop(job, "li")
        assert _wait(queue, job, "cancelled").error == "Stopped."
        queue.retry(job, "li")
        _wait(queue, job, "done")
    assert calls == ["1 0", "1 1"]


def test_a_lost_job_says_so_and_the_same_wish_can_be_made_again(studio: Studio, calls: list[str]) -> None:
    """As an older version left it: a row, no request, no workflow."""
    job = queue_module.admit(studio, WISH)[0]
    studio.records.keep(JobRecord(id=job, owner="li", kind="work", state="queued", error=None, facts={}))
    with Engine(studio, None):
        queue = Queue(Studio(studio.settings))
        row = _wait(queue, job, "failed")
        assert row.facts["code"] == "job_lost"
        assert "Ask for the same again" in str(row.error)
        with pytest.raises(StudioError, match="job_lost"):
            queue.retry(job, "li")
        assert queue.put(WISH) == job
        row = _wait(queue, job, "done")
        assert "code" not in row.facts
    assert calls == ["1 0", "1 1"]


@contextmanager
def _locked(studio: Studio) -> Iterator[None]:
    connection = sqlite3.connect(studio.settings.data / "studio.sqlite", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def test_a_worker_waits_for_locked_records(studio: Studio, calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "_BUSY_MS", 100)
    studio = Studio(studio.settings)
    with Engine(studio, None):
        queue = Queue(Studio(studio.settings))
        queue.pause("li", True)
        job = queue.put(WISH)
        client = queue._client
        with _locked(studio):
            client.resume_workflow(job, queue_name=queue_module.QUEUE)
            time.sleep(2)
            assert calls == []
        _wait(queue, job, "done")
    assert calls == ["1 0", "1 1"]


def test_records_locked_for_too_long_are_put_right_and_the_job_can_go_on(
    studio: Studio, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_BUSY_MS", 100)
    monkeypatch.setattr(engine_module, "_PATIENCE_S", 0.5)
    studio = Studio(studio.settings)
    job_function = KINDS["work"].load()
    arrived: list[str] = []

    def job(studio: Studio, request: WorkRequest, run: Any, progress: Any) -> Work:
        result = cast(Work, job_function(studio, request, run, progress))
        arrived.append("")
        while len(arrived) == 1:  # until the records are locked
            time.sleep(0.05)
        return result

    add_kind(monkeypatch, job)
    with Engine(studio, None):
        queue = Queue(Studio(studio.settings))
        job_id = queue.put(WISH)
        while not arrived:
            time.sleep(0.05)
        with _locked(studio):
            arrived.append("")
            while queue._client.retrieve_workflow(job_id).get_status().status != "ERROR":
                time.sleep(0.1)
        row = _wait(queue, job_id, "failed")
        assert row.facts["code"] == "records_locked"
        assert "what is done is kept" in str(row.error)
        queue.retry(job_id, "li")
        _wait(queue, job_id, "done")
    assert calls == ["1 0", "1 1"]


def _version(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    for module in (engine_module, queue_module, reconcile_module):
        monkeypatch.setattr(module, "APPLICATION_VERSION", version)


def test_jobs_of_an_older_version_are_moved_over(
    studio: Studio, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that waits, one that its owner holds back, one that ran when the old version ended."""
    _version(monkeypatch, "old")
    hold = [True]
    job_function = KINDS["work"].load()

    def job(studio: Studio, request: WorkRequest, run: Any, progress: Any) -> Work:
        run("step-before", lambda: calls.append(f"{request.seed} before"))
        while hold[0] and request.seed == 1:
            time.sleep(0.05)
        result = cast(Work, job_function(studio, request, run, progress))
        return result

    add_kind(monkeypatch, job)
    with Engine(studio, None):
        queue = Queue(Studio(studio.settings))
        jobs = [queue.put(WISH.changed(seed=seed)) for seed in (1, 2)]
        held = queue_module.admit(studio, WorkRequest(owner="wang", seed=3))[0]
        queue.pause("wang", True)
        assert queue.put(WorkRequest(owner="wang", seed=3)) == held
        _wait(queue, jobs[0], "running")
    hold[0] = False
    time.sleep(0.3)
    calls.clear()
    _version(monkeypatch, "new")
    with Engine(studio, None):
        queue = Queue(Studio(studio.settings))
        for job_id in jobs:
            _wait(queue, job_id, "done")
        assert calls == ["1 before", "1 0", "1 1", "2 before", "2 0", "2 1"]
        queue.pause("wang", False)
        while (row := queue.find(held, "wang")) is None or row.state != "done":
            time.sleep(0.05)
        assert queue.put(WISH) != jobs[0]  # a new version may draw otherwise


@pytest.mark.parametrize("how", ["stop", "retry"])
def test_an_older_versions_job_can_be_stopped_and_resumed(
    studio: Studio, calls: list[str], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    _version(monkeypatch, "old")
    with Engine(studio, None):
        queue = Queue(Studio(studio.settings))
        queue.pause("li", True)
        job = queue.put(WISH)
        if how == "retry":
            queue.stop(job, "li")
    monkeypatch.setattr(reconcile_module, "APPLICATION_VERSION", "old")  # nobody moves it over
    for module in (engine_module, queue_module):
        monkeypatch.setattr(module, "APPLICATION_VERSION", "new")
    with Engine(studio, None):
        queue = Queue(Studio(studio.settings))
        queue.pause("li", False)
        if how == "stop":
            queue.stop(job, "li")
            _wait(queue, job, "cancelled")
        queue.retry(job, "li")
        _wait(queue, job, "done")
    assert calls == ["1 0", "1 1"]


def test_what_has_ended_in_the_engine_is_noted(studio: Studio, calls: list[str]) -> None:
    """A row that says it runs, or waits, long after its workflow is done, failed or cancelled."""
    with Engine(studio, None):
        queue = Queue(Studio(studio.settings))
        job = queue.put(WISH)
        before = _wait(queue, job, "done")
        for state in ("queued", "running"):
            studio.records.keep(JobRecord(id=job, owner="li", kind="work", state=state, error=None, facts={}))
            assert _wait(queue, job, "done").facts["result"] == before.facts["result"]
        queue.pause("li", True)
        held = queue.put(WISH.changed(seed=2))
        queue._client.cancel_workflow(held)
        assert _wait(queue, held, "cancelled").facts["code"] == "job_stopped"
        assert studio.records.get(StopRecord, held, "li") is None
        queue.pause("li", False)
        queue.retry(held, "li")
        _wait(queue, held, "done")
