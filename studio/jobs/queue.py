"""The queue as a page sees it: put, stop and retry jobs without running any, in a process that never loads torch."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from dbos import DBOSClient, DBOSPortableJSONSerializer, WorkflowStatus
from sqlalchemy.exc import SQLAlchemyError

from pipelines.errors import BadInput, StudioError
from pipelines.models.sources import MINIATURE
from studio.application import Studio
from studio.domain.migration import read_stored
from studio.domain.report import Report
from studio.domain.takes import FixRequest, VaryRequest
from studio.domain.training import training_marks
from studio.domain.values import Request, Result
from studio.jobs.consents import check_consents
from studio.jobs.engine_tables import has_tables
from studio.jobs.files import JobFiles
from studio.jobs.fit import check_fits_backbone
from studio.jobs.kinds import Kind, kind_of
from studio.jobs.licences import warnings_before
from studio.jobs.notes import doubts_before
from studio.jobs.ranks import in_order, move_by, move_first
from studio.library.grants import check_readable
from studio.library.records import (
    PAUSED,
    HoldRecord,
    JobFilesRecord,
    JobRecord,
    MarkRecord,
    RankRecord,
    Records,
    ReportRecord,
    RequestRecord,
    StopRecord,
    content_id,
)
from studio.settings import Settings

__all__ = [
    "APPLICATION_VERSION",
    "HELD",
    "MOST_RESULTS",
    "QUEUE",
    "Queue",
    "admit",
    "engine_url",
    "enqueue",
    "first_step_to_run",
    "move_over",
    "queue_of",
]

# raise it when a workflow's steps or the shipped weights change; unfinished jobs then run again from their beginning
APPLICATION_VERSION = "15"
QUEUE = "work"  # where jobs wait; workers pick from it by themselves (`studio.jobs.dispatch`)
HELD = "held"  # where the jobs of a paused owner wait
_UNFINISHED = ("queued", "running")
_PATIENCE_S = 20.0
_MOST_JOBS = 1_000_000
_MOST_WAITING = 200  # of one owner
MOST_RESULTS = 100
R = TypeVar("R", bound=Result)


def engine_url(settings: Settings) -> str:
    """Return where the durable engine keeps its own tables: a file, or a schema of its own beside the records."""
    url = settings.database.get_secret_value()
    return url or f"sqlite:///{settings.data.resolve() / 'engine.sqlite'}"


def admit(studio: Studio, request: Request) -> tuple[str, Kind, dict[str, Any]]:
    """Return the job's id, its kind, and the request as JSON. The same request to the same backbone is the same job: a
    double click makes one.

    Raises BadInput where the request names a file that its owner may not see or what the backbone does not fit, what
    its `check_before` raises, and ConsentMissing where somebody it would show no longer agrees.
    """
    request.check_before()
    check_readable(studio.records, request.owner, request.file_keys())
    check_consents(studio, request)
    check_fits_backbone(studio, request)
    kind, value = kind_of(request), request.model_dump(mode="json")
    told: dict[str, Any] = {"kind": kind.name, "request": value, "version": APPLICATION_VERSION}
    if "running" in kind.uses and (choice := studio.choice).backbone != MINIATURE:
        # another backbone draws other pictures, and so do other weights in its place
        drawing, trained = training_marks(studio.settings)
        told["backbone"] = [choice.backbone, choice.base, drawing]
        if "fine_tuning" in kind.uses:
            told["trained"] = trained
    return f"{kind.name}-{content_id(told)}", kind, value


def first_step_to_run(steps: Any) -> int:
    """Where a failed job goes on: at the step that failed, else behind the last one."""
    failed = [s["function_id"] for s in steps if s["error"] is not None]
    return min(failed) if failed else max((s["function_id"] for s in steps), default=0) + 1


def queue_of(records: Records, owner: str) -> str:
    """Return the queue that an owner's new jobs wait in."""
    row = records.get(MarkRecord, PAUSED, owner)
    return HELD if row is not None and row.facts.get("paused") else QUEUE


def enqueue(client: DBOSClient, records: Records, request: RequestRecord, queue: str) -> None:
    """Give the engine a job whose row and request are in the records; nothing happens to one that it has already."""
    client.enqueue(
        {
            "workflow_name": "job",
            "class_name": "_Jobs",
            "instance_name": "studio",
            "queue_name": queue,
            "workflow_id": request.id,
            "app_version": APPLICATION_VERSION,
        },
        request.facts["kind"],
        request.facts["request"],
    )
    records.remove(RequestRecord, request.id, request.owner)


def move_over(client: DBOSClient, job: str, queue: str) -> None:
    """Let an unfinished or ended workflow run from its beginning, under this version."""
    client.cancel_workflow(job)
    client.rewind_workflow(job, start_step=1, queue_name=queue, application_version=APPLICATION_VERSION)


