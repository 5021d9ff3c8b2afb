"""The durable engine: workflows that go on where they were after a crash (DBOS Transact on SQLite).

What is closed on purpose (see docs/decisions): portable JSON instead of pickle; an executor id that belongs to the
data folder, and a lock so that no second process takes its jobs; a pinned application version; steps whose results
are content keys, so that running one twice changes nothing; a job that failed may be tried again; no telemetry, no
cloud.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from threading import Event, Lock, Thread
from typing import IO, Any, ParamSpec, TextIO, TypeVar

from dbos import (
    DBOS,
    DBOSClient,
    DBOSConfig,
    DBOSConfiguredInstance,
    DBOSPortableJSONSerializer,
    PortableWorkflowError,
    SetWorkflowID,
    WorkflowHandle,
)
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from pipelines.errors import BadInput, Cancelled, StudioError
from pipelines.progress import SILENT, Progress
from studio.application import Studio
from studio.domain.choice import BackboneChoice
from studio.domain.job_title import JobTitle
from studio.domain.migration import Json, read_stored
from studio.domain.times import JobTime
from studio.domain.values import FileKey, Request, Result
from studio.jobs.files import JobFiles, note_older_files
from studio.jobs.heartbeat import Heartbeat
from studio.jobs.kinds import find_kind, read_request
from studio.jobs.locks import take_lock
from studio.jobs.progress import Reporter
from studio.jobs.queue import APPLICATION_VERSION, NEXT, QUEUE, admit, engine_url, first_step_to_run
from studio.jobs.reconcile import error_of, reconcile
from studio.jobs.turns import goes_behind
from studio.library.database import claim
from studio.library.index import index_result
from studio.library.job_times import note_time
from studio.library.older import index_older_sets
from studio.library.records import JobRecord, RankRecord, StopRecord
from studio.library.results import find_result
from studio.texts.texts import Texts

__all__ = ["Engine"]

_MAX_RECOVERIES = 3
_RECONCILE_SOON_S, _RECONCILE_EVERY_S = 3.0, 60.0
_PATIENCE_S = 300.0  # with records that are locked
_MAX_REASON = 300  # characters
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

    @DBOS.workflow(name="job", max_recovery_attempts=_MAX_RECOVERIES)
    def job(self, kind: str, request: Json) -> Json:
        return self.engine.perform(str(DBOS.workflow_id), kind, request)


class Engine:
    """One worker process on one data folder. Use it as a context manager.

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
        self._lock: IO[str] | None = None
        self._claim: Connection | None = None
        self._running: tuple[str, Reporter] | None = None
        self._ready, self._idle_since = False, time.monotonic()
        self._leaving = Event()
        # One thread computes for all jobs: each that does has OpenMP threads of its own, and where those are more than
        # the cores, they sleep between operations instead of waiting: small models are drawn half as quickly.
        self._executor = ThreadPoolExecutor(1, "compute")
        self._turn = Lock()  # jobs share one set of models; recovered ones do not come through the queue

    def __enter__(self) -> Engine:
        """Start; jobs that were running when the last process died go on at once."""
        data = self.studio.settings.data
        self._lock = take_lock(data / "worker.lock")
        if self._lock is None:
            raise BadInput("folder_in_use", folder=str(data))
        if (database := self.studio.records.engine).dialect.name != "sqlite":
            self._claim = claim(database)
            if self._claim is None:
                self._lock.close()
                raise BadInput("database_in_use")
        (data / "engine.ready").unlink(missing_ok=True)  # it belongs to who holds the lock
        config = DBOSConfig(
            name="persona-studio",
            system_database_url=engine_url(self.studio.settings),
            application_version=APPLICATION_VERSION,
            executor_id=self._executor_id,
            serializer=DBOSPortableJSONSerializer(),
            log_level="ERROR",
            enable_otlp=False,
        )
        DBOS(config=config)
        _set_up_logging()
        self._jobs = _Jobs(self)
        DBOS.launch()
        self._client = DBOSClient(
            system_database_url=engine_url(self.studio.settings),
            serializer=DBOSPortableJSONSerializer(),
            application_name="persona-studio",
        )
        for queue in (QUEUE, NEXT):
            DBOS.register_queue(queue, worker_concurrency=1, polling_interval_sec=0.2, on_conflict="always_update")
        self._adopt()
        self._reconcile()
        Thread(target=self._reconcile_often, daemon=True).start()
        self._ready, self._idle_since = True, time.monotonic()
        (data / "engine.ready").write_text(str(os.getpid()))
        return self

    def _adopt(self) -> None:
        """Take over what ran in this folder's worker under another name: the folder was moved, or restored elsewhere.

        Whoever holds the folder's lock is its only worker.
        """
        mine = self._executor_id
        for row in self._client.list_workflows(status="PENDING", load_input=False, load_output=False):
            if row.executor_id != mine:
                self._client.resume_workflow(row.workflow_id, queue_name=row.queue_name or QUEUE)

    @property
    def _executor_id(self) -> str:
        return f"worker-{hashlib.sha256(str(self.studio.settings.data.resolve()).encode()).hexdigest()[:12]}"

    def __exit__(self, *_: object) -> None:
        """Give the running jobs back, so that they go on at the next start and this end is not counted as a crash."""
        self._leaving.set()
        (self.studio.settings.data / "engine.ready").unlink(missing_ok=True)
        DBOS.destroy(destroy_registry=False)
        with suppress(OperationalError):
            for row in self._client.list_workflows(status="PENDING", load_input=False, load_output=False):
                self._client.resume_workflow(row.workflow_id, queue_name=row.queue_name or QUEUE)
        self._client.destroy()
        self._executor.shutdown(wait=False)
        registry_forget(self._jobs)
        if self._claim is not None:
            self._claim.invalidate()
            self._claim.close()
        if self._lock is not None:
            self._lock.close()

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
        if status is not None and status.status in ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"):
            # a failed job ignores "resume"
            self.studio.records.remove(StopRecord, job, owner)
            DBOS.rewind_workflow(job, start_step=first_step_to_run(DBOS.list_workflow_steps(job)))
            return self._result_of(DBOS.retrieve_workflow(job), job, owner)
        with SetWorkflowID(job):
            return self._result_of(DBOS.start_workflow(self._jobs.job, kind, value), job, owner)

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
        files = JobFiles(self.studio.records, job, owner, self._patiently)
        reporter = Reporter(self.studio.records, job, owner, files.made)
        progress = reporter if self._progress is None else self._progress
        with self._turn_of(job), self._busy(job, reporter), self.studio.store.recording(files.made):
            began, is_whole = time.time(), not files.made  # a job that goes on took longer than it is seen to
            try:
                choice = self._choice_of(job, owner)
                self._note(job, kind, owner, "running", None, backbone=choice.model_dump(mode="json"), began=began)
                self._patiently(lambda: self.studio.records.remove(RankRecord, job, owner))
                progress.check_cancelled()
                request = read_request(kind, value, lambda wanted, key: self._find(owner, wanted, key))
                title, size = find_kind(kind).title(request), find_kind(kind).size(request)
                told = {"title": title.model_dump(mode="json"), "size": size.model_dump(mode="json")}
                self._note(job, kind, owner, "running", None, **told)
                files.keep(request)
                kept = files.stepping(_run_step)
                with self.studio.drawing_with(choice):
                    result = self.compute(lambda: find_kind(kind).load()(self.studio, request, kept, progress))
            except StudioError as error:
                self._note(job, kind, owner, "cancelled" if isinstance(error, Cancelled) else "failed", error)
                raise
            except OperationalError:
                self._note(job, kind, owner, "failed", StudioError("records_locked"))
                raise
            except Exception as error:
                # The engine wraps what a step raised; the cause is what a person can do something about.
                reason = f"{type(error).__name__}: {error}"[:_MAX_REASON]
                self._note(job, kind, owner, "failed", StudioError("job_unexpected", reason=reason))
                raise
            seconds = time.time() - began
        files.write()
        if is_whole:
            self._patiently(
                lambda: note_time(self.studio.records, job, kind, choice, JobTime(size=size, seconds=max(seconds, 0.0)))
            )
        self._note_result(job, kind, owner, result, title)
        return result.model_dump(mode="json")

    def _choice_of(self, job: str, owner: str) -> BackboneChoice:
        """Return the backbone that a job was asked for with: one that began on it goes on with it, whatever is chosen
        meanwhile.
        """
        row = self.studio.records.get(JobRecord, job, owner)
        told = None if row is None else row.facts.get("backbone")
        return self.studio.choice if told is None else BackboneChoice.model_validate_json(json.dumps(told))

    def _find(self, owner: str, kind: type[Result], key: str) -> Result:
        return find_result(self.studio.records, self.studio.store, owner, kind, key)

    @contextmanager
    def _turn_of(self, job: str) -> Iterator[None]:
        """One job at a time; one that the engine merely took first lets those go ahead whose turn it is."""
        while True:
            with self._turn:
                if not goes_behind(self._client, self.studio.records, job, APPLICATION_VERSION):
                    yield
                    return
            time.sleep(0.1)

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

    def _reconcile_often(self) -> None:
        with suppress(OperationalError):
            index_older_sets(self.studio.library)
        pause = _RECONCILE_SOON_S  # the engine gives a job up only when it would begin it once more
        while not self._leaving.wait(pause):
            self._reconcile()
            pause = _RECONCILE_EVERY_S

    def _reconcile(self) -> None:
        """Let records and engine agree; where one of them is locked or its disk full, the next minute will do."""
        running = self._running
        try:
            note_older_files(self.studio.library)
            reconcile(self.studio.records, self._client, self._settle, () if running is None else (running[0],))
        except OperationalError as error:
            if not self._leaving.is_set():
                _LOG.warning("Jobs are compared with the engine in a minute: %s", error)

    def _settle(self, row: JobRecord, how: StudioError | Json) -> None:
        if isinstance(how, dict):
            self._note_result(row.id, row.kind, row.owner, read_stored(find_kind(row.kind).result, how))
        else:
            self._note(row.id, row.kind, row.owner, "cancelled" if isinstance(how, Cancelled) else "failed", how)

    def _note_result(self, job: str, kind: str, owner: str, result: Result, title: JobTitle | None = None) -> None:
        key = self.studio.store.put_json(result.model_dump(mode="json"))
        JobFiles(self.studio.records, job, owner, self._patiently).finish(result, key)
        if find_kind(kind).indexed:
            self._patiently(lambda: index_result(self.studio.records, owner, result))
        entry = result.index_entry()
        if title is not None and entry is not None and (picture := entry.facts.get("picture")):
            title = title.model_copy(update={"picture": FileKey(str(picture))})
        told = {} if title is None else {"title": title.model_dump(mode="json")}
        self._note(job, kind, owner, "done", None, id=result.id, result=key, **told)

    def _note(self, job: str, kind: str, owner: str, state: str, error: StudioError | None, **facts: Any) -> None:
        if self._leaving.is_set():  # what a job meets when the engine goes is not its own
            return
        if error is not None:
            facts |= {"code": error.code, "raised": error.as_json()}

        def note() -> None:
            known = self.studio.records.get(JobRecord, job, owner)
            if known is None:
                known = JobRecord(id=job, owner=owner, kind=kind, state=state, error=None, facts={})
            kept = {name: fact for name, fact in known.facts.items() if name not in ("code", "raised")}
            known.state, known.error = state, None if error is None else Texts("en").error(error)
            known.facts = {**kept, "pid": os.getpid(), **facts}
            self.studio.records.keep(known)

        self._patiently(note)

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


