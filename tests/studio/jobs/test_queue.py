"""A job put on the queue by a page's client is done by the worker's engine; it stops, goes on, and is never twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from dbos import run_dbos_database_migrations

from pipelines.errors import BadInput, NotEnough, StudioError
from pipelines.progress import Stage, StageProgress
from studio.application import Studio
from studio.domain.report import StudioStage
from studio.domain.values import FileKey
from studio.jobs.engine import Engine
from studio.jobs.queue import Queue, engine_url
from studio.library.grants import grant
from studio.library.records import FileRecord, JobFilesRecord, JobRecord
from studio.library.trash import sweep
from studio.settings import Settings
from tests.studio.jobs.local_kind import Work, WorkRequest, add_kind

Fail = set[int]


def _job(calls: list[int], fail_at: Fail, pause_s: float = 0.0) -> Callable[..., Work]:
    def job(studio: Studio, request: WorkRequest, run: Any, progress: Any) -> Work:
        keys = []
        for number in range(4):

            def step(number: int = number) -> str:
                time.sleep(pause_s)
                progress.check_cancelled()
                calls.append(number)
                if number in fail_at:
                    fail_at.remove(number)
                    raise NotEnough("faces_too_few", without=number, count=number)
                return studio.store.put(f"{request.owner} {number}".encode())

            keys.append(run(f"step-{number}", step))
            progress.tell(StageProgress(Stage(StudioStage.POSTS), number + 1, 4))
        return Work(id="it", keys=tuple(map(FileKey, keys)))

    return job


def _wait(queue: Queue, job: str, owner: str, *states: str) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        row = queue.find(job, owner)
        if row is not None and row.state in states:
            return row.state
        time.sleep(0.05)
    pytest.fail(f"the job is still {row.state if row else 'unknown'}")


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path))


def test_a_file_that_a_sweep_took_back_while_the_worker_was_waited_for_is_refused(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_kind(monkeypatch, _job([], set()))
    draft = studio.store.put(b"a draft of yesterday")
    grant(studio.records, "me", [draft])

    def start_late() -> None:
        sweep(studio.library, young_s=0, draft_s=0)
        run_dbos_database_migrations(engine_url(studio.settings))

    late = Timer(0.5, start_late)
    late.start()
    with pytest.raises(BadInput, match="file_not_yours"):
        Queue(studio).put(WorkRequest(files=(draft,)))
    late.join()
    assert studio.records.find(JobRecord, "me") == []
    assert studio.records.find(JobFilesRecord, "me") == []


def test_a_double_click_is_one_job_and_its_files_are_its_owners(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    add_kind(monkeypatch, _job(calls, set()))
    with Engine(studio, None):
        queue = Queue(Studio(studio.settings))
        ids = {queue.put(WorkRequest(owner="li")) for _ in range(2)}
        (job,) = ids
        assert _wait(queue, job, "li", "done") == "done"
        assert queue.put(WorkRequest(owner="li")) == job
        other = queue.put(WorkRequest(owner="wang"))
        _wait(queue, other, "wang", "done")
    assert calls == [0, 1, 2, 3] * 2
    keys = queue.results(Work, "li")[0].keys
    assert all(studio.records.get(FileRecord, key, "li") is not None for key in keys)
    assert all(studio.records.get(FileRecord, key, "wang") is None for key in keys)
    assert queue.find(job, "wang") is None
    now = queue.report(job, "li").current
    assert now is not None
    assert (now.stage, now.done) == (Stage(StudioStage.POSTS), 4)
    with pytest.raises(BadInput, match="no_job"):
        queue.stop(job, "wang")


def test_a_failed_job_goes_on_behind_its_last_good_step(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    add_kind(monkeypatch, _job(calls, {2}))
    with Engine(studio, None):
        queue = Queue(Studio(studio.settings))
        job = queue.put(WorkRequest(owner="li"))
        _wait(queue, job, "li", "failed")
        row = queue.find(job, "li")
        assert row is not None
        assert "2 of 2 candidates" in str(row.error)
        assert row.facts["code"] == "faces_too_few"
        queue.retry(job, "li")
        _wait(queue, job, "li", "done")
    assert calls == [0, 1, 2, 2, 3]


def test_a_job_stops_where_it_runs_and_where_it_waits(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    add_kind(monkeypatch, _job(calls, set(), 0.5))
    with Engine(studio, None):
        queue = Queue(Studio(studio.settings))
        first = queue.put(WorkRequest(owner="li"))
        second = queue.put(WorkRequest(owner="li", seed=2))
        _wait(queue, first, "li", "running")
        queue.stop(second, "li")
        assert _wait(queue, second, "li", "cancelled") == "cancelled"
        queue.stop(first, "li")
        _wait(queue, first, "li", "cancelled")
        before = list(calls)
        assert len(before) < 4
        for job in (first, second):
            queue.retry(job, "li")
        for job in (first, second):
            _wait(queue, job, "li", "done")
    assert calls[: len(before)] == before
    assert len(calls) == 8


def _ordered(order: list[tuple[str, int]], hold: Path) -> Callable[..., Work]:
    def job(studio: Studio, request: WorkRequest, run: Any, progress: Any) -> Work:
        order.append((request.owner, request.seed))
        while request.seed == 0 and hold.exists():
            time.sleep(0.02)
        return Work(id=f"{request.seed}")

    return job


def test_a_waiting_job_runs_next_and_a_paused_owner_waits(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    order: list[tuple[str, int]] = []
    hold = tmp_path / "hold"
    hold.touch()
    add_kind(monkeypatch, _ordered(order, hold))
    with Engine(studio, None):
        queue = Queue(Studio(studio.settings))
        jobs = {
            (who, seed): queue.put(WorkRequest(owner=who, seed=seed))
            for who, seed in (("li", 0), ("li", 1), ("wang", 2), ("li", 3), ("li", 4))
        }
        _wait(queue, jobs["li", 0], "li", "running")
        for seed in (4, 3):
            queue.run_next(jobs["li", seed], "li")
        queue.run_next(jobs["li", 0], "li")  # runs already
        with pytest.raises(BadInput, match="no_job"):
            queue.run_next(jobs["wang", 2], "li")
        hold.unlink()
        for (who, _), job in jobs.items():
            _wait(queue, job, who, "done")
        assert order == [("li", 0), ("wang", 2), ("li", 3), ("li", 4), ("li", 1)]

        order.clear()
        queue.pause("li", True)
        held = queue.put(WorkRequest(owner="li", seed=5))
        _wait(queue, queue.put(WorkRequest(owner="wang", seed=6)), "wang", "done")
        time.sleep(0.6)
        assert order == [("wang", 6)]
        queue.pause("li", False)
        _wait(queue, held, "li", "done")


def test_one_person_has_so_many_jobs_waiting(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    add_kind(monkeypatch, lambda *_: Work(id="w"))
    for number in range(200):
        row = JobRecord(id=f"work-{number}", owner="li", kind="work", state="queued", error=None, facts={})
        studio.records.keep(row)
    queue = Queue(studio)
    with pytest.raises(BadInput, match="too_many_waiting"):
        queue.put(WorkRequest(owner="li", seed=1))
    monkeypatch.setattr("studio.jobs.queue._PATIENCE_S", 0.0)
    with pytest.raises(StudioError, match="no_worker"):  # another's waits for that alone
        queue.put(WorkRequest(owner="wang", seed=1))
