"""A worker that hangs is ended and started again; one that gets on is left alone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from studio.application import Studio
from studio.jobs.heartbeat import Heartbeat, Patience, why_restart
from studio.jobs.queue import HELD, Queue, enqueue
from studio.jobs.supervisor import Supervisor
from studio.jobs.workers import list_workers
from studio.library.records import JobRecord, RequestRecord
from studio.settings import Settings

PATIENCE = Patience(silent_s=10, stalled_s=100, idle_s=5)


@pytest.mark.parametrize(
    ("beat", "silent_s", "waiting", "says"),
    [
        (Heartbeat("", 3600), 1, (), ""),  # nothing to do all night
        (Heartbeat("posts-1", 99), 1, ("posts-1", "posts-2"), ""),
        (Heartbeat("posts-1", 101), 1, ("posts-1",), "posts-1 has not moved"),
        (Heartbeat("posts-1", 0), 11, ("posts-1",), "not been heard"),
        (Heartbeat("", 4), 1, ("posts-1",), ""),  # it is just being taken up
        (Heartbeat("", 6), 1, ("posts-1",), "posts-1 waits"),
    ],
)
def test_when_a_worker_is_started_again(beat: Heartbeat, silent_s: float, waiting: tuple[str, ...], says: str) -> None:
    why = why_restart(beat, silent_s, lambda: waiting, PATIENCE)
    assert says in why
    assert bool(why) == bool(says)


def _other_pid(supervisor: Supervisor, than: int | None, within_s: float) -> int:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if supervisor.pid not in (None, than):
            return int(supervisor.pid or 0)
        time.sleep(0.1)
    pytest.fail(f"the worker is still {supervisor.pid}")


def test_a_frozen_worker_is_replaced_and_a_forgotten_job_wakes_it_once(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    with Supervisor(settings, Patience(silent_s=20, stalled_s=100, idle_s=3)) as supervisor:
        first = _other_pid(supervisor, None, 60)
        _ready(tmp_path, first)
        os.kill(first, signal.SIGSTOP)
        second = _other_pid(supervisor, first, 120)
        _ready(tmp_path, second)
        # a job that waits, in the records' eyes, and that the engine never begins
        studio = Studio(settings)
        wish = RequestRecord(id="posts-1", owner="me", facts={"kind": "posts", "request": {"owner": "me"}})
        enqueue(Queue(studio)._client, studio.records, wish, HELD)
        studio.records.keep(JobRecord(id="posts-1", owner="me", kind="posts", state="queued", error=None, facts={}))
        third = _other_pid(supervisor, second, 120)
        _ready(tmp_path, third)
        time.sleep(6)
        assert supervisor.pid == third


def test_a_job_that_comes_after_a_rest_does_not_end_the_worker(tmp_path: Path) -> None:
    """It was idle for longer than its patience the moment the job came; seen seven times in one day."""
    settings = Settings(data=tmp_path)
    with Supervisor(settings, Patience(silent_s=60, stalled_s=100, idle_s=4)) as supervisor:
        first = _other_pid(supervisor, None, 60)
        _ready(tmp_path, first)
        time.sleep(6)
        studio = Studio(settings)
        studio.records.keep(JobRecord(id="posts-1", owner="me", kind="posts", state="queued", error=None, facts={}))
        time.sleep(2.5)  # the engine looks at its queue five times a second, the supervisor once
        studio.records.keep(JobRecord(id="posts-1", owner="me", kind="posts", state="done", error=None, facts={}))
        assert supervisor.pid == first


def _ready(data: Path, pid: int) -> None:
    deadline = time.monotonic() + 120
    records = Studio(Settings(data=data)).records
    while str(pid) not in [worker.facts["pid"] for worker in list_workers(records)]:
        assert time.monotonic() < deadline, "the worker does not start"
        time.sleep(0.1)
