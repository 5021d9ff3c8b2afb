"""Progress bars on the terminal; Ctrl-C asks the work to stop at the next denoising or training step."""

from __future__ import annotations

import signal
import sys
from types import FrameType, TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipelines.errors import Cancelled

__all__ = ["Bars"]

_FOR_PAGES = {"pictures", "posts"}


class Bars:
    """One bar per stage, on standard error; nothing at all when `quiet`. Off a terminal, a line per finished stage."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty() and not quiet
        self._bars = Progress(
            TextColumn("{task.description:12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[facts]}"),
            console=Console(stderr=True),
            disable=not self._live,
        )
        self._tasks: dict[str, TaskID] = {}
        self._stop = False
        self._previous: Any = None

    def __enter__(self) -> Bars:
        self._bars.start()
        self._previous = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._previous)
        self._bars.stop()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._stop:  # asked twice: at once
            raise KeyboardInterrupt
        self._stop = True

    def step(self, stage: str, done: int, total: int, **facts: float | str) -> None:
        words = "  ".join(
            f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in facts.items() if k not in _FOR_PAGES
        )
        if self._live:
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(stage, total=total, facts="")
            self._bars.update(self._tasks[stage], completed=done, total=total, facts=words)
        elif not self._quiet and done == total and not facts.keys() - _FOR_PAGES:
            print(f"{stage}: {done}/{total}", file=sys.stderr, flush=True)

    def check_cancelled(self) -> None:
        if self._stop:
            raise Cancelled("Stopped.", "Run the same command again to go on where it was.")
