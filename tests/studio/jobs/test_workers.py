"""Several workers on one PostgreSQL: real processes that are killed, frozen and woken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from dbos import error as engine_errors

from studio.application import Studio
from studio.domain.report import Report
from studio.jobs.heartbeat import Patience
from studio.jobs.holds import NOBODY, Hold, forget_hold, free_hold, keep_as_holder, note_step, take_hold
from studio.jobs.progress import Reporter
from studio.jobs.queue import Queue
from studio.jobs.watchdog import MOST_TAKEOVERS, Watchdog, take_over
from studio.jobs.workers import WorkerState, device_in_use, list_workers
from studio.library.records import HoldRecord, JobRecord, Records, ReportRecord
from studio.settings import Settings
from tests.postgres import Postgres, closed_engines
from tests.studio.jobs.local_kind import Work, WorkRequest, add_kind

ROOT = Path(__file__).resolve().parents[3]
SILENT_S = 8.0
STEPS = 5

# each step says who did it; a job whose word is "wait" stays in its second step while `hold` is there
_WORKER = """
import os, sys, time
from studio.jobs import worker
from studio.jobs.kinds import KINDS
from tests.studio.jobs.local_kind import Work, work_kind

def job(studio, request, run, progress):
    data = studio.settings.data
    def step(number):
        with open(data / "steps", "a") as log:
            log.write(f"{request.seed} {number} {os.getpid()}\\n")
        while number == 1 and request.word and (data / "hold").exists():
            if request.word == "wait":
                progress.check_cancelled()
            time.sleep(0.05)
        time.sleep(0.1)
        return str(studio.store.put(f"{request.seed} {number}".encode()))
    keys = tuple(run(f"step {n}", lambda n=n: step(n)) for n in range(int(sys.argv[1])))
    return Work(id=str(request.seed), keys=keys)

