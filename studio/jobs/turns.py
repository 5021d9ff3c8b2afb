"""Whose turn it is: the engine takes jobs as they came, and a person may have moved another before."""

from __future__ import annotations

from functools import partial

from dbos import DBOSClient
from sqlalchemy.exc import OperationalError

from studio.jobs.queue import NEXT, QUEUE
from studio.jobs.ranks import in_order
from studio.library.records import JobRecord, Records

__all__ = ["goes_behind"]

_UNFINISHED = ["ENQUEUED", "PENDING"]


def goes_behind(client: DBOSClient, records: Records, job: str, version: str) -> bool:
    """Return whether a job that the engine took must let another go ahead, which is then put where it is taken next.

    `version` is the application's: others' jobs are not taken. Only one job of QUEUE is taken at a time, and one of
    NEXT: the latter always goes.
    """
    # asked through a client: what a workflow asks the engine itself becomes one of its steps
    ask = partial(client.list_workflows, load_input=False, load_output=False)
    if not any(row.queue_name == QUEUE for row in ask(workflow_ids=[job])):
        return False
    if ask(queue_name=NEXT, status=_UNFINISHED):
        return True
    ours = [row for row in ask(queue_name=QUEUE, status=_UNFINISHED) if row.app_version in (None, version)]
    waiting = {row.workflow_id: row for row in ours}
    try:
        rows = in_order(records, records.everyones(JobRecord, "id", [job, *waiting]))
    except OperationalError:  # locked: it is asked again
        return True
    first = next((row.id for _, row in rows), job)
    if first == job:
        return False
    if first in waiting and waiting[first].status == "ENQUEUED":  # a recovered one comes by itself
        client.resume_workflows([first], queue_name=NEXT)
    return True
