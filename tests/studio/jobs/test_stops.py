"""A planned end of the worker is no crash; a second start takes nothing from the first. Real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.application import Studio
from studio.jobs.engine import Engine
from studio.jobs.queue import Queue
from studio.jobs.workers import list_workers
from studio.settings import Settings
from tests.studio.jobs.local_kind import Work, WorkRequest, add_kind

ROOT = Path(__file__).resolve().parents[3]

_WORKER = """
import sys, time
from pathlib import Path
from studio.jobs import worker
from studio.jobs.kinds import KINDS
from tests.studio.jobs.local_kind import Work, work_kind

data = Path(sys.argv[1])

def job(studio, request, run, progress):
    def step():
        (data / "began").touch()
        while (data / "hold").exists():
            time.sleep(0.02)
    run("step", step)
    return Work(id="it")

KINDS["work"] = work_kind(job)
worker._load_ahead = lambda: None
sys.exit(worker.main())
"""


@pytest.fixture(autouse=True)
def _row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The row that the worker adds in its own process."""
    add_kind(monkeypatch, lambda *_: Work(id="it"))


def _environment(data: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "PERSONA_STUDIO_DATA": str(data)}


def _worker(data: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _WORKER, str(data)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=_environment(data))


def _pids(data: Path) -> list[int]:
    """Processes of the workers that the records know of."""
    return [int(worker.facts["pid"]) for worker in list_workers(Studio(Settings(data=data)).records)]


def _until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def _end(worker: subprocess.Popen[bytes], how: signal.Signals | None) -> None:
    """By a signal, or (None) as the page's process ends it."""
    assert worker.stdin is not None
    if how is not None:
        worker.send_signal(how)
    else:
        worker.stdin.close()
    worker.wait(60)
    if how is not None:
        worker.stdin.close()


def test_four_planned_ends_leave_a_job_that_goes_on(tmp_path: Path) -> None:
    """The engine gives a job up whose worker crashed three times; Ctrl-C and restarts are no crashes."""
    (tmp_path / "hold").touch()
    queue = Queue(Studio(Settings(data=tmp_path)))
    job = ""
    for how in (signal.SIGINT, None, signal.SIGTERM, signal.SIGINT):
        worker = _worker(tmp_path)
        job = queue.put(WorkRequest(owner="li"))
        _until((tmp_path / "began").exists, "the job does not begin")
        assert _pids(tmp_path) == [worker.pid]
        _end(worker, how)
        assert worker.returncode == 0
        assert _pids(tmp_path) == []
        row = queue.find(job, "li")
        assert row is not None
        assert row.state == "running"
        (tmp_path / "began").unlink()
    (tmp_path / "hold").unlink()
    worker = _worker(tmp_path)

    def done() -> bool:
        row = queue.find(job, "li")
        return row is not None and row.state == "done"

    _until(done, "the job is not done")
    _end(worker, None)


def test_crashes_are_still_counted(tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    queue = Queue(Studio(Settings(data=tmp_path)))
    job = ""

    def given_up() -> bool:
        row = queue.find(job, "li")
        return row is not None and row.state == "failed" and row.facts["code"] == "job_given_up"

    crashes = 0
    while True:
        worker = _worker(tmp_path)
        job = job or queue.put(WorkRequest(owner="li"))
        _until(lambda: (tmp_path / "began").exists() or given_up(), "nothing happens")
        if given_up():
            break
        crashes += 1
        assert crashes < 6
        _end(worker, signal.SIGKILL)
        (tmp_path / "began").unlink()
    _end(worker, None)
    assert crashes >= 2


def test_a_second_engine_takes_nothing_from_the_first(tmp_path: Path) -> None:
    with Engine(Studio(Settings(data=tmp_path)), None):
        _until(lambda: _pids(tmp_path) == [os.getpid()], "the worker is not known")
        second = subprocess.run(
            [sys.executable, "-m", "studio.jobs.worker"],
            env=_environment(tmp_path), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert second.returncode == 1
        assert "Another studio is working in" in second.stderr
        assert "Traceback" not in second.stderr
        assert _pids(tmp_path) == [os.getpid()]


def test_the_studio_opened_twice_says_so_and_the_first_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "app.py", "--data", str(tmp_path), "--port", "0"]
    first = subprocess.Popen(command, cwd=ROOT, env=_environment(tmp_path), stdout=subprocess.DEVNULL)
    try:
        _until((tmp_path / "studio.sqlite").exists, "the studio does not start")
        _until(lambda: _pids(tmp_path), "the worker does not start")
        ready = _pids(tmp_path)
        second = subprocess.run(
            command, cwd=ROOT, env=_environment(tmp_path), capture_output=True, text=True, timeout=60
        )
        assert second.returncode == 1
        assert "The studio is open already in" in second.stderr
        assert "Traceback" not in second.stderr
        assert _pids(tmp_path) == ready
        os.kill(ready[0], 0)
        assert Queue(Studio(Settings(data=tmp_path)))._client.list_workflows() == []
    finally:
        first.send_signal(signal.SIGINT)
        try:
            first.wait(120)
        finally:
            first.kill()
            first.wait()
    assert _pids(tmp_path) == []


def test_ctrl_c_while_the_pages_are_loaded_ends_the_studio(tmp_path: Path) -> None:
    command = [sys.executable, "app.py", "--data", str(tmp_path), "--port", "0"]
    studio = subprocess.Popen(
        command, cwd=ROOT, env=_environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        _until(lambda: _pids(tmp_path) if (tmp_path / "studio.sqlite").exists() else (), "the worker does not start")
        studio.send_signal(signal.SIGINT)
        said = studio.communicate(timeout=60)[1]
    finally:
        studio.kill()
    assert (studio.returncode, said) == (0, "")
    assert _pids(tmp_path) == []
