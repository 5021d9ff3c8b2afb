"""Brings records and engine together again where they disagree.

They are two databases, and a process may end, or one of them be locked, between a write to the one and a write to the
other. What a person sees are the records; what is done is the engine's. So each unfinished job of the records is
compared with its workflow, at the worker's start and every minute.
"""

from __future__ import annotations

from collections.abc import Callable

from dbos import DBOSClient, PortableWorkflowError, WorkflowStatus

from pipelines import errors
from pipelines.errors import Cancelled, StudioError, error_from_json
from studio.domain.migration import Json
from studio.jobs.holds import NOBODY
from studio.jobs.queue import APPLICATION_VERSION, enqueue, move_over, queue_of
from studio.library.records import HoldRecord, JobRecord, Records, RequestRecord

__all__ = ["Settle", "ended_with", "error_of", "reconcile"]

_UNFINISHED = ("queued", "running")
_CHUNK = 500

Settle = Callable[[JobRecord, StudioError | Json], None]
"""Notes how a job of the records ended: with this error, or with this result."""


def reconcile(records: Records, client: DBOSClient, settle: Settle) -> int:
    """Compare every unfinished job with its workflow, and put right what differs; return how many did.

    - no workflow: enqueued again with the request that was stored with the row; without one the job has failed
    - a workflow of an older version: moved over, to run from its beginning
    - a workflow that has ended: its state and result are noted

    Jobs that a worker holds are its own. Raises SQLAlchemy's OperationalError where a database is locked.
    """
    # first the requests, then the rows, then the workflows: whoever puts a job writes in the other order
    requests = {(r.id, r.owner): r for r in records.everyones(RequestRecord)}
    rows = records.everyones(JobRecord, "state", _UNFINISHED)
    held = {(r.id, r.owner) for r in records.everyones(HoldRecord) if r.worker != NOBODY}
    rows = [r for r in rows if (r.id, r.owner) not in held]
    known = _workflows(client, sorted({r.id for r in rows} | {job for job, _ in requests}))
    for job, owner in requests:
        if job in known:
            records.remove(RequestRecord, job, owner)
    return sum(
        _put_right(records, client, settle, row, known.get(row.id), requests.get((row.id, row.owner))) for row in rows
    )


def _put_right(
    records: Records,
    client: DBOSClient,
    settle: Settle,
    row: JobRecord,
    workflow: WorkflowStatus | None,
    request: RequestRecord | None,
) -> bool:
    if workflow is None:
        if request is None:
            return _settle(records, settle, row, StudioError("job_lost"))
        enqueue(client, records, request, queue_of(records, row.owner))
        return True
    if workflow.status in ("ENQUEUED", "PENDING", "DELAYED"):
        if workflow.app_version in (None, APPLICATION_VERSION):
            return False
        move_over(client, row.id, queue_of(records, row.owner))
        return True
    ended = client.list_workflows(workflow_ids=[row.id])[0]
    return _settle(records, settle, row, ended_with(ended))


def _settle(records: Records, settle: Settle, row: JobRecord, how: StudioError | Json) -> bool:
    """Unless the worker has noted it meanwhile."""
    now, hold = records.get(JobRecord, row.id, row.owner), records.get(HoldRecord, row.id, row.owner)
    if now is None or now.state not in _UNFINISHED or (hold is not None and hold.worker != NOBODY):
        return False
    settle(now, how)
    return True


def ended_with(workflow: WorkflowStatus) -> StudioError | Json:
    """Return the result or the error of a workflow that has ended."""
    if workflow.status == "SUCCESS":
        return dict(workflow.output or {})
    if workflow.status == "CANCELLED":
        return Cancelled("job_stopped")
    if workflow.status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED":
        return StudioError("job_given_up")
    error = workflow.error
    name = error.name if isinstance(error, PortableWorkflowError) else type(error).__name__
    if name == "OperationalError":
        return StudioError("records_locked")
    told = error_of(error) if isinstance(error, PortableWorkflowError) else None
    return told or StudioError("job_unexpected", reason=f"{name}: {error}"[:300])


def error_of(error: PortableWorkflowError) -> StudioError | None:
    """Return the error that a workflow ended with, None for one that nobody foresaw.

    The engine keeps `StudioError.data` beside it; version 0.1 kept the class's name and a sentence.
    """
    if isinstance(error.data, dict) and "code" in error.data:
        return error_from_json(error.data)
    kind = getattr(errors, error.name, None)
    if isinstance(kind, type) and issubclass(kind, StudioError):
        return StudioError("failed_before", said=error.message)
    return None


def _workflows(client: DBOSClient, jobs: list[str]) -> dict[str, WorkflowStatus]:
    found: dict[str, WorkflowStatus] = {}
    for start in range(0, len(jobs), _CHUNK):
        part = jobs[start : start + _CHUNK]
        for status in client.list_workflows(workflow_ids=part, load_input=False, load_output=False):
            found[status.workflow_id] = status
    return found