def _set_up_logging() -> None:
    """Keep foreseen errors out of the engine's log, and let the rest go where standard error is at that time."""
    log = logging.getLogger("dbos")
    log.addFilter(_unforeseen)
    for handler in [h for h in log.handlers if type(h) is logging.StreamHandler]:
        ours = _StandardError(handler.level)
        ours.setFormatter(handler.formatter)
        log.removeHandler(handler)
        log.addHandler(ours)


class _StandardError(logging.StreamHandler[TextIO]):
    """A handler for whatever standard error is now; the engine's own keeps what it was when it was imported."""

    def __init__(self, level: int) -> None:
        logging.Handler.__init__(self, level)  # as logging's own last resort: there is no stream to keep

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def _unforeseen(record: logging.LogRecord) -> bool:
    """An error in the user's words is said to the user; the log is for those that nobody foresaw."""
    return not (record.exc_info and isinstance(record.exc_info[1], StudioError))


def registry_forget(instance: DBOSConfiguredInstance) -> None:
    """Let another engine in this process register its own jobs (tests open several studios in a row)."""
    from dbos._dbos import _get_or_create_dbos_registry

    instances = _get_or_create_dbos_registry().instance_info_map
    for key in [key for key, value in instances.items() if value is instance]:
        del instances[key]
