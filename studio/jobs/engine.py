"""The durable engine: workflows that go on where they were after a crash (DBOS Transact on SQLite).

What is closed on purpose (see docs/decisions): portable JSON instead of pickle; a queue of each process's own, so that
no second one takes its jobs (`studio.jobs.dispatch`); a pinned application version; steps whose results are content
keys, so that running one twice changes nothing, and written by who holds the job alone (`studio.jobs.holds`); a job
that failed may be tried again; no telemetry, no cloud.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from threading import Event, Lock, Thread
from typing import Any, ParamSpec, TypeVar

from dbos import DBOS, DBOSConfiguredInstance, PortableWorkflowError, SetWorkflowID, WorkflowHandle
from dbos import error as engine_errors
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from pipelines.errors import Cancelled, StudioError
from pipelines.progress import SILENT, Progress
from studio.application import Studio
from studio.domain.choice import BackboneChoice
from studio.domain.job_title import JobTitle
from studio.domain.migration import Json, read_stored
from studio.domain.values import FileKey, Request, Result
from studio.jobs.consents import check_consents
from studio.jobs.dispatch import adopt_orphans, drop_ended, own_queue, take_next
from studio.jobs.engine_setup import end_engine, make_client, prepare_engine, registry_forget, start_queue
from studio.jobs.files import JobFiles, note_older_files
from studio.jobs.heartbeat import Heartbeat, Patience
from studio.jobs.holds import Hold, free_hold, keep_as_holder, take_hold
from studio.jobs.kinds import find_kind, read_request
from studio.jobs.metrics import note_drawn, note_failure
from studio.jobs.progress import Reporter
from studio.jobs.queue import APPLICATION_VERSION, admit, first_step_to_run
from studio.jobs.reconcile import error_of, reconcile
from studio.jobs.watchdog import Watchdog, put_back, take_over
from studio.jobs.workers import EVERY_S, device_in_use, forget_worker, take_place, tell_alive
from studio.library.index import index_result
from studio.library.older import index_older_sets
from studio.library.records import HoldRecord, JobRecord, RankRecord, StopRecord
from studio.library.results import find_result
from studio.library.same_files import check_same_files
from studio.logs import about_job
from studio.texts.texts import Texts
from studio.workflows.likeness import read_faces, read_unread

__all__ = ["Engine"]

_RECONCILE_SOON_S, _RECONCILE_EVERY_S = 3.0, 60.0
_PATIENCE_S = 300.0  # with records that are locked
_MAX_REASON = 300  # characters
_JOIN_S = 2.0
_FACES_AT_ONCE = 16  # a job that comes waits for them
_ALONE_EVERY_S = 5.0  # where only /health and the line of jobs want to know
_LOOK_S = 0.2  # how often a free worker looks for a job
_FAILED = ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_LOG = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound=Result)


@DBOS.dbos_class()
class _Jobs(DBOSConfiguredInstance):
    """The workflows as the engine knows them; JSON in, JSON out."""

    def __init__(self, engine: Engine) -> None:
        super().__init__("studio")
        self.engine = engine

    @DBOS.workflow(name="job", max_recovery_attempts=None)  # takeovers are counted in the records
    def job(self, kind: str, request: Json) -> Json:
        return self.engine.perform(str(DBOS.workflow_id), kind, request)


class Engine:
    """One worker process. Use it as a context manager.

    `progress` is told of all jobs; without one each job's own goes into the records, for a page to read. `asked` is
    told of every request before `run` does it.
    """

    def __init__(
        self,
        studio: Studio,
        progress: Progress | None = SILENT,
        asked: Callable[[Request], None] = lambda request: None,
    ) -> None:
        self.studio, self._progress, self._asked = studio, progress, asked
        self._records = studio.records
        self._several = studio.records.engine.dialect.name != "sqlite"  # workers on these records
        self._running: tuple[str, Reporter] | None = None
        self._ready, self._all_read, self._idle_since = False, False, time.monotonic()
        self._leaving = Event()
        # One thread computes for all jobs: each that does has OpenMP threads of its own, and where those are more than
        # the cores, they sleep between operations instead of waiting: small models are drawn half as quickly.
        self._executor = ThreadPoolExecutor(1, "compute")
        self._turn = Lock()  # jobs share one set of models

    def __enter__(self) -> Engine:
        """Start; jobs that were running when this place's last process died are put back first, and go on next."""
        settings = self.studio.settings
        if self._several and not settings.bucket:  # a bucket knows itself whose it is
            check_same_files(settings.shared, self._records)
        self._place = take_place(self.studio.settings.data, self._several)
        prepare_engine(self.studio.settings, self._place.executor, APPLICATION_VERSION)
        self._jobs = _Jobs(self)
        DBOS.launch()
        self._client = make_client(self.studio.settings)
        self._take_back()
        adopt_orphans(self._client, self._records)
        self._reconcile()
        start_queue(self._place.executor, self._place.id)
        self._ready, self._idle_since = True, time.monotonic()
        self._threads = [
            Thread(target=often, daemon=True) for often in (self._beat_often, self._look_often, self._reconcile_often)
        ]
        for thread in self._threads:
            thread.start()
        patience = Patience(self.studio.settings.worker_silent_s, self.studio.settings.worker_stalled_s)
        self._watchdog = Watchdog(self._records, lambda: self._client, patience)
        if self._several:
            self._watchdog.start()
        return self

    def _take_back(self) -> None:
        """Put back what an earlier process of this place held when it died. On SQLite there is but one worker: whoever
        held a job, under whatever name, is gone (the folder was moved, or restored elsewhere).
        """
        for row in self._records.everyones(HoldRecord):
            if row.worker == self._place.id or (row.worker and not self._several):
                take_over(self._client, self._records, row)
            elif not self._several:
                put_back(self._client, self._records, row)

    @property
    def worker(self) -> str:
        """Return this worker's id."""
        return self._place.id

    def __exit__(self, *_: object) -> None:
        """Give the running jobs back, so that they go on elsewhere or at the next start, and this end is not counted as
        a crash."""
        self._leaving.set()
        self._watchdog.close()
        for thread in self._threads:
            thread.join(_JOIN_S)
        end_engine(self._place.executor)
        with suppress(SQLAlchemyError):
            for row in self._records.everyones(HoldRecord, "worker", (self.worker,)):
                freed = free_hold(self._records, row, row.takeovers)
                if freed is not None:
                    put_back(self._client, self._records, freed)
        forget_worker(self._records, self.worker)
        self._client.destroy()
        self._executor.shutdown(wait=False)
        registry_forget(self._jobs)
        self._place.lock.close()

    def run(self, request: Request, result: type[R]) -> R:
        """Run a job to its end, or join the one that already runs; a finished one is not run again.

        Raises BadInput for files that its owner may not see, and the job's own StudioError. A job that failed is tried
        again, from its first unfinished step on.
        """
        job, kind, value = admit(self.studio, request)
        self._asked(request)
        return read_stored(result, self._run(job, kind.name, request.owner, value))

    def _run(self, job: str, kind: str, owner: str, value: Json) -> Json:
        status = DBOS.get_workflow_status(job)
        again = status is not None and status.status in _FAILED
        if (status is None or again) and take_hold(self._records, job, owner, self.worker) is not None:
            if again:  # a failed job ignores "resume"
                self._records.remove(StopRecord, job, owner)
                step = first_step_to_run(DBOS.list_workflow_steps(job))
                DBOS.rewind_workflow(job, start_step=step, queue_name=own_queue(self._place.executor))
            else:
                with SetWorkflowID(job):
                    return self._result_of(DBOS.start_workflow(self._jobs.job, kind, value), job, owner)
        return self._result_of(DBOS.retrieve_workflow(job), job, owner)

    def compute(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Call it in the thread in which all jobs compute, and wait."""
        context = copy_context()  # the engine knows the running job by it
        return self._executor.submit(lambda: context.run(function, *args, **named)).result()

    def load_ahead(self) -> None:
        """Begin the slow imports, while a person still looks around, in the thread in which all jobs compute: of two
        threads that import diffusers at once, one can find its modules half imported.
        """
        self._executor.submit(lambda: [find_kind(name).load() for name in ("design", "posts")])

    def perform(self, job: str, kind: str, value: Json) -> Json:
        """A workflow's body: what happens to a job is noted wherever it was started from, recovered ones too."""
        owner = str(value.get("owner", self.studio.settings.owner))
        hold = self._take(job, owner)
        note = partial(self._note, job, owner, hold, kind)
        files = JobFiles(self._records, job, owner, self._patiently, hold)
        reporter = Reporter(self._records, job, owner, files.made, hold, self._progress)
        with about_job(job), self._turn, self._busy(job, reporter), self.studio.store.recording(files.made):
            began, is_whole = time.time(), not files.made  # a job that goes on took longer than it is seen to
            try:
                choice = self._choice_of(job, owner)
                note("running", None, backbone=choice.model_dump(mode="json"), began=began)
                self._patiently(lambda: self._records.remove(RankRecord, job, owner))
                reporter.check_cancelled()
                request = read_request(kind, value, lambda wanted, key: self._find(owner, wanted, key))
                check_consents(self.studio, request)  # it may have waited for days
                title, size = find_kind(kind).title(request), find_kind(kind).size(request)
                told = {"title": title.model_dump(mode="json"), "size": size.model_dump(mode="json")}
                note("running", None, **told)
                files.keep(request)
                kept = files.stepping(_run_step)
                with self.studio.drawing_with(choice):
                    result = self.compute(lambda: find_kind(kind).load()(self.studio, request, kept, reporter))
                    self.compute(read_faces, self.studio, owner, result)
            except StudioError as error:
                note("cancelled" if isinstance(error, Cancelled) else "failed", error)
                raise
            except OperationalError:
                note("failed", StudioError("records_locked"))
                raise
            except Exception as error:
                # The engine wraps what a step raised; the cause is what a person can do something about.
                reason = f"{type(error).__name__}: {error}"[:_MAX_REASON]
                note("failed", StudioError("job_unexpected", reason=reason))
                raise
            seconds = time.time() - began
        files.write()
        took = max(seconds, 0.0)
        self._patiently(lambda: note_drawn(self._records, job, kind, choice, size, took, is_whole=is_whole))
        try:
            self._note_result(job, owner, hold, kind, result, title)
        except StudioError as error:  # the store is away, or full: all steps are done, and it can be tried again
            note("failed", error)
            raise
        return result.model_dump(mode="json")

    def _take(self, job: str, owner: str) -> Hold:
        """Hold the job from here on, whatever earlier attempt of it still runs in this process. Raises the engine's own
        error where another worker holds it."""
        taken: list[Hold | None] = []
        self._patiently(lambda: taken.append(take_hold(self._records, job, owner, self.worker)))
        if taken[-1] is None:
            raise engine_errors.DBOSWorkflowConflictIDError(job)
        return taken[-1]

    def _choice_of(self, job: str, owner: str) -> BackboneChoice:
        """Return the backbone that a job was asked for with: one that began on it goes on with it, whatever is chosen
        meanwhile.
        """
        row = self.studio.records.get(JobRecord, job, owner)
        told = None if row is None else row.facts.get("backbone")
        return self.studio.choice if told is None else BackboneChoice.model_validate_json(json.dumps(told))

    def _find(self, owner: str, kind: type[Result], key: str) -> Result:
        return find_result(self.studio.records, self.studio.store, owner, kind, key)

    def heartbeat(self) -> Heartbeat:
        """Return what is done now, for whoever watches this process."""
        now, running = time.monotonic(), self._running
        if running is not None:
            return Heartbeat(running[0], now - running[1].moved)
        return Heartbeat("" if self._ready else "its start", now - self._idle_since)

    @contextmanager
    def _busy(self, job: str, reporter: Reporter) -> Iterator[None]:
        reporter.moved = time.monotonic()
        self._running = (job, reporter)
        try:
            yield
        finally:
            self._idle_since = time.monotonic()
            self._running = None

    def _beat_often(self) -> None:
        """Say that this worker lives, until it ends; where the records cannot be reached, the next time will do."""
        while not self._leaving.is_set():
            with suppress(SQLAlchemyError):
                tell_alive(self._records, self._place, self.heartbeat(), device_in_use(), self.studio.settings.data)
            self._leaving.wait(EVERY_S if self._several else _ALONE_EVERY_S)

    def _look_often(self) -> None:
        """Take a job whenever this worker has none."""
        while not self._leaving.wait(_LOOK_S):
            try:
                executor = self._place.executor
                if self._running is None and not drop_ended(self._client, self._records, self.worker, executor):
                    take_next(self._client, self._records, self.worker, executor, APPLICATION_VERSION)
            except SQLAlchemyError as problem:
                _LOG.debug("Jobs are looked for again: %s", problem)

    def _reconcile_often(self) -> None:
        with suppress(OperationalError):
            index_older_sets(self.studio.library)
        pause = _RECONCILE_SOON_S
        while not self._leaving.wait(pause):
            self._reconcile()
            self._read_faces()
            pause = _RECONCILE_EVERY_S

    def _read_faces(self) -> None:
        """Read the faces of what an older studio made, or read by another recogniser, while nobody wants anything."""
        with suppress(OperationalError, StudioError):
            while not (self._all_read or self._leaving.is_set() or self._running is not None):
                if time.monotonic() - self._idle_since < _RECONCILE_EVERY_S:
                    return
                self._all_read = self.compute(read_unread, self.studio, _FACES_AT_ONCE) == 0

    def _reconcile(self) -> None:
        """Let records and engine agree; where one is locked, full, or the store is away, the next minute will do."""
        try:
            note_older_files(self.studio.library)
            reconcile(self._records, self._client, self._settle)
        except (OperationalError, StudioError) as problem:
            if not self._leaving.is_set():
                _LOG.warning("Jobs are compared with the engine in a minute: %s", problem)

    def _settle(self, row: JobRecord, how: StudioError | Json) -> None:
        """Note how a job ended that nobody holds any more."""
        if isinstance(how, dict):
            result = read_stored(find_kind(row.kind).result, how)
            self._note_result(row.id, row.owner, None, row.kind, result)
        else:
            state = "cancelled" if isinstance(how, Cancelled) else "failed"
            self._note(row.id, row.owner, None, row.kind, state, how)

    def _note_result(
        self, job: str, owner: str, hold: Hold | None, kind: str, result: Result, title: JobTitle | None = None
    ) -> None:
        key = self.studio.store.put_json(result.model_dump(mode="json"))
        JobFiles(self._records, job, owner, self._patiently, hold).finish(result, key)
        if find_kind(kind).indexed:
            self._patiently(lambda: index_result(self._records, owner, result))
        entry = result.index_entry()
        if title is not None and entry is not None and (picture := entry.facts.get("picture")):
            title = title.model_copy(update={"picture": FileKey(str(picture))})
        told = {} if title is None else {"title": title.model_dump(mode="json")}
        self._note(job, owner, hold, kind, "done", None, id=result.id, result=key, **told)

    def _note(
        self, job: str, owner: str, hold: Hold | None, kind: str, state: str, error: StudioError | None, **facts: Any
    ) -> None:
        if self._leaving.is_set():  # what a job meets when the engine goes is not its own
            return
        if error is not None:
            facts |= {"code": error.code, "raised": error.as_json()}
        facts |= {"pid": os.getpid(), "worker": self.worker, "host": socket.gethostname()}

        def note() -> None:
            known = self._records.get(JobRecord, job, owner)
            if known is None:
                known = JobRecord(id=job, owner=owner, kind=kind, state=state, error=None, facts={})
            kept = {name: fact for name, fact in known.facts.items() if name not in ("code", "raised")}
            known.state, known.error = state, None if error is None else Texts("en").error(error)
            known.facts = {**kept, **facts}
            keep_as_holder(self._records, hold, known)

        self._patiently(note)
        if error is not None and state == "failed":
            self._patiently(lambda: note_failure(self._records, kind, error.code))
        if state != "running" or "began" in facts:
            _LOG.info("Job %s: %s%s", state, kind, "" if error is None else f" ({error.code})")

    def _patiently(self, write: Callable[[], None]) -> None:
        """Write, and try again while another process holds the records. Raises OperationalError after minutes."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return write()
            except OperationalError:
                if time.monotonic() > deadline or self._leaving.wait(0.5):
                    raise

    def _result_of(self, handle: WorkflowHandle[Json], job: str, owner: str) -> Json:
        """Return a job's result. What a job of before was stored to have raised comes back as it was."""
        try:
            return dict(handle.get_result())
        except PortableWorkflowError as error:
            if (told := error_of(error)) is not None:
                raise told from error
            raise


def _run_step(name: str, step: Callable[[], Any]) -> Any:
    return DBOS.run_step({"name": name}, step)
