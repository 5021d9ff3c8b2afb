"""Progress bars on the terminal; Ctrl-C asks the work to stop at the next denoising or training step."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from threading import Lock, Thread
from types import FrameType, TracebackType
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipelines.errors import Cancelled
from pipelines.progress import Denoising, Event, Fetching, PipelineStage, Stage, StageProgress, TrainingStep
from studio.domain.report import LeftOut, name_stage
from studio.texts.terminal import terminal_texts

__all__ = ["Bars", "Lines"]

_SILENT_S, _TICK_S = 20.0, 1.0


class Lines:
    """Progress where there is no terminal: a line per finished stage, and what goes on at least every 20 seconds.

    `clock` gives seconds; `tick` is called every second or so, from any thread.
    """

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock = out, clock
        self._began = self._said = clock()
        self._now = "starting"
        self._turn = Lock()

    def step(self, line: str, words: str = "", finished: bool = False) -> None:
        """Note what goes on: `line` counts, `words` say more of it and are said while it is not `finished`."""
        with self._turn:
            self._now = f"{line}, {words}" if words else line
            if finished:
                self._say(line)
        self.tick()

    def tick(self) -> None:
        with self._turn:
            if self._clock() - self._said >= _SILENT_S:
                self._say(f"{self._now}, {self._clock() - self._began:.0f} s so far")

    def _say(self, line: str) -> None:
        self._said = self._clock()
        print(line, file=self._out, flush=True)


class Bars:
    """One bar per stage, on standard error; nothing at all when `quiet`. Off a terminal, lines (`Lines`)."""

    def __init__(self, quiet: bool = False) -> None:
        self._live = sys.stderr.isatty() and not quiet
        self._lines = None if quiet or self._live else Lines(sys.stderr)
        self._ended = threading.Event()
        self._bars = Progress(
            TextColumn("{task.description:12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[facts]}"),
            console=Console(stderr=True),
            disable=not self._live,
        )
        self._texts = terminal_texts()
        self._tasks: dict[Stage, TaskID] = {}
        self._done: dict[Stage, tuple[int, int]] = {}
        self._stop = False
        self._previous: Any = None

    def __enter__(self) -> Bars:
        self._bars.start()
        if self._lines is not None:
            Thread(target=self._tick, args=(self._lines,), daemon=True).start()
        self._previous = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._previous)
        self._bars.stop()
        self._ended.set()

    def _tick(self, lines: Lines) -> None:
        while not self._ended.wait(_TICK_S):
            lines.tick()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._stop:  # asked twice: at once
            raise KeyboardInterrupt
        self._stop = True

    def tell(self, event: Event) -> None:
        match event:
            case StageProgress():
                self._show(event.stage, event.done, event.total)
            case TrainingStep():
                loss = f"{self._texts('loss')} {event.loss:.3f}"
                self._show(Stage(PipelineStage.TRAIN), event.step, event.steps, loss)
            case Fetching():
                self._show(Stage(PipelineStage.FETCH), event.done_mib, event.total_mib, event.file)
            case LeftOut() if self._live or self._lines is not None:
                for reason in event.reasons:
                    said = self._texts("left_out", why=self._texts.error(reason))
                    print(said, file=sys.stderr, flush=True)
            case Denoising():
                done, total = self._done.get(event.stage, (0, 1))
                words = self._texts("job.denoising", step=event.step, steps=event.steps)
                self._show(event.stage, done, total, words)

    def _show(self, stage: Stage, done: int, total: int, words: str = "") -> None:
        self._done[stage] = (done, total)
        name = name_stage(self._texts, stage)
        if self._live:
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(name, total=total, facts="")
            self._bars.update(self._tasks[stage], completed=done, total=total, facts=words)
        elif self._lines is not None:
            self._lines.step(f"{name}: {done}/{total}", words, finished=done == total and not words)

    def check_cancelled(self) -> None:
        if self._stop:
            raise Cancelled("stopped_by_key")
