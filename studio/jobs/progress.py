"""How far a job is, from the worker to the page: through the records, so that a closed tab loses nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import OperationalError

from pipelines.errors import Cancelled
from studio.library.grants import grant
from studio.library.records import Records, ReportRecord, StopRecord

__all__ = ["Reporter"]

_EVERY_S = 0.4
_CURVE_POINTS = 400


class Reporter:
    """A Progress that writes into the records, at most every 0.4 s, and stops when a StopRecord is there.

    `moved` is when (time.monotonic) the job last said or asked anything. `made` are the keys of the files that the job
    stored so far: its owner may see those that it tells of.
    """

    def __init__(self, records: Records, job: str, owner: str, made: frozenset[str] | set[str]) -> None:
        self._records, self._job, self._owner, self._made = records, job, owner, made
        self._facts: dict[str, Any] = {"started": time.time(), "stages": {}}
        self._written = self._asked = 0.0
        self.moved = time.monotonic()
        self._losses: list[tuple[int, float]] = []

    def step(self, stage: str, done: int, total: int, **facts: float | str) -> None:
        """Note how far the job is. A report that cannot be written, because the records are locked, is left out."""
        self.moved = time.monotonic()
        with suppress(OperationalError):
            self._step(stage, done, total, facts)

    def _step(self, stage: str, done: int, total: int, facts: dict[str, float | str]) -> None:
        now = time.time()
        stages = self._facts["stages"]
        if stage not in stages:
            stages[stage] = {"since": now, "from": done}
        stages[stage] |= {"done": done, "total": total, "at": now}
        self._facts |= {"stage": stage, "now": now}
        if "pictures" in facts:
            keys = str(facts["pictures"]).split()
            self._facts["pictures"] = keys
            self._show(keys)
        for name in ("posts", "samples"):
            if name in facts:
                self._facts[name] = json.loads(str(facts[name]))
                self._show(_pictures_of(self._facts[name]))
        if "loss" in facts:
            if self._losses and done <= self._losses[-1][0]:
                self._losses = []  # the next round's training
            self._losses.append((done, float(facts["loss"])))
            every = -(-len(self._losses) // _CURVE_POINTS)
            self._facts["losses"] = self._losses[::every]
        if now - self._written >= _EVERY_S or done == total:
            self._written = now
            self.write()

    def _show(self, keys: Iterable[str]) -> None:
        grant(self._records, self._owner, self._made.intersection(keys))

    def write(self) -> None:
        """Now, however short ago the last time was."""
        self._records.keep(ReportRecord(id=self._job, owner=self._owner, facts=self._facts))

    def check_cancelled(self) -> None:
        self.moved = now = time.monotonic()
        if now - self._asked < _EVERY_S:
            return
        self._asked = now
        if self._records.get(StopRecord, self._job, self._owner) is not None:
            raise Cancelled("job_stopped")


def _pictures_of(rows: list[dict[str, Any]]) -> list[str]:
    """Posts tell of one picture each, samples of several."""
    return [key for row in rows for key in [row.get("picture"), *row.get("pictures", ())] if key is not None]