KINDS["work"] = work_kind(job)
worker.Engine.load_ahead = lambda engine: None  # nothing here needs torch
sys.exit(worker.main())
"""


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    add_kind(monkeypatch, lambda *_: Work(id="it"))
    with closed_engines(monkeypatch):
        yield


@pytest.fixture
def studio(postgres: Postgres, tmp_path: Path) -> Studio:
    return Studio(Settings(data=tmp_path / "data", database=postgres.new_database(), worker_silent_s=SILENT_S))


@pytest.fixture
def queue(studio: Studio) -> Iterator[Queue]:
    made = Queue(studio)
    yield made
    if "_client" in made.__dict__:
        made._client.destroy()


Begin = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def begin(studio: Studio) -> Iterator[Begin]:
    """Begin a worker of its own; all are ended with the test."""
    begun: list[subprocess.Popen[bytes]] = []
    given = {
        "PYTHONPATH": str(ROOT),
        "PERSONA_STUDIO_DATA": str(studio.settings.data),
        "PERSONA_STUDIO_DATABASE": studio.settings.database.get_secret_value(),
        "PERSONA_STUDIO_WORKER_SILENT_S": str(SILENT_S),
    }

    def begin_one() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", _WORKER, str(STEPS)]
        begun.append(subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | given))
        until(lambda: begun[-1].pid in _pids(studio.records), "the worker does not start")
        return begun[-1]

    yield begin_one
    for worker in begun:
        with suppress(ProcessLookupError):
            worker.send_signal(signal.SIGCONT)
        worker.kill()
        worker.communicate(timeout=60)


def until(true: Callable[[], object], what: str, within_s: float = 120) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def _pids(records: Records) -> list[int]:
    return [int(worker.facts["pid"]) for worker in list_workers(records)]


def _steps(studio: Studio) -> list[tuple[int, int, int]]:
    """Every step that was begun: whose job, its number, and the process."""
    path = studio.settings.data / "steps"
    lines = path.read_text().splitlines() if path.exists() else []
    return [tuple(map(int, line.split())) for line in lines]  # type: ignore[misc]


@contextmanager
def _held(studio: Studio) -> Iterator[Path]:
    """Jobs that say so stay where they are inside of the block."""
    hold = studio.settings.data / "hold"
    hold.touch()
    yield hold
    hold.unlink(missing_ok=True)


def _is_done(queue: Queue, job: str) -> Callable[[], bool]:
    def done() -> bool:
        row = queue.find(job, "mei")
        return row is not None and row.state == "done"

    return done


def test_each_worker_has_a_job_and_their_order_is_kept(studio: Studio, queue: Queue, begin: Begin) -> None:
    with _held(studio) as hold:
        workers = {begin().pid for _ in range(2)}
        jobs = [queue.put(WorkRequest(owner="mei", seed=seed, word="wait")) for seed in range(2)]
        until(lambda: len([s for s in _steps(studio) if s[1] == 1]) == 2, "both work at once")
        assert {pid for _, _, pid in _steps(studio)} == workers
        later = queue.put(WorkRequest(owner="mei", seed=5))
        first = queue.put(WorkRequest(owner="mei", seed=6))
        other = queue.put(WorkRequest(owner="li", seed=7))
        queue.run_next(first, "mei")
        rows = [queue.find(job, "mei") for job in jobs]
        assert sorted(int(row.facts["pid"]) for row in rows if row is not None) == sorted(workers)
        assert len({worker.id for worker in list_workers(studio.records)}) == 2
        hold.unlink()
        for job in (*jobs, later, first):
            until(_is_done(queue, job), "the job is not done")
    until(lambda: (row := queue.find(other, "li")) is not None and row.state == "done", "the job is not done")
    begun = [seed for seed, number, _ in _steps(studio) if number == 0][2:]
    assert begun.index(7) < begun.index(5)  # who has two running gives way
    assert begun.index(6) < begun.index(5)
    until(lambda: studio.records.everyones(HoldRecord) == [], "jobs that are done are held")


def test_a_killed_workers_job_goes_on_at_another(studio: Studio, queue: Queue, begin: Begin) -> None:
    with _held(studio):
        first = begin()
        job = queue.put(WorkRequest(owner="mei", word="wait"))
        until(lambda: len(_steps(studio)) == 2, "the job does not begin")
        second = begin()
        first.send_signal(signal.SIGKILL)
        until(lambda: len(_steps(studio)) == 3, "nobody takes it over")
    until(_is_done(queue, job), "the job does not end")
    assert [(number, pid) for _, number, pid in _steps(studio)] == [
        (0, first.pid), (1, first.pid), (1, second.pid), (2, second.pid), (3, second.pid), (4, second.pid),
    ]  # fmt: skip
    row = queue.find(job, "mei")
    assert row is not None
    assert [studio.store.get(key) for key in queue.result(row, Work).keys] == [b"1 %d" % n for n in range(STEPS)]
    assert int(row.facts["pid"]) == second.pid


@pytest.mark.parametrize("word", ["wait", "deaf"])
def test_a_frozen_worker_that_wakes_up_does_no_harm(studio: Studio, queue: Queue, begin: Begin, word: str) -> None:
    """Also where what it does never asks whether it may go on ("deaf")."""
    with _held(studio) as hold:
        frozen = begin()
        job = queue.put(WorkRequest(owner="mei", word=word))
        until(lambda: len(_steps(studio)) == 2, "the job does not begin")
        other = begin()
        frozen.send_signal(signal.SIGSTOP)
        until(lambda: len(_steps(studio)) == 3, "nobody takes it over")
        hold.unlink()
        until(_is_done(queue, job), "the job does not end")
    until(lambda: studio.records.everyones(HoldRecord) == [], "a job that is done is held")
    before = [queue.find(job, "mei"), queue.report(job, "mei"), studio.records.everyones(HoldRecord)]
    done = _steps(studio)
    frozen.send_signal(signal.SIGCONT)
    time.sleep(4)  # it wakes up, and learns that the job is not its own
    after = [queue.find(job, "mei"), queue.report(job, "mei"), studio.records.everyones(HoldRecord)]
    assert [getattr(row, "facts", row) for row in after] == [getattr(row, "facts", row) for row in before]
    assert _steps(studio) == done
    other.kill()
    again = queue.put(WorkRequest(owner="mei", seed=2))
    until(_is_done(queue, again), "the woken worker takes no job any more")
    assert {pid for seed, _, pid in _steps(studio) if seed == 2} == {frozen.pid}


def test_a_job_that_ends_its_workers_is_given_up_and_can_be_tried_again(
    studio: Studio, queue: Queue, begin: Begin
) -> None:
    job, killed = "", 0
    with _held(studio):
        while True:
            worker = begin()
            job = job or queue.put(WorkRequest(owner="mei", word="wait"))
            until(lambda: len(_steps(studio)) == 2 + killed or _code(queue, job), "nothing happens")  # noqa: B023
            if _code(queue, job):
                break
            worker.kill()
            worker.wait()
            killed += 1
            assert killed < 9
    assert killed == MOST_TAKEOVERS + 1
    assert _code(queue, job) == "job_given_up"
    queue.retry(job, "mei")
    until(_is_done(queue, job), "it is not tried again")
    assert [number for _, number, _ in _steps(studio)].count(0) == 1  # from where it was


def _code(queue: Queue, job: str) -> str:
    row = queue.find(job, "mei")
    return "" if row is None or row.state != "failed" else str(row.facts["code"])


def test_a_worker_that_is_told_to_end_gives_its_job_to_another_at_once(
    studio: Studio, queue: Queue, begin: Begin
) -> None:
    with _held(studio):
        first = begin()
        job = queue.put(WorkRequest(owner="mei", word="wait"))
        until(lambda: len(_steps(studio)) == 2, "the job does not begin")
        begin()
        told = time.monotonic()
        first.send_signal(signal.SIGTERM)
        until(lambda: len(_steps(studio)) == 3, "nobody takes it over")
        assert time.monotonic() - told < SILENT_S
        assert [row.takeovers for row in studio.records.everyones(HoldRecord)] == [0]
        assert len(list_workers(studio.records)) == 1
    until(_is_done(queue, job), "the job does not end")


@pytest.fixture(params=["sqlite", "postgresql"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Records:
    if request.param == "sqlite":
        return Records(tmp_path / "studio.sqlite")
    return Records(request.getfixturevalue("postgres").new_database())


def test_of_many_that_take_one_job_one_has_it(records: Records) -> None:
    for job in ("a", "b", "c"):
        with ThreadPoolExecutor(8) as threads:
            taken = list(threads.map(lambda n: take_hold(records, job, "mei", f"w{n}"), range(8)))  # noqa: B023
        (hold,) = [one for one in taken if one is not None]
        row = records.get(HoldRecord, job, "mei")
        assert row is not None
        assert (row.worker, row.token) == (hold.worker, hold.token)


def test_of_many_watchdogs_one_takes_it_away(records: Records) -> None:
    for job in ("a", "b", "c"):
        take_hold(records, job, "mei", "w")
        row = records.get(HoldRecord, job, "mei")
        assert row is not None
        with ThreadPoolExecutor(8) as threads:
            freed = list(threads.map(lambda _: free_hold(records, row, row.takeovers + 1), range(8)))  # noqa: B023
        assert len([one for one in freed if one is not None]) == 1
        now = records.get(HoldRecord, job, "mei")
        assert now is not None
        assert (now.worker, now.takeovers) == (NOBODY, 1)


def test_only_who_holds_a_job_writes_of_it(records: Records) -> None:
    old = take_hold(records, "job", "mei", "w1")
    assert old is not None
    assert take_hold(records, "job", "mei", "w2") is None
    assert take_hold(records, "job", "li", "w2") is not None  # another's
    row = records.get(HoldRecord, "job", "mei")
    assert row is not None
    assert free_hold(records, row, 1) is not None
    assert free_hold(records, row, 2) is None
    new = take_hold(records, "job", "mei", "w1")  # the same worker's next attempt is another
    assert new is not None
    assert new.takeovers == 1

    def say(hold: Hold, state: str) -> None:
        keep_as_holder(records, hold, JobRecord(id="job", owner="mei", kind="work", state=state, error=None, facts={}))

    say(new, "running")
    refusals: list[Callable[[], None]] = [
        lambda: say(old, "failed"),
        lambda: Reporter(records, "job", "mei", set(), old).write(),
        lambda: Reporter(records, "job", "mei", set(), old).check_cancelled(),
        lambda: note_step(records, Hold("job", "mei", "w1", old.token, 1)),
    ]
    for refused in refusals:
        with pytest.raises(engine_errors.DBOSWorkflowConflictIDError):
            refused()
    forget_hold(records, old)
    said = records.get(JobRecord, "job", "mei")
    assert said is not None
    assert said.state == "running"
    assert records.get(ReportRecord, "job", "mei") is None
    Reporter(records, "job", "mei", set(), new).write()
    assert records.get(ReportRecord, "job", "mei") is not None
    note_step(records, new)
    assert [row.takeovers for row in records.everyones(HoldRecord, "owner", ("mei",))] == [0]


def test_what_a_watchdog_sees(studio: Studio, queue: Queue, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence and stillness are measured by its own clock, from when it looks; a look that comes late begins anew."""
    worker = begin()  # makes the engine
    worker.send_signal(signal.SIGTERM)
    worker.wait(60)
    queue.put(WorkRequest(owner="mei"))
    (job,) = [row.id for row in queue.jobs("mei")]
    states: list[WorkerState] = []
    monkeypatch.setattr("studio.jobs.watchdog.list_workers", lambda records: states)
    dog = Watchdog(studio.records, lambda: queue._client, Patience(60, 600, 30))

    def state(beat: float, at: str = job, still_s: float = 0.0) -> None:
        facts = dict.fromkeys(("host", "pid", "version", "device", "run"), "1")
        states[:] = [WorkerState("w", 1e6, beat, at, still_s, facts)]  # whatever a clock says

    def look(*moments: float) -> list[str]:
        return [taken for moment in moments for taken in dog.look(moment)]

    take_hold(studio.records, job, "mei", "w")
    state(1)
    assert look(*range(1000, 1060, 5)) == []
    state(2)
    assert look(*range(1060, 1120, 5)) == []  # it was heard of
    assert look(1200) == []  # this process stood still itself
    assert look(*range(1205, 1260, 5)) == []
    assert look(1265) == [job]
    take_hold(studio.records, job, "mei", "w")
    state(3, still_s=599)
    assert look(1266) == []
    state(4, still_s=601)
    assert look(1267) == [job]
    take_hold(studio.records, job, "mei", "w")
    for moment in range(1270, 1330, 5):  # it is heard of, and does something else
        state(moment, at="")
        assert look(moment) == []
    state(9, at="")
    assert look(1335) == [job]
    take_hold(studio.records, job, "mei", "w")
    states.clear()  # gone without a word
    assert look(*range(1340, 1400, 5)) == []
    row = studio.records.get(HoldRecord, job, "mei")
    assert row is not None
    assert row.takeovers == MOST_TAKEOVERS
    assert look(1405) == [job]
    assert _code(queue, job) == "job_given_up"
    assert studio.records.everyones(HoldRecord) == []
    assert not take_over(queue._client, studio.records, row)
    assert queue.report(job, "mei") == Report()


def test_a_worker_tells_what_it_computes_on_and_loads_nothing_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    assert device_in_use() == "a card"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_in_use() == "CPU"
    monkeypatch.delitem(sys.modules, "torch")
    assert device_in_use() == ""
