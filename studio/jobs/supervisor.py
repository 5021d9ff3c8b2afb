"""Keeps one worker process alive beside the page, and ends one that hangs: its job goes on in the next."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from sqlalchemy.exc import SQLAlchemyError

from pipelines.errors import BadInput
from studio.application import Studio
from studio.jobs.heartbeat import HEARTBEAT_VARIABLE, Heartbeat, Patience, read_heartbeats, why_restart
from studio.jobs.holds import NOBODY
from studio.jobs.locks import take_lock
from studio.jobs.workers import list_workers
from studio.library.records import PAUSED, HoldRecord, JobRecord, MarkRecord
from studio.settings import Settings, settings_environment

__all__ = ["Supervisor"]

_LONGEST_PAUSE_S = 30.0
_LOG = logging.getLogger(__name__)


def _patience_of(settings: Settings) -> Patience:
    """The settings', but for the silence of the one worker of a folder, which nobody waits to take over from."""
    if isinstance(settings.records_place, Path) and "worker_silent_s" not in settings.model_fields_set:
        return Patience(stalled_s=settings.worker_stalled_s)
    return Patience(settings.worker_silent_s, settings.worker_stalled_s)


class Supervisor:
    """Starts the worker, and starts it again, after a growing pause, whenever it ends. A context manager.

    A worker that is silent, whose job does not move, or that forgot a job (`studio.jobs.heartbeat`) is killed first;
    its job is put back by the next, which gives it up after the third time (`studio.jobs.watchdog`). For a forgotten
    job this is done once. `lock` is what no two supervisors may hold: pages have theirs, a worker alone none.
    """

    def __init__(self, settings: Settings, patience: Patience | None = None, lock: str | None = "studio.lock") -> None:
        self._records = Studio(settings).records
        self._patience = patience or _patience_of(settings)
        self._heard = (Heartbeat("", 0.0), time.monotonic())
        self._forgotten: set[str] = set()
        self._seen: dict[str, float] = {}
        root = str(Path(__file__).resolve().parents[2])
        self._environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
        self._environment |= settings_environment(settings)
        self._place = None if lock is None else settings.data / lock
        self._lock: IO[str] | None = None
        self._closing = threading.Event()
        self._worker: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def pid(self) -> int | None:
        """Return the process id of the worker that lives now."""
        worker = self._worker
        return None if worker is None or worker.poll() is not None else worker.pid

    def __enter__(self) -> Supervisor:
        """Raises BadInput where the studio is open in this data folder already."""
        if self._place is not None:
            self._lock = take_lock(self._place)
            if self._lock is None:
                raise BadInput("open_already", folder=str(self._place.parent))
        self._thread.start()
        return self

    def wait(self) -> None:
        """Wait until `stop` is called."""
        self._closing.wait()

    def stop(self) -> None:
        """Start no worker any more, and let `wait` return; a signal's handler may call it."""
        self._closing.set()

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        worker = self._worker
        if worker is not None and worker.stdin is not None:
            worker.stdin.close()
            try:
                worker.wait(10)
            except subprocess.TimeoutExpired:
                worker.kill()
        self._thread.join(10)
        if self._lock is not None:
            self._lock.close()

    def _watch(self) -> None:
        pause = 0.5
        while not self._closing.is_set():
            began = time.monotonic()
            command = [sys.executable, "-m", "studio.jobs.worker"]
            ours, its = os.pipe()
            environment = self._environment | {HEARTBEAT_VARIABLE: str(its)}
            try:
                self._worker = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, pass_fds=(its,))
            except OSError as error:  # no memory, no processes: they may come back
                _LOG.warning("The worker cannot be started now: %s", error)
                os.close(ours)
                os.close(its)
                self._closing.wait(_LONGEST_PAUSE_S)
                continue
            os.close(its)
            self._hear(Heartbeat("", 0.0))
            read_heartbeats(ours, self._hear)
            self._attend(self._worker)
            if self._worker.stdin is not None:
                self._worker.stdin.close()
            pause = 0.5 if time.monotonic() - began > 60 else min(2 * pause, _LONGEST_PAUSE_S)
            self._closing.wait(pause)

    def _hear(self, beat: Heartbeat) -> None:
        self._heard = (beat, time.monotonic())

    def _attend(self, worker: subprocess.Popen[bytes]) -> None:
        """Until the worker ends, by itself or by us."""
        while True:
            try:
                worker.wait(1)
                return
            except subprocess.TimeoutExpired:
                beat, heard = self._heard
                silent_s = time.monotonic() - heard
                try:
                    why = why_restart(beat, silent_s, self._waiting_long, self._patience)
                except SQLAlchemyError:  # records that cannot be looked at say nothing
                    why = ""
            if why and not self._closing.is_set():
                _LOG.warning("The worker is started again: %s.", why)
                if not beat.job and silent_s <= self._patience.silent_s:
                    with suppress(SQLAlchemyError):
                        self._forgotten |= self._waiting_long()
                worker.kill()

    def _waiting_long(self) -> set[str]:
        """Those that have been seen waiting for as long as a worker may be idle: one that came a moment ago, after a
        rest, is about to be taken up.
        """
        now = time.monotonic()
        self._seen = {job: self._seen.get(job, now) for job in self._waiting()}
        return {job for job, since in self._seen.items() if now - since > self._patience.idle_s}

    def _waiting(self) -> set[str]:
        rows = self._records.everyones(JobRecord, "state", ("queued", "running"))
        marks = self._records.everyones(MarkRecord, "id", (PAUSED,))
        paused = {mark.owner for mark in marks if mark.facts.get("paused")}
        elsewhere = self._held_elsewhere()
        waiting = {row.id for row in rows if row.state == "running" or row.owner not in paused}
        return waiting - elsewhere - self._forgotten

    def _held_elsewhere(self) -> set[str]:
        """Jobs that another worker than the one beside this process holds."""
        mine = {
            worker.id for worker in list_workers(self._records)
            if (worker.facts["host"], worker.facts["pid"]) == (socket.gethostname(), str(self.pid))
        }  # fmt: skip
        return {row.id for row in self._records.everyones(HoldRecord) if row.worker not in (NOBODY, *mine)}
