"""Which job a worker takes next. Jobs wait in one queue that no worker listens to; a free worker picks the one whose
turn it is (`studio.jobs.ranks`), takes its hold, and has it put into the queue that it alone listens to.

So order and fairness are the same for one worker and for many, and nobody has a job waiting who could not begin it.
"""

from __future__ import annotations

from dbos import DBOSClient, WorkflowStatus

from studio.jobs.holds import Hold, forget_hold, take_hold
from studio.jobs.queue import HELD, QUEUE
from studio.jobs.ranks import in_order
from studio.library.records import HoldRecord, JobRecord, Records

__all__ = ["adopt_orphans", "drop_ended", "own_queue", "take_next"]

_UNFINISHED = ["ENQUEUED", "PENDING", "DELAYED"]


def own_queue(executor: str) -> str:
    """Return the queue that this process alone listens to."""
    return f"{QUEUE}-{executor}"


def take_next(client: DBOSClient, records: Records, worker: str, executor: str, version: str) -> Hold | None:
    """Take the job whose turn it is, and have it put into this worker's own queue; None where nothing waits, or another
    was quicker. `version` is the application's: others' jobs are not taken.
    """
    if not client.list_workflows(queue_name=QUEUE, status="ENQUEUED", limit=1, load_input=False, load_output=False):
        return None
    rows = client.list_workflows(queue_name=QUEUE, status="ENQUEUED", load_input=False, load_output=False)
    waiting = {row.workflow_id for row in rows if row.app_version in (None, version)}
    # those that run at other workers count: who has one running gives way
    unfinished = records.everyones(JobRecord, "state", ("queued", "running"))
    known = {row.id for row in unfinished}
    others = records.everyones(JobRecord, "id", sorted(waiting - known))
    order = [(row.id, row.owner) for _, row in in_order(records, [*unfinished, *others]) if row.id in waiting]
    job, owner = order[0] if order else _without_row(client, sorted(waiting))
    hold = take_hold(records, job, owner, worker) if job else None
    if hold is not None:
        client.resume_workflow(hold.job, queue_name=own_queue(executor))
    return hold


def _without_row(client: DBOSClient, jobs: list[str]) -> tuple[str, str]:
    """Return a job, and its owner, whose process ended before it wrote a row; ("", "") without one."""
    if not jobs:
        return "", ""
    (row,) = client.list_workflows(workflow_ids=jobs[:1], load_output=False)
    request = (row.input or {"args": ({}, {})})["args"][-1]
    return jobs[0], str(request.get("owner", ""))


def drop_ended(client: DBOSClient, records: Records, worker: str, executor: str) -> int:
    """Forget this worker's holds of jobs that have ended, or that somebody put elsewhere; return how many are left."""
    rows = records.everyones(HoldRecord, "worker", (worker,))
    known = _workflows(client, [row.id for row in rows])
    left = 0
    for row in rows:
        if _is_mine(known.get(row.id), executor):
            left += 1
        else:
            forget_hold(records, row)
    return left


def _is_mine(workflow: WorkflowStatus | None, executor: str) -> bool:
    if workflow is None or workflow.status not in _UNFINISHED:
        return False
    return workflow.status == "PENDING" or workflow.queue_name == own_queue(executor)


def adopt_orphans(client: DBOSClient, records: Records) -> list[str]:
    """Put every job that nobody holds and nobody would take back into the queue; return them.

    An older studio's, or of a folder that was moved: whoever begins a job holds it before.
    """
    held = {row.id for row in records.everyones(HoldRecord)}
    rows = client.list_workflows(status=_UNFINISHED, load_input=False, load_output=False)
    lost = [row.workflow_id for row in rows if row.workflow_id not in held and not _waits(row)]
    if lost:
        client.resume_workflows(lost, queue_name=QUEUE)
    return lost


def _waits(row: WorkflowStatus) -> bool:
    return row.status == "ENQUEUED" and row.queue_name in (QUEUE, HELD)


def _workflows(client: DBOSClient, jobs: list[str]) -> dict[str, WorkflowStatus]:
    if not jobs:
        return {}
    rows = client.list_workflows(workflow_ids=jobs, load_input=False, load_output=False)
    return {row.workflow_id: row for row in rows}
