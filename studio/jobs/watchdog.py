"""Takes jobs over from workers that died, froze or were lost, so that the others go on with them.

One looks in every process that can reach the database, the pages' too; of several that see the same, one acts
(`studio.jobs.holds`). None trusts a clock: a worker is silent when its heartbeat has not changed for as long as this
process has looked, and a look that failed, or came late, begins anew.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dbos import DBOSClient
from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError

from pipelines.errors import StudioError
from studio.jobs.heartbeat import Patience
from studio.jobs.holds import NOBODY, forget_hold, free_hold
from studio.jobs.metrics import note_failure
from studio.jobs.queue import QUEUE, Queue
from studio.jobs.workers import WorkerState, list_workers
from studio.library.records import HoldRecord, JobRecord, Records, WorkerRecord
from studio.texts.texts import Texts

__all__ = ["MOST_TAKEOVERS", "Watchdog", "put_back", "take_over", "watch_workers"]

MOST_TAKEOVERS = 3  # without a finished step in between
_EVERY_S = 2.0
_LATE_S = 10.0
_SETTLE_S = 10.0  # whoever freed a hold is about to put the job back
_GONE_S = 7 * 24 * 3600.0
_UNFINISHED = ("ENQUEUED", "PENDING", "DELAYED")
_LOG = logging.getLogger(__name__)


def take_over(client: DBOSClient, records: Records, row: HoldRecord) -> bool:
    """Take a job from the worker that holds it, and put it back into the queue; return whether this call did.

    One that was taken over too often without having finished a step in between is given up: it has failed, and can be
    tried again. Raises SQLAlchemyError.
    """
    freed = free_hold(records, row, row.takeovers + 1)
    if freed is None:
        return False
    put_back(client, records, freed)
    return True


def put_back(client: DBOSClient, records: Records, freed: HoldRecord) -> None:
    """Put a job whose hold was freed back into the queue, or give it up. Twice is as once."""
    workflow = next(iter(client.list_workflows(workflow_ids=[freed.id], load_input=False, load_output=False)), None)
    if workflow is None or workflow.status not in _UNFINISHED:
        forget_hold(records, freed)
    elif freed.takeovers > MOST_TAKEOVERS:
        _give_up(records, freed)
        client.cancel_workflow(freed.id)
        forget_hold(records, freed)
    elif workflow.status == "PENDING" or workflow.queue_name != QUEUE:
        # told where to, or the engine would put it into a queue of its own that knows no limits
        client.resume_workflow(freed.id, queue_name=QUEUE)


def _give_up(records: Records, freed: HoldRecord) -> None:
    row, error = records.get(JobRecord, freed.id, freed.owner), StudioError("job_given_up")
    if row is not None and row.state in ("queued", "running"):
        row.state, row.error = "failed", Texts("en").error(error)
        row.facts = row.facts | {"code": error.code, "raised": error.as_json()}
        records.keep(row)
        note_failure(records, row.kind, error.code)


@dataclass
class _Seen:
    """What was seen, and since when (time.monotonic) it has been the same."""

    what: object
    since: float


@dataclass
class Watchdog:
    """Looks at all workers of a database. `client` returns the engine's client, None as long as there is no engine.

    `patience`: how long a worker may be silent, its job stand still, and a job that it holds not be begun.
    """

    records: Records
    client: Callable[[], DBOSClient | None]
    patience: Patience
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _looked: float | None = None
    _closing: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Look every two seconds from now on, in a thread."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def close(self) -> None:
        self._closing.set()

    def _run(self) -> None:
        while not self._closing.wait(_EVERY_S):
            try:
                self.look(time.monotonic())
            except SQLAlchemyError as error:  # workers cannot be heard of, either
                self._seen.clear()
                _LOG.debug("Workers cannot be looked at: %s", error)

    def look(self, now: float) -> list[str]:
        """Look once, and return the jobs that were taken over. Raises SQLAlchemyError."""
        if self._looked is not None and now - self._looked > _LATE_S:  # this process stood still itself
            self._seen.clear()
        self._looked = now
        holds = self.records.everyones(HoldRecord)
        workers = {worker.id: worker for worker in list_workers(self.records)}
        told: dict[str, object] = {
            f"worker {id_}": (worker.facts["run"], worker.beat) for id_, worker in workers.items()
        }
        told |= {f"job {row.id}": (row.token, _begun(row, workers.get(row.worker))) for row in holds}
        told |= {f"gone {row.worker}": None for row in holds if row.worker not in workers}
        self._seen = {
            name: self._seen[name] if name in self._seen and self._seen[name].what == what else _Seen(what, now)
            for name, what in told.items()
        }
        client = self.client()
        if client is None:
            return []
        taken = []
        for row in holds:
            if row.worker == NOBODY:
                if self._same_for(f"job {row.id}", now) > _SETTLE_S:
                    put_back(client, self.records, row)
            elif (why := self._why(row, workers.get(row.worker), now)) and take_over(client, self.records, row):
                _LOG.warning("%s is taken from worker %s: %s.", row.id, row.worker, why)
                taken.append(row.id)
        self._forget_gone(workers)
        return taken

    def _why(self, row: HoldRecord, worker: WorkerState | None, now: float) -> str:
        """The reason to take a job from its worker, or ""."""
        name = f"gone {row.worker}" if worker is None else f"worker {row.worker}"
        silent_s = self._same_for(name, now)
        if silent_s > self.patience.silent_s:
            return f"it has not been heard of for {silent_s:.0f} s"
        if worker is None:
            return ""
        if worker.job == row.id and worker.still_s > self.patience.stalled_s:
            return f"the job has not moved for {worker.still_s:.0f} s"
        unbegun_s = self._same_for(f"job {row.id}", now)
        if worker.job != row.id and unbegun_s > max(self.patience.idle_s, self.patience.silent_s):
            return f"it has not begun the job in {unbegun_s:.0f} s"
        return ""

    def _same_for(self, name: str, now: float) -> float:
        seen = self._seen.get(name)
        return 0.0 if seen is None else now - seen.since

    def _forget_gone(self, workers: dict[str, WorkerState]) -> None:
        if gone := [worker.id for worker in workers.values() if worker.silent_s > _GONE_S]:
            with self.records.transaction() as session:
                session.execute(delete(WorkerRecord).where(WorkerRecord.id.in_(gone)))


def watch_workers(queue: Queue) -> Watchdog | None:
    """Let a page's process look after the workers, too; on SQLite there is but one, which its supervisor knows."""
    records, settings = queue.studio.records, queue.studio.settings
    if records.engine.dialect.name == "sqlite":
        return None
    watchdog = Watchdog(records, queue.client_if_any, Patience(settings.worker_silent_s, settings.worker_stalled_s))
    watchdog.start()
    return watchdog


def _begun(row: HoldRecord, worker: WorkerState | None) -> bool:
    return worker is not None and worker.job == row.id
