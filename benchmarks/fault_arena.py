"""A studio of real processes that faults happen to: pages, workers, a database, a disk that can be filled."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import psutil

from benchmarks.postgres import Postgres
from benchmarks.s3 import S3Server

__all__ = ["Arena", "small_disk"]

_ROOT = Path(__file__).resolve().parents[1]
_DISK_MB = 512


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Let a folder be a disk of its own of 512 MB, which can be full; whether this account may do that."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m,mode=700", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


@dataclass
class Arena:
    """`workers` supervisors beside the pages; 0: the pages keep the one worker themselves, as they do on SQLite."""

    name: str
    data: Path
    database: str
    workers: int
    silent_s: float
    dice: random.Random
    server: Postgres | None = None
    bucket: S3Server | None = None
    store: str = ""
    can_be_full: bool = False
    count: dict[str, int] = field(default_factory=dict)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _port: int = 0

    @contextmanager
    def open(self) -> Iterator[Arena]:
        """Start everything, and end it."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        with ExitStack() as stack:
            stack.callback(self._end)
            self.keep_up()
            yield self

    @property
    def url(self) -> str:
        """Return where the pages are."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pages(self) -> psutil.Process:
        """Return the pages' process."""
        return psutil.Process(self._running["pages"].pid)

    @property
    def environment(self) -> dict[str, str]:
        given = {
            "PYTHONPATH": str(_ROOT),
            "PERSONA_STUDIO_DATA": str(self.data),
            "PERSONA_STUDIO_BATCH_SIZE": "1",  # each picture is a step
            "PERSONA_STUDIO_THREADS": "1",
            "PERSONA_STUDIO_WORKER_SILENT_S": str(self.silent_s),
            "OMP_NUM_THREADS": "1",
        }
        given |= {"PERSONA_STUDIO_DATABASE": self.database} if self.database else {}
        given |= {"PERSONA_STUDIO_STORE": self.store} if self.store else {}
        return os.environ | given | ({} if self.bucket is None else self.bucket.environment)

    def keep_up(self) -> None:
        """Start what is not there: as a person, systemd or docker does."""
        pages = ["app.py", "--port", str(self._port), *(["--no-worker"] if self.workers else [])]
        wanted = {"pages": pages}
        wanted |= {
            f"worker {n + 1}": ["-c", "from studio.cli import main; main()", "worker"] for n in range(self.workers)
        }
        for name, command in wanted.items():
            known = self._running.get(name)
            if known is None or known.poll() is not None:
                log = (self.data.parent / f"{self.name}-{name.replace(' ', '-')}.log").open("ab")
                self._running[name] = subprocess.Popen(
                    [sys.executable, *command], cwd=_ROOT, env=self.environment, stdout=log, stderr=log
                )
                log.close()

    def _end(self) -> None:
        for process in [*self._drawing(), *(psutil.Process(p.pid) for p in self._running.values() if p.poll() is None)]:
            with suppress(psutil.Error):
                process.resume()
        for running in self._running.values():
            running.terminate()
        for running in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                running.wait(60)
            running.kill()
            running.wait()

    def _drawing(self) -> list[psutil.Process]:
        """The processes that draw."""
        found = []
        for running in self._running.values():
            with suppress(psutil.Error):
                children = psutil.Process(running.pid).children(recursive=True)
                found += [child for child in children if "studio.jobs.worker" in child.cmdline()]
        return found

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the pages' API; None where they do not answer now, or have an error to tell."""
        try:
            answer = httpx.request(method, f"{self.url}{path}", json=body, timeout=30)
        except httpx.HTTPError:
            return None
        return answer.json() if answer.is_success else None

    def kill(self) -> None:
        """SIGKILL: mostly who draws, sometimes who keeps it, or the pages."""
        drawing, what = self._drawing(), self.dice.random()
        if drawing and what < 0.7:
            victim, name = self.dice.choice(drawing), "worker"
        else:
            keeper = self.dice.choice([n for n in self._running if what > 0.85 or n == "pages"])
            victim, name = psutil.Process(self._running[keeper].pid), "pages" if keeper == "pages" else "keeper"
        with suppress(psutil.Error):
            victim.kill()
            self._note(f"killed {name}")

    def freeze(self) -> None:
        """SIGSTOP who draws, and SIGCONT after its job was taken over."""
        if not (drawing := self._drawing()):
            return
        victim = self.dice.choice(drawing)

        def wake() -> None:
            time.sleep(2 * self.silent_s + 5)
            with suppress(psutil.Error):
                victim.send_signal(signal.SIGCONT)

        with suppress(psutil.Error):
            victim.send_signal(signal.SIGSTOP)
            self._note("frozen")
            Thread(target=wake, daemon=True).start()

    def restart_database(self) -> None:
        if self.server is not None:
            self.server.restart(self.dice.choice(["fast", "immediate"]))
            self._note("database restarted")

    def lose_bucket(self, seconds: float = 8.0) -> None:
        """Let the store be out of reach for a while."""
        if self.bucket is not None:
            self.bucket.stop()
            self._note("store out of reach")
            time.sleep(seconds)
            self.bucket.start()

    def fill_disk(self, seconds: float = 12.0) -> None:
        """Leave no byte of the data folder's disk, for a while."""
        if not self.can_be_full:
            return
        ballast, block = self.data / "ballast", bytes(1 << 20)
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(block)
        self._note("disk full")
        time.sleep(seconds)
        ballast.unlink()

    def _note(self, what: str) -> None:
        self.count[what] = self.count.get(what, 0) + 1
