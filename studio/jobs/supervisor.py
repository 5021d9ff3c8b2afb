"""Keeps one worker process alive beside the page, and ends one that hangs: its job goes on in the next."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

from pipelines.errors import BadInput
from studio.application import Studio
from studio.jobs.heartbeat import HEARTBEAT_VARIABLE, Heartbeat, Patience, read_heartbeats, why_restart
from studio.jobs.locks import take_lock
from studio.library.records import PAUSED, JobRecord, MarkRecord
from studio.settings import Settings, settings_environment

__all__ = ["Supervisor"]

_LONGEST_PAUSE_S = 30.0
_LOG = logging.getLogger(__name__)


class Supervisor:
    """Starts the worker, and starts it again, after a growing pause, whenever it ends. A context manager.

    A worker that is silent, whose job does not move, or that forgot a job (`studio.jobs.heartbeat`) is killed first;
    the engine counts how often a job's worker ended, and gives the job up after the third time. For a forgotten job
    this is done once.
    """

    def __init__(self, settings: Settings, patience: Patience | None = None) -> None:
        self._records = Studio(settings).records
        self._patience = patience or Patience()
        self._heard = (Heartbeat("", 0.0), time.monotonic())
        self._forgotten: set[str] = set()
        self._seen: dict[str, float] = {}
        root = str(Path(__file__).resolve().parents[2])
        self._environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
        self._environment |= settings_environment(settings)
        self._place = settings.data / "studio.lock"
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
        self._lock = take_lock(self._place)
        if self._lock is None:
            raise BadInput("open_already", folder=str(self._place.parent))
        self._thread.start()
        return self

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
            self._worker = subprocess.Popen(
                command, stdin=subprocess.PIPE, env=self._environment | {HEARTBEAT_VARIABLE: str(its)}, pass_fds=(its,)
            )
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
                why = why_restart(beat, silent_s, self._waiting_long, self._patience)
            if why and not self._closing.is_set():
                _LOG.warning("The worker is started again: %s.", why)
                if not beat.job and silent_s <= self._patience.silent_s:
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
        return {row.id for row in rows if row.state == "running" or row.owner not in paused} - self._forgotten