class Queue:
    """One owner's jobs of one data folder. The worker (`studio.jobs.worker`) makes the database, and does the work."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._read = lru_cache(maxsize=4 * MOST_RESULTS)(self._read_result)  # what is stored never changes

    @cached_property
    def _client(self) -> DBOSClient:
        deadline = time.monotonic() + _PATIENCE_S
        while not self._has_engine():
            if time.monotonic() > deadline:
                raise StudioError("no_worker")
            time.sleep(0.2)
        return DBOSClient(
            system_database_url=engine_url(self.studio.settings),
            serializer=DBOSPortableJSONSerializer(),
            application_name="persona-studio",
        )

    def _has_engine(self) -> bool:
        """Whether a worker has made the engine's tables: jobs may then wait for it, or for the next."""
        return has_tables(engine_url(self.studio.settings))

    def client_if_any(self) -> DBOSClient | None:
        """Return the engine's client without waiting for a worker to make the engine."""
        return self._client if "_client" in self.__dict__ or self._has_engine() else None

    def load_ahead(self) -> None:
        """Meet the engine before anybody presses anything: the first time takes half a second."""
        with suppress(StudioError, SQLAlchemyError):
            self._client.list_workflows(limit=1, load_input=False, load_output=False)

    def put(self, request: Request, **facts: Any) -> str:
        """Queue a job, or find the same one; return its id. A failed or stopped one goes on, a finished one is left.

        `facts` are kept for the page (a title). If this process ends between the row and the engine, the worker finds
        the request in the records (`studio.jobs.reconcile`). Raises BadInput, StudioError.
        """
        (job, kind, value), owner = admit(self.studio, request), request.owner
        known = self.find(job, owner)
        if known is not None and known.state in (*_UNFINISHED, "done"):
            return job
        wish = RequestRecord(id=job, owner=owner, facts={"kind": kind.name, "request": value})
        if known is not None:
            self._again(known, wish)
            return job
        if len(self.jobs(owner, _MOST_WAITING, state="queued")) >= _MOST_WAITING:
            raise BadInput("too_many_waiting", count=_MOST_WAITING)
        client = self._client  # may wait for the worker
        if isinstance(request, VaryRequest | FixRequest):  # a new take goes when its set goes
            facts = facts | {"set": request.post_set.id}
        JobFiles(self.studio.records, job, owner).keep(request)
        try:
            check_readable(self.studio.records, owner, request.file_keys())  # a sweep may have come in between
        except BadInput:
            self.studio.records.remove(JobFilesRecord, job, owner)
            raise
        if warnings := warnings_before(self.studio, request):
            facts = facts | {"licence_warnings": [warning.model_dump(mode="json") for warning in warnings]}
        if unsure := doubts_before(self.studio, request):
            facts = facts | {"doubts": [doubt.model_dump(mode="json") for doubt in unsure]}
        facts = facts | {"backbone": self.studio.choice.model_dump(mode="json")}
        facts = facts | {"size": kind.size(request).model_dump(mode="json")}
        facts = facts | {"title": kind.title(request).model_dump(mode="json")}
        row = JobRecord(id=job, owner=owner, kind=kind.name, state="queued", error=None, facts=facts)
        self.studio.records.keep(row, wish)
        enqueue(client, self.studio.records, wish, queue_of(self.studio.records, owner))
        return job

    def stop(self, job: str, owner: str) -> None:
        """Ask a job to stop: at once where it waits, at its next denoising or training step where it runs."""
        row = self._mine(job, owner)
        if row.state not in _UNFINISHED:
            return
        self.studio.records.keep(StopRecord(id=job, owner=owner))
        status = self._workflow(job)
        if status is None or status.status != "PENDING" or status.app_version != APPLICATION_VERSION:
            self._client.cancel_workflow(job)
            self._keep(row, "cancelled", "Stopped.")

    def retry(self, job: str, owner: str) -> None:
        """Let a failed or stopped job go on behind its last finished step."""
        row = self._mine(job, owner)
        if row.state not in (*_UNFINISHED, "done"):
            self._again(row, self.studio.records.get(RequestRecord, job, owner))

    def _again(self, row: JobRecord, request: RequestRecord | None) -> None:
        """`request` is needed only where the engine does not know the job. Raises StudioError without it."""
        job, owner, client = row.id, row.owner, self._client
        status, queue = self._workflow(job), queue_of(self.studio.records, owner)
        if status is None and request is None:
            raise StudioError("job_lost")
        self.studio.records.remove(StopRecord, job, owner)
        self.studio.records.remove(ReportRecord, job, owner)
        self._keep(row, "queued", None)
        if status is None:
            assert request is not None
            self.studio.records.keep(request)
            enqueue(client, self.studio.records, request, queue)
        elif status.app_version not in (None, APPLICATION_VERSION):
            move_over(client, job, queue)
        elif status.status == "CANCELLED":
            client.resume_workflow(job, queue_name=queue)
        elif status.status not in ("PENDING", "ENQUEUED", "DELAYED"):
            step = first_step_to_run(client.list_workflow_steps(job))
            client.rewind_workflow(job, start_step=step, queue_name=queue, application_version=APPLICATION_VERSION)

    def _workflow(self, job: str) -> WorkflowStatus | None:
        return next(iter(self._client.list_workflows(workflow_ids=[job], load_input=False, load_output=False)), None)

    def run_next(self, job: str, owner: str) -> None:
        """Let a waiting job run before all others of its owner; nothing happens to one that runs or is done.

        Priorities of the engine cannot be changed once a job waits: the worker follows the order of the records
        (`studio.jobs.ranks`).
        """
        self._mine(job, owner)
        move_first(self.studio.records, job, owner)

    def move(self, job: str, owner: str, places: int) -> None:
        """Move a waiting job so many places up (negative) or down among its owner's; beyond an end is the end."""
        self._mine(job, owner)
        move_by(self.studio.records, job, owner, places)

    def waiting(self, owner: str) -> list[JobRecord]:
        """Return the owner's waiting jobs, the next first."""
        return [row for _, row in in_order(self.studio.records, self.jobs(owner, state="queued"))]

    def pause(self, owner: str, paused: bool) -> None:
        """Start no more of this owner's jobs, or go on; what runs goes on. New jobs wait, too."""
        row = self.studio.records.get(MarkRecord, PAUSED, owner) or MarkRecord(id=PAUSED, owner=owner)
        row.facts = {"paused": paused}
        self.studio.records.keep(row)
        waiting = [job.id for job in self.jobs(owner, state="queued")]
        self._move(waiting[::-1], queue_of(self.studio.records, owner))

    def paused(self, owner: str) -> bool:
        return queue_of(self.studio.records, owner) == HELD

    def _move(self, jobs: list[str], queue: str) -> None:
        """Only what really waits: a job that was just taken would be started twice."""
        if not jobs:
            return
        rows = self._client.list_workflows(workflow_ids=jobs, status="ENQUEUED", load_input=False, load_output=False)
        if waiting := {row.workflow_id for row in rows}:
            self._client.resume_workflows([job for job in jobs if job in waiting], queue_name=queue)

    def find(self, job: str, owner: str) -> JobRecord | None:
        return self.studio.records.get(JobRecord, job, owner)

    def jobs(self, owner: str, limit: int = _MOST_JOBS, **equal: str) -> list[JobRecord]:
        """Newest first; `equal` are columns, such as kind="posts"."""
        return self.studio.records.newest(JobRecord, owner, limit, **equal)

    def active(self, owner: str, kind: str) -> JobRecord | None:
        """The owner's newest job of a kind that is not finished."""
        return next((row for row in self.jobs(owner, 50, kind=kind) if row.state in _UNFINISHED), None)

    def forget(self, jobs: list[str], owner: str) -> None:
        """As if these jobs had never been; the same request is then a new job. Raises BadInput for another's."""
        for job in jobs:
            self._mine(job, owner)
        if jobs:
            self._client.delete_workflows(jobs)
        for job in jobs:
            for table in (RequestRecord, ReportRecord, StopRecord, RankRecord, HoldRecord, JobFilesRecord, JobRecord):
                self.studio.records.remove(table, job, owner)

    def report(self, job: str, owner: str) -> Report:
        """Return what the worker last said of it; empty before it began, and where a studio of another version said it:
        the next report replaces that one.
        """
        row = self.studio.records.get(ReportRecord, job, owner)
        if row is None:
            return Report()
        try:
            return read_stored(Report, row.facts)
        except StudioError:
            return Report()

    def result(self, row: JobRecord, kind: type[R]) -> R:
        """Return the result of a finished job."""
        return self._read(kind, str(row.facts["result"]))

    def results(self, kind: type[R], owner: str, limit: int | None = MOST_RESULTS) -> list[R]:
        """Return the last results of a kind, newest first, None all; the library (`studio.library.index`) finds older
        ones."""
        most = _MOST_JOBS if limit is None else limit
        return [self.result(row, kind) for row in self.jobs(owner, most, kind=kind.kind, state="done")]

    def _read_result(self, kind: type[R], key: str) -> R:
        return read_stored(kind, self.studio.store.get_json(key))

    def _mine(self, job: str, owner: str) -> JobRecord:
        row = self.find(job, owner)
        if row is None:
            raise BadInput("no_job")
        return row

    def _keep(self, row: JobRecord, state: str, error: str | None) -> None:
        row.state, row.error = state, error
        row.facts = {name: value for name, value in row.facts.items() if name not in ("code", "raised")}
        self.studio.records.keep(row)
