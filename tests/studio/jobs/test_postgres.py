"""Records and engine on PostgreSQL: the same jobs, also over a killed worker and a restarted postgres."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from studio.application import Studio
from studio.jobs.engine import Engine
from studio.jobs.queue import Queue
from studio.library.index import Search, find_things
from studio.library.records import FileRecord, JobRecord
from studio.settings import Settings
from tests.postgres import Postgres, closed_engines
from tests.studio.jobs.local_kind import Work, WorkRequest, add_kind

ROOT = Path(__file__).resolve().parents[3]
STEPS = 6

_WORKER = """
import sys, time
from pathlib import Path
from studio.jobs import worker
from studio.jobs.kinds import KINDS
from tests.studio.jobs.local_kind import Work, work_kind

def job(studio, request, run, progress):
    def step(number):
        time.sleep(0.4)
        with open(studio.settings.data / "steps", "a") as log:
            log.write(f"{number}\\n")
        return str(studio.store.put(f"{number}".encode()))
    return Work(id="it", keys=tuple(run(f"step {n}", lambda n=n: step(n)) for n in range(int(sys.argv[1]))))

KINDS["work"] = work_kind(job)
sys.exit(worker.main())
"""


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with closed_engines(monkeypatch):
        yield


@pytest.fixture
def settings(postgres: Postgres, tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", database=postgres.new_database())


def begin_worker(settings: Settings) -> subprocess.Popen[bytes]:
    given = {
        "PYTHONPATH": str(ROOT),
        "PERSONA_STUDIO_DATA": str(settings.data),
        "PERSONA_STUDIO_DATABASE": settings.database.get_secret_value(),
    }
    command = [sys.executable, "-c", _WORKER, str(STEPS)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | given)


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_a_job_is_done_found_and_granted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def job(studio: Studio, request: WorkRequest, run: Any, progress: Any) -> Work:
        return Work(id="it", keys=(run("step", lambda: str(studio.store.put(b"made"))),))

    add_kind(monkeypatch, job)
    studio = Studio(settings)
    with Engine(studio) as engine:
        made = engine.run(WorkRequest(owner="mei"), Work)
    assert studio.store.get(made.keys[0]) == b"made"
    assert [row.id for row in studio.records.find(FileRecord, "mei")] == [made.keys[0]]
    assert [row.state for row in studio.records.find(JobRecord, "mei")] == ["done"]
    assert find_things(studio.records, Search("mei", terms=(("a_b%",),), tag="x")).things == ()
    assert not list(settings.data.glob("*.sqlite"))


def test_a_killed_worker_and_a_restarted_server_lose_nothing(
    postgres: Postgres, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_kind(monkeypatch, lambda *_: Work(id="it"))
    studio, steps = Studio(settings), settings.data / "steps"
    queue = Queue(studio)

    def done() -> list[str]:
        return steps.read_text().split() if steps.exists() else []

    worker = begin_worker(settings)
    job = queue.put(WorkRequest(owner="mei"))
    until(lambda: len(done()) >= 2, "the job does not begin")
    worker.send_signal(signal.SIGKILL)
    worker.communicate(timeout=30)
    postgres.restart()
    worker = begin_worker(settings)
    until(lambda: len(done()) >= 4, "the job does not go on")
    postgres.restart()  # under a worker that works

    def ended() -> bool:
        row = queue.find(job, "mei")
        return row is not None and row.state == "done"

    until(ended, "the job does not end")
    assert worker.stdin is not None
    worker.stdin.close()
    worker.wait(60)
    row = queue.find(job, "mei")
    assert row is not None
    assert [studio.store.get(key) for key in queue.result(row, Work).keys] == [b"%d" % n for n in range(STEPS)]
    queue._client.destroy()
    assert len(done()) <= STEPS + 2  # the killed step, and the one that the server's end may have cut off
