"""How far a job is, from the worker to the page: through the records, so that a closed tab loses nothing."""

from __future__ import annotations

import math
import time
from contextlib import suppress

from sqlalchemy.exc import OperationalError

from pipelines.errors import Cancelled
from pipelines.progress import Event, Progress
from studio.domain.report import MixesShown, PicturesDrawn, PostScored, Report, SamplesDrawn
from studio.jobs.holds import Hold, check_holder, keep_as_holder
from studio.library.grants import grant
from studio.library.records import Records, ReportRecord, StopRecord

__all__ = ["Reporter"]

_EVERY_S = 0.4


class Reporter:
    """A Progress that writes into the records, at most every 0.4 s, and stops when a StopRecord is there, or when the
    job was taken over by another worker.

    `moved` is when (time.monotonic) the job last said or asked anything. `made` are the keys of the files that the job
    stored so far: its owner may see those that it tells of. `shown` is told of everything instead of the records.
    """

    def __init__(
        self,
        records: Records,
        job: str,
        owner: str,
        made: frozenset[str] | set[str],
        hold: Hold | None = None,
        shown: Progress | None = None,
    ) -> None:
        self._records, self._job, self._owner, self._made = records, job, owner, made
        self._hold, self._shown = hold, shown
        self._report, self._granted = Report(), set[str]()
        self._written = self._asked = -math.inf
        self.moved = time.monotonic()

    def tell(self, event: Event) -> None:
        """Note how far the job is. A report that cannot be written, because the records are locked, is left out."""
        self.moved = time.monotonic()
        if self._shown is not None:
            self._shown.tell(event)
            return
        self._report = self._report.after(event, time.time())
        now = self._report.current
        finished = now is not None and now.share == 1
        with suppress(OperationalError):
            if shown := (self._made & _told(event)) - self._granted:
                grant(self._records, self._owner, shown)
                self._granted |= shown
            if finished or self.moved - self._written >= _EVERY_S:
                self._written = self.moved
                self.write()

    def write(self) -> None:
        """Write now, however short ago the last time was."""
        facts = self._report.model_dump(mode="json")
        keep_as_holder(self._records, self._hold, ReportRecord(id=self._job, owner=self._owner, facts=facts))

    def check_cancelled(self) -> None:
        """Where the records cannot be reached, it is asked again."""
        self.moved = now = time.monotonic()
        if self._shown is not None:
            self._shown.check_cancelled()
        if now - self._asked < _EVERY_S:
            return
        self._asked = now
        asked = None
        with suppress(OperationalError):
            if self._hold is not None:
                check_holder(self._records, self._hold)
            asked = self._records.get(StopRecord, self._job, self._owner)
        if asked is not None:
            raise Cancelled("job_stopped")


def _told(event: Event) -> frozenset[str]:
    """Return the keys of the pictures that an event tells of."""
    match event:
        case PicturesDrawn():
            return frozenset(event.pictures)
        case PostScored():
            return event.post.file_keys()
        case MixesShown():
            return frozenset(key for mix in event.mixes for key in mix.pictures)
        case SamplesDrawn():
            return frozenset(key for sample in event.samples for key in sample.pictures)
    return frozenset()
