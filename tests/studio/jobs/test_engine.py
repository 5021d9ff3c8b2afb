"""The engine goes on behind the last finished step: after an error, after SIGKILL, in another process."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import get_ident
from typing import Any

import pytest

from pipelines.errors import BadInput, NotEnough
from studio.application import Studio
from studio.domain.values import FileKey
from studio.jobs.engine import Engine
from studio.jobs.kinds import KINDS
from studio.library.job_times import read_times
from studio.library.records import JobRecord
from studio.settings import Settings
from tests.studio.jobs.local_kind import Work, WorkRequest, add_kind, work_kind

Job = Callable[..., Work]


def _studio(data: Path) -> Studio:
    return Studio(Settings(data=data))


def _counting(calls: list[str], fail_at: set[int]) -> Job:
    """A job of five steps that each store something; fails before the steps of `fail_at`, once each."""

    def job(studio: Studio, request: WorkRequest, run: Any, progress: Any) -> Work:
        keys = []
        for number in range(5):

            def step(number: int = number) -> str:
                calls.append(f"step {number}")
                if number in fail_at:
                    fail_at.remove(number)
                    raise NotEnough("faces_too_few", without=number, count=number)
                return studio.store.put(f"{request.seed} {number}".encode())

            keys.append(run(f"step-{number}", step))
        return Work(id="job", keys=tuple(map(FileKey, keys)))

    return job


def test_a_finished_job_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    add_kind(monkeypatch, _counting(calls, set()))
    for _ in range(2):  # two processes one after the other, as the engine sees it
        with Engine(_studio(tmp_path)) as engine:
            result = engine.run(WorkRequest(seed=1), Work)
            assert engine.studio.result_of(Work) == result
    assert calls == [f"step {i}" for i in range(5)]
    assert len(read_times(engine.studio.records, "work", engine.studio.choice)) == 1  # it was measured once
    assert [engine.studio.store.get(k) for k in result.keys] == [f"1 {i}".encode() for i in range(5)]


def test_all_jobs_compute_in_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread would have OpenMP threads of its own, more than there are cores: everything would be slower. And
    where two threads import diffusers, one can find its modules half imported: workflows are loaded there, too.
    """
    threads: list[int] = []

    def job(studio: Studio, request: WorkRequest, run: Any, progress: Any) -> Work:
        threads.append(run("step", get_ident))
        threads.append(get_ident())
        return Work(id=str(request.seed))

    monkeypatch.setitem(KINDS, "work", work_kind(job, lambda: threads.append(get_ident())))
    with Engine(_studio(tmp_path)) as engine:
        for seed in range(4):
            engine.run(WorkRequest(seed=seed), Work)
        threads.append(engine.compute(get_ident))
    assert len(set(threads)) == 1
    assert len(threads) == 13


def test_another_request_is_another_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    add_kind(monkeypatch, _counting(calls, set()))
    with Engine(_studio(tmp_path)) as engine:
        assert engine.run(WorkRequest(seed=1), Work).keys != engine.run(WorkRequest(seed=2), Work).keys
    assert len(calls) == 10


def test_a_failed_job_says_why_and_goes_on_behind_the_last_good_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    add_kind(monkeypatch, _counting(calls, {3}))
    with Engine(_studio(tmp_path)) as engine:
        with pytest.raises(NotEnough, match=r"faces_too_few.*count=3") as caught:
            engine.run(WorkRequest(seed=1), Work)
        assert caught.value.fields == {"without": 3, "count": 3}
        rows = engine.studio.records.find(JobRecord, "me")
        assert [(r.state, "3 of 3 candidates" in (r.error or "")) for r in rows] == [("failed", True)]
    with Engine(_studio(tmp_path)) as engine:
        assert len(engine.run(WorkRequest(seed=1), Work).keys) == 5
        assert [r.state for r in engine.studio.records.find(JobRecord, "me")] == ["done"]
    assert calls == ["step 0", "step 1", "step 2", "step 3", "step 3", "step 4"]


def test_a_job_that_fails_again_says_so_in_the_same_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_kind(monkeypatch, _always_too_little)
    for _ in range(3):
        with Engine(_studio(tmp_path)) as engine, pytest.raises(NotEnough, match=r"faces_too_few.*without=1, count=2"):
            engine.run(WorkRequest(seed=1), Work)


def _always_too_little(*_: object) -> Work:
    raise NotEnough("faces_too_few", without=1, count=2)


def test_the_log_is_for_what_nobody_foresaw(tmp_path: Path) -> None:
    with Engine(_studio(tmp_path)):
        log = logging.getLogger("dbos")
        for error, wanted in (
            (NotEnough("faces_too_few", without=1, count=2), False),
            (ZeroDivisionError(), True),
            (None, True),
        ):
            told = None if error is None else (type(error), error, None)
            assert bool(log.filter(log.makeRecord("dbos", logging.ERROR, "x", 1, "failed", (), told))) == wanted


def test_unknown_jobs_are_refused(tmp_path: Path) -> None:
    with Engine(_studio(tmp_path)) as engine:
        with pytest.raises(BadInput, match="job_kind_unknown"):
            engine.perform("x", "paint", {})
        with pytest.raises(BadInput, match="no_result_yet"):
            engine.studio.result_of(Work)


def test_one_worker_per_data_folder(tmp_path: Path) -> None:
    with Engine(_studio(tmp_path)), pytest.raises(BadInput, match="folder_in_use"):
        Engine(_studio(tmp_path)).__enter__()


def test_nothing_is_pickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_kind(monkeypatch, _counting([], set()))
    with Engine(_studio(tmp_path)) as engine:
        engine.run(WorkRequest(seed=1), Work)
    import sqlite3

    with sqlite3.connect(tmp_path / "engine.sqlite") as database:
        rows = database.execute("select inputs, output, serialization from workflow_status").fetchall()
        steps = database.execute("select output, serialization from operation_outputs").fetchall()
    assert rows
    assert steps
    for *values, kind in [*rows, *steps]:
        assert kind == "portable_json"
        for value in values:
            if value is not None:  # a workflow without a result yet
                json.loads(value)


_SCRIPT = """
import sys, time
from pathlib import Path
from studio.application import Studio
from studio.jobs.engine import Engine
from studio.jobs.kinds import KINDS
from studio.settings import Settings
from tests.studio.jobs.local_kind import Work, WorkRequest, work_kind

data = Path(sys.argv[1])

def job(studio, request, run, progress):
    keys = []
    for number in range(6):
        def step(number=number):
            with (data / "calls").open("a") as calls:
                calls.write(f"{number}\\n")
            time.sleep(0.15)
            return studio.store.put(str(number).encode())
        keys.append(run(f"step-{number}", step))
    return Work(id="job", keys=tuple(keys))

KINDS["work"] = work_kind(job)
with Engine(Studio(Settings(data=data))) as engine:
    print(len(engine.run(WorkRequest(seed=1), Work).keys))
"""


def test_killed_in_the_middle_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """SIGKILL three times; every step is done, and at most the one that was running is done again."""
    kills = 0
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    calls = tmp_path / "calls"
    for target in (1, 3, 4):
        worker = subprocess.Popen([sys.executable, "-c", _SCRIPT, str(tmp_path)], env=environment)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not calls.exists() or calls.read_text().count("\n") <= target + kills):
            time.sleep(0.02)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        kills += 1
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.strip() == "6"
    numbers = [int(line) for line in calls.read_text().split()]
    assert set(numbers) == set(range(6))
    assert len(numbers) <= 6 + kills
