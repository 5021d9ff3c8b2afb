"""The durable engine: workflows that go on where they were after a crash (DBOS Transact on SQLite).

What is closed on purpose (see docs/decisions): portable JSON instead of pickle; an executor id that belongs to the
data folder, and a lock so that no second process takes its jobs; a pinned application version; steps whose results
are content keys, so that running one twice changes nothing; a job that failed may be tried again; no telemetry, no
cloud.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path
from threading import Lock
from typing import IO, Any, ParamSpec, TypeVar

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

from pipelines import errors
from pipelines.errors import BadInput, Cancelled, StudioError
from pipelines.progress import SILENT, Progress
from studio.application import Studio
from studio.jobs.heartbeat import Pulse
from studio.jobs.progress import Reporter
from studio.jobs.queue import APPLICATION_VERSION, NEXT, QUEUE, engine_url, first_step_to_run, job_id
from studio.library.index import shelve
from studio.library.records import JobRecord, StopRecord

__all__ = ["Engine"]

_MAX_RECOVERIES = 3
P = ParamSpec("P")
T = TypeVar("T")


@DBOS.dbos_class()
class _Jobs(DBOSConfiguredInstance):
    """The workflows as the engine knows them; JSON in, JSON out."""

    def __init__(self, engine: Engine) -> None:
        super().__init__("studio")
        self.engine = engine

    @DBOS.workflow(name="job", max_recovery_attempts=_MAX_RECOVERIES)
    def job(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        return self.engine.perform(str(DBOS.workflow_id), kind, request)


def _run_step(name: str, step: Callable[[], Any]) -> Any:
    return DBOS.run_step({"name": name}, step)


def _design(studio: Studio, request: dict[str, Any], run: Any, progress: Progress) -> dict[str, Any]:
    from studio.domain.requests import DesignRequest
    from studio.workflows.design import design_persona

    return design_persona(studio, DesignRequest(**request), run, progress)


def _consolidate(studio: Studio, request: dict[str, Any], run: Any, progress: Progress) -> dict[str, Any]:
    from studio.domain.requests import ConsolidateRequest
    from studio.workflows.consolidate import consolidate_persona

    return consolidate_persona(studio, ConsolidateRequest(**request), run, progress)


def _posts(studio: Studio, request: dict[str, Any], run: Any, progress: Progress) -> dict[str, Any]:
    from studio.domain.requests import PostRequest
    from studio.workflows.post import draw_posts

    return draw_posts(studio, PostRequest(**request), run, progress)


def _vary(studio: Studio, request: dict[str, Any], run: Any, progress: Progress) -> dict[str, Any]:
    from studio.domain.requests import VaryRequest
    from studio.workflows.takes import vary_post

    return vary_post(studio, VaryRequest(**request), run, progress)


def _fix(studio: Studio, request: dict[str, Any], run: Any, progress: Progress) -> dict[str, Any]:
    from studio.domain.requests import FixRequest
    from studio.workflows.takes import fix_post

    return fix_post(studio, FixRequest(**request), run, progress)


def _swap(studio: Studio, request: dict[str, Any], run: Any, progress: Progress) -> dict[str, Any]:
    from studio.workflows.swap import SwapRequest, swap_faces

    return swap_faces(studio, SwapRequest(**request), run, progress)


def _preview(studio: Studio, request: dict[str, Any], run: Any, progress: Progress) -> dict[str, Any]:
    from studio.domain.requests import PreviewRequest
    from studio.workflows.preview import preview_recipes

    return preview_recipes(studio, PreviewRequest(**request), run, progress)


def _strengths(studio: Studio, request: dict[str, Any], run: Any, progress: Progress) -> dict[str, Any]:
    from studio.domain.requests import StrengthsRequest
    from studio.workflows.preview import preview_strengths

    return preview_strengths(studio, StrengthsRequest(**request), run, progress)


def _export(studio: Studio, request: dict[str, Any], run: Any, progress: Progress) -> dict[str, Any]:
    from studio.domain.requests import ExportRequest
    from studio.workflows.bundling import export_posts

    return export_posts(studio, ExportRequest(**request), run, progress)


def _donor(studio: Studio, request: dict[str, Any], run: Any, progress: Progress) -> dict[str, Any]:
    from studio.domain.requests import DonorRequest
    from studio.workflows.donors import add_uploaded_donor

    return add_uploaded_donor(studio, DonorRequest(**request), run, progress)


_FUNCTIONS: dict[str, Callable[[Studio, dict[str, Any], Any, Progress], dict[str, Any]]] = {
    "design": _design,
    "consolidate": _consolidate,
    "posts": _posts,
    "vary": _vary,
    "fix": _fix,
    "swap": _swap,
    "preview": _preview,
    "strengths": _strengths,
    "export": _export,
    "donor": _donor,
}


class Engine:
    """One worker process on one data folder. Use it as a context manager.

    `progress` is told of all jobs; without one each job's own goes into the records, for a page to read.
    """

    def __init__(self, studio: Studio, progress: Progress | None = SILENT) -> None:
        self.studio, self._progress = studio, progress
        self._lock: IO[str] | None = None
        self._running: tuple[str, Reporter] | None = None
        self._ready, self._idle_since = False, time.monotonic()
        # One thread computes for all jobs: each that does has OpenMP threads of its own, and where those are more than
        # the cores, they sleep between operations instead of waiting: small models are drawn half as quickly.
        self._hands = ThreadPoolExecutor(1, "compute")
        self._turn = Lock()  # jobs share one set of models; recovered ones do not come through the queue

    def __enter__(self) -> Engine:
        """Start; jobs that were running when the last process died go on at once."""
        data = self.studio.settings.data
        self._lock = _lock(data / "worker.lock")
        config = DBOSConfig(
            name="persona-studio",
            system_database_url=engine_url(data),
            application_version=APPLICATION_VERSION,
            executor_id=f"worker-{hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]}",
            serializer=DBOSPortableJSONSerializer(),
            log_level="ERROR",
            enable_otlp=False,
        )
        DBOS(config=config)
        logging.getLogger("dbos").addFilter(_unforeseen)
        self._jobs = _Jobs(self)
        DBOS.launch()
        self._client = DBOSClient(
            system_database_url=engine_url(data),
            serializer=DBOSPortableJSONSerializer(),
            application_name="persona-studio",
        )
        for queue in (QUEUE, NEXT):
            DBOS.register_queue(queue, worker_concurrency=1, polling_interval_sec=0.2, on_conflict="always_update")
        self._give_up()
        self._ready, self._idle_since = True, time.monotonic()
        (data / "engine.ready").touch()
        return self

    def __exit__(self, *_: object) -> None:
        DBOS.destroy(destroy_registry=False)
        self._client.destroy()
        self._hands.shutdown(wait=False)
        registry_forget(self._jobs)
        if self._lock is not None:
            self._lock.close()

    def run(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        """Run a job to its end, or join the one that already runs; a finished one is not run again.

        Raises the job's own StudioError. A job that failed is tried again, from its first unfinished step on.
        """
        if kind not in _FUNCTIONS:
            raise BadInput(f"There is no job of the kind {kind!r}.", f"Choose one of: {', '.join(_FUNCTIONS)}.")
        job = job_id(kind, request)
        status = DBOS.get_workflow_status(job)
        if status is not None and status.status in ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"):
            # a failed job ignores "resume"
            owner = self._owner(request)
            self.studio.records.remove(StopRecord, job, owner)
            DBOS.rewind_workflow(job, start_step=first_step_to_run(DBOS.list_workflow_steps(job)))
            return _result_of(DBOS.retrieve_workflow(job))
        with SetWorkflowID(job):
            return _result_of(DBOS.start_workflow(self._jobs.job, kind, request))

    def compute(self, function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """Call it in the thread in which all jobs compute, and wait."""
        context = copy_context()  # the engine knows the running job by it
        return self._hands.submit(lambda: context.run(function, *args, **named)).result()

    def perform(self, job: str, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        """A workflow's body: what happens to a job is noted wherever it was started from, recovered ones too."""
        owner = self._owner(request)
        reporter = Reporter(self.studio.records, job, owner)
        progress = reporter if self._progress is None else self._progress
        with self._turn_of(job), self._busy(job, reporter):
            self._note(job, kind, owner, "running", None)
            try:
                progress.check_cancelled()
                result = self.compute(_FUNCTIONS[kind], self.studio, request, _run_step, progress)
            except StudioError as error:
                state = "cancelled" if isinstance(error, Cancelled) else "failed"
                self._note(job, kind, owner, state, str(error), code=error.code)
                raise
            except Exception as error:
                # The engine wraps what a step raised; the cause is what a person can do something about.
                self._note(job, kind, owner, "failed", f"{type(error).__name__}: {error}", code="unexpected")
                raise
        self.studio.records.share(owner, result)
        shelve(self.studio.records, owner, kind, result)
        self._note(job, kind, owner, "done", None, id=result["id"], result=self.studio.store.put_json(result))
        return result

    @contextmanager
    def _turn_of(self, job: str) -> Iterator[None]:
        """One job at a time; one that was merely taken first lets those go ahead that shall run next."""
        while True:
            with self._turn:
                if not self._goes_behind(job):
                    yield
                    return
            time.sleep(0.1)

    def _goes_behind(self, job: str) -> bool:
        # asked through a client: what a workflow asks the engine itself becomes one of its steps
        ask: dict[str, Any] = {"load_input": False, "load_output": False}
        if not any(row.queue_name == QUEUE for row in self._client.list_workflows(workflow_ids=[job], **ask)):
            return False
        return bool(self._client.list_workflows(queue_name=NEXT, status=["ENQUEUED", "PENDING"], **ask))

    def pulse(self) -> Pulse:
        """What is done now, for whoever watches this process."""
        now, running = time.monotonic(), self._running
        if running is not None:
            return Pulse(running[0], now - running[1].moved)
        return Pulse("" if self._ready else "its start", now - self._idle_since)

    @contextmanager
    def _busy(self, job: str, reporter: Reporter) -> Iterator[None]:
        reporter.moved = time.monotonic()
        self._running = (job, reporter)
        try:
            yield
        finally:
            self._idle_since = time.monotonic()
            self._running = None

    def _give_up(self) -> None:
        """A job that ended its worker too often is not taken up again; whoever waits for it must hear so."""
        for status in DBOS.list_workflows(status="MAX_RECOVERY_ATTEMPTS_EXCEEDED", load_input=False, load_output=False):
            for row in self.studio.records.all_of(JobRecord, status.workflow_id):
                if row.state in ("queued", "running"):
                    self._note(row.id, row.kind, row.owner, "failed", "The worker ended again and again. Try again.")

    def _owner(self, request: dict[str, Any]) -> str:
        return str(request.get("owner", self.studio.settings.owner))

    def _note(self, job: str, kind: str, owner: str, state: str, error: str | None, **facts: str) -> None:
        known = self.studio.records.get(JobRecord, job, owner)
        if known is None:
            known = JobRecord(id=job, owner=owner, kind=kind, state=state, error=error, facts={})
        known.state, known.error, known.facts = state, error, {**known.facts, "pid": os.getpid(), **facts}
        self.studio.records.keep(known)


def _result_of(handle: WorkflowHandle[dict[str, Any]]) -> dict[str, Any]:
    """A job's result. What a job of before was stored to have raised comes back by its name and its words."""
    try:
        return dict(handle.get_result())
    except PortableWorkflowError as error:
        known = getattr(errors, error.name, None)
        if isinstance(known, type) and issubclass(known, StudioError):
            raise known(error.message) from error
        raise


def _unforeseen(record: logging.LogRecord) -> bool:
    """An error in the user's words is said to the user; the log is for those that nobody foresaw."""
    return not (record.exc_info and isinstance(record.exc_info[1], StudioError))


def registry_forget(instance: DBOSConfiguredInstance) -> None:
    """Let another engine in this process register its own jobs (tests open several studios in a row)."""
    from dbos._dbos import _get_or_create_dbos_registry

    instances = _get_or_create_dbos_registry().instance_info_map
    for key in [key for key, value in instances.items() if value is instance]:
        del instances[key]


def _lock(path: Path) -> IO[str]:
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise BadInput(
            f"Another studio is working in {path.parent}.", "Wait until it is done, or choose another data folder."
        ) from error
    return handle
