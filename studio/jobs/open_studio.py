"""Jobs of commands while the studio is open: they go to its queue, and are waited for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

from pipelines.errors import BadInput, Cancelled, StudioError, error_from_json
from pipelines.progress import SILENT, Denoising, Progress, StageProgress
from studio.application import Studio
from studio.domain.report import Report
from studio.domain.values import Request, Result
from studio.jobs.locks import take_lock
from studio.jobs.queue import Queue
from studio.jobs.workers import list_workers
from studio.library.records import JobRecord

__all__ = ["OpenStudio", "is_open"]

_EVERY_S = 0.3
_LOOK_AT_LOCK_S = 5.0
_WITHOUT_WORKER_S = 120.0
R = TypeVar("R", bound=Result)


def is_open(studio: Studio) -> bool:
    """Return whether somebody does the jobs of these records: the worker of the pages that are open in the data folder,
    or any that lives on a server's database.
    """
    handle = take_lock(studio.settings.data / "studio.lock")
    if handle is None:
        return True
    handle.close()
    several = studio.records.engine.dialect.name != "sqlite"
    return several and any(worker.is_alive for worker in list_workers(studio.records))


class OpenStudio:
    """Does jobs as `studio.jobs.engine.Engine.run` does, by the queue of the studio that is open in the data folder."""

    def __init__(self, studio: Studio, progress: Progress = SILENT, asked: Callable[[Request], None] | None = None):
        self.studio, self._progress, self._asked = studio, progress, asked
        self._queue = Queue(studio)
        self._patience_s = 0.0 if studio.records.engine.dialect.name == "sqlite" else _WITHOUT_WORKER_S

    def run(self, request: Request, result: type[R]) -> R:
        """Put a job on the queue, or join the one that is there, and wait for it.

        Raises BadInput `queue_is_paused` where it would wait for ever, StudioError `studio_was_closed` where nobody
        works any more, and the job's own StudioError. Stopping the command stops the job.
        """
        owner = request.owner
        if self._queue.paused(owner):
            raise BadInput("queue_is_paused")
        if self._asked is not None:
            self._asked(request)
        job = self._queue.put(request)
        try:
            row = self._wait(job, owner)
        except (Cancelled, KeyboardInterrupt):
            self._queue.stop(job, owner)
            raise
        if row.state == "done":
            return self._queue.result(row, result)
        if row.state == "cancelled":
            raise Cancelled("job_stopped")
        if raised := row.facts.get("raised"):
            raise error_from_json(raised)
        raise StudioError("job_unexpected", reason=row.error or "")

    def _wait(self, job: str, owner: str) -> JobRecord:
        """Return the job once it has ended. What runs is told as its worker reports it."""
        told, looked = Report(), time.monotonic()
        alone_since = math.inf  # the last worker may be about to come back
        while True:
            row = self._queue.find(job, owner)
            if row is None:
                raise BadInput("no_job")
            if row.state not in ("queued", "running"):
                return row
            self._progress.check_cancelled()
            told = self._tell(told, self._queue.report(job, owner) if row.state == "running" else told)
            if time.monotonic() - looked > _LOOK_AT_LOCK_S:
                looked = time.monotonic()
                alone_since = math.inf if is_open(self.studio) else min(alone_since, looked)
                if looked - alone_since >= self._patience_s:
                    raise StudioError("studio_was_closed")
            time.sleep(_EVERY_S)

    def _tell(self, before: Report, now: Report) -> Report:
        for row in now.stages:
            if row not in before.stages:
                self._progress.tell(StageProgress(row.stage, row.done, row.total))
                if row.steps:
                    self._progress.tell(Denoising(row.stage, row.step, row.steps))
        return now
