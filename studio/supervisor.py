"""Keeps one worker process alive beside the page."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from studio.settings import Settings

__all__ = ["Supervisor"]

_LONGEST_PAUSE_S = 30.0


class Supervisor:
    """Starts the worker, and starts it again, after a growing pause, whenever it ends. A context manager."""

    def __init__(self, settings: Settings) -> None:
        root = str(Path(__file__).resolve().parent.parent)
        self._environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
        self._environment |= {
            f"PERSONA_STUDIO_{name.upper()}": str(value) for name, value in settings.model_dump(mode="json").items()
        }
        self._ready = settings.data / "engine.ready"
        self._closing = threading.Event()
        self._worker: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def pid(self) -> int | None:
        """Of the worker that lives now."""
        worker = self._worker
        return None if worker is None or worker.poll() is not None else worker.pid

    def __enter__(self) -> Supervisor:
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

    def _watch(self) -> None:
        pause = 0.5
        while not self._closing.is_set():
            self._ready.unlink(missing_ok=True)
            began = time.monotonic()
            command = [sys.executable, "-m", "studio.worker"]
            self._worker = subprocess.Popen(command, stdin=subprocess.PIPE, env=self._environment)
            self._worker.wait()
            pause = 0.5 if time.monotonic() - began > 60 else min(2 * pause, _LONGEST_PAUSE_S)
            self._closing.wait(pause)
