"""The queue as a page sees it: put, stop and retry jobs without running any, in a process that never loads torch."""

from __future__ import annotations

import time
from functools import cached_property
from pathlib import Path
from typing import Any

from dbos import DBOSClient, DBOSPortableJSONSerializer

from pipelines.errors import BadInput, StudioError
from studio.application import Studio
from studio.records import JobRecord, ReportRecord, StopRecord, content_id

__all__ = ["APPLICATION_VERSION", "KINDS", "QUEUE", "Queue", "engine_url", "first_step_to_run", "job_id"]

APPLICATION_VERSION = "4"  # raise it when a workflow's steps change; old jobs then need to be started anew
QUEUE = "work"
KINDS = ("design", "consolidate", "posts", "vary", "fix", "swap", "preview", "export")
_UNFINISHED = ("queued", "running")
_PATIENCE_S = 20.0


def engine_url(data: Path) -> str:
    """The durable engine's own database."""
    return f"sqlite:///{data.resolve() / 'engine.sqlite'}"


def job_id(kind: str, request: dict[str, Any]) -> str:
    """The same request is the same job: a double click makes one."""
    return f"{kind}-{content_id({'kind': kind, 'request': request, 'version': APPLICATION_VERSION})}"


def first_step_to_run(steps: Any) -> int:
    """Where a failed job goes on: at the step that failed, else behind the last one."""
    failed = [s["function_id"] for s in steps if s["error"] is not None]
    return min(failed) if failed else max((s["function_id"] for s in steps), default=0) + 1


class Queue:
    """One owner's jobs of one data folder. The worker (`studio.worker`) makes the database, and does the work."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    @cached_property
    def _client(self) -> DBOSClient:
        data = self.studio.settings.data
        deadline = time.monotonic() + _PATIENCE_S
        while not (data / "engine.ready").exists():
            if time.monotonic() > deadline:
                raise StudioError("The worker does not start.", "See what the terminal says.", code="no_worker")
            time.sleep(0.1)
        return DBOSClient(
            system_database_url=engine_url(data),
            serializer=DBOSPortableJSONSerializer(),
            application_name="persona-studio",
        )

    def put(self, kind: str, request: dict[str, Any], **facts: Any) -> str:
        """Queue a job, or find the same one; its id. A finished one is not run again, a failed or stopped one is.

        `facts` are kept for the page (a title). Raises BadInput, StudioError.
        """
        if kind not in KINDS:
            raise BadInput(f"There is no job of the kind {kind!r}.", f"Choose one of: {', '.join(KINDS)}.")
        owner, job = str(request["owner"]), job_id(kind, request)
        known = self.find(job, owner)
        if known is not None and known.state in (*_UNFINISHED, "done"):
            return job
        if known is not None:
            self.retry(job, owner)
            return job
        client = self._client
        row = JobRecord(id=job, owner=owner, kind=kind, state="queued", error=None, facts=facts)
        self.studio.records.keep(row)
        client.enqueue(
            {
                "workflow_name": "job",
                "class_name": "_Jobs",
                "instance_name": "studio",
                "queue_name": QUEUE,
                "workflow_id": job,
                "app_version": APPLICATION_VERSION,
            },
            kind,
            request,
        )
        return job

    def stop(self, job: str, owner: str) -> None:
        """Ask a job to stop: at once where it waits, at its next denoising or training step where it runs."""
        row = self._mine(job, owner)
        if row.state not in _UNFINISHED:
            return
        self.studio.records.keep(StopRecord(id=job, owner=owner))
        status = next(iter(self._client.list_workflows(workflow_ids=[job], load_input=False, load_output=False)), None)
        if status is None or status.status in ("ENQUEUED", "DELAYED"):
            self._client.cancel_workflow(job)
            self._keep(row, "cancelled", "Stopped.")

    def retry(self, job: str, owner: str) -> None:
        """Let a failed or stopped job go on behind its last finished step."""
        row = self._mine(job, owner)
        if row.state in (*_UNFINISHED, "done"):
            return
        self.studio.records.remove(StopRecord, job, owner)
        self.studio.records.remove(ReportRecord, job, owner)
        self._keep(row, "queued", None)
        client = self._client
        status = next(iter(client.list_workflows(workflow_ids=[job], load_input=False, load_output=False)), None)
        if status is not None and status.status in ("PENDING", "ENQUEUED", "DELAYED"):
            return
        if status is not None and status.status == "CANCELLED":
            client.resume_workflow(job, queue_name=QUEUE)
            return
        step = first_step_to_run(client.list_workflow_steps(job))
        client.rewind_workflow(job, start_step=step, queue_name=QUEUE, application_version=APPLICATION_VERSION)

    def find(self, job: str, owner: str) -> JobRecord | None:
        return self.studio.records.get(JobRecord, job, owner)

    def jobs(self, owner: str) -> list[JobRecord]:
        """Newest first."""
        return self.studio.records.find(JobRecord, owner)[::-1]

    def active(self, owner: str, kind: str) -> JobRecord | None:
        """The owner's newest job of a kind that is not finished."""
        return next((row for row in self.jobs(owner) if row.kind == kind and row.state in _UNFINISHED), None)

    def report(self, job: str, owner: str) -> dict[str, Any]:
        """What the worker last said of it; empty before it began."""
        row = self.studio.records.get(ReportRecord, job, owner)
        return {} if row is None else dict(row.facts)

    def result(self, row: JobRecord) -> dict[str, Any]:
        """Of a finished job."""
        return dict(self.studio.store.get_json(row.facts["result"]))

    def results(self, owner: str, kind: str) -> list[dict[str, Any]]:
        """Of all finished jobs of a kind, newest first."""
        return [self.result(row) for row in self.jobs(owner) if row.kind == kind and row.state == "done"]

    def _mine(self, job: str, owner: str) -> JobRecord:
        row = self.find(job, owner)
        if row is None:
            raise BadInput("There is no such job.", "Load the page again.", code="no_job")
        return row

    def _keep(self, row: JobRecord, state: str, error: str | None) -> None:
        row.state, row.error = state, error
        self.studio.records.keep(row)
