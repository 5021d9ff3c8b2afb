"""A page's pulse: one clock for all of its parts, that asks rarely, and each second only while something moves.

Each part says what it shows, and the pulse asks all of them in one request of the browser's: each second while a job of
whoever looks at the page runs, or is about to, else every three. As long as nothing of theirs has changed and no job of
theirs is unfinished, no part is asked. A page that nobody looks at (another tab, a minimised window) does not ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr

from pipelines.errors import StudioError
from studio.library.changes import look_at_changes
from studio.ui.context import HIDDEN, Said, Ui, guarded, owner_of

__all__ = ["IDLE_S", "MOVING_S", "Pulse"]

MOVING_S, IDLE_S = 1.0, 3.0
_CLOCK = (Path(__file__).resolve().parent / "clock.js").read_text(encoding="utf-8")
Look = Callable[[Said, gr.Request], Said]
"""Returns what components show now, from the values of its inputs."""


@dataclass(frozen=True)
class _Heard:
    """What one open page was told last: `stand` is how its owner's things stood, `shown` the HTML by its part's id."""

    stand: tuple[Any, ...] = ()
    shown: Mapping[int, int] = field(default_factory=dict)
    every_s: float = 0.0


@dataclass
class Pulse:
    """Made at the head of a page; `connect` at its end."""

    ui: Ui
    _looks: list[Look] = field(default_factory=list)
    _first: list[Look] = field(default_factory=list)
    _inputs: set[Any] = field(default_factory=set)
    _outputs: dict[Any, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._clock = gr.HTML(
            _every(IDLE_S), visible="hidden", js_on_load=_CLOCK, padding=False, apply_default_css=False,
            elem_id="clock",
        )  # fmt: skip

    def shows(self, look: Look, parts: Iterable[gr.HTML], inputs: Iterable[Any] = (), *, at_load: bool = False) -> None:
        """Let parts show what `look` returns; each is told only when that is other than before. `at_load`: already when
        the page is opened, where `look` has no inputs."""
        self._add(look, inputs, dict.fromkeys(parts, True))
        if at_load:
            self._first.append(look)

    def hears(self, look: Look, inputs: Iterable[Any], outputs: Iterable[Any]) -> None:
        """Let components have what `look` returns, whatever they had before."""
        self._add(look, inputs, dict.fromkeys(outputs, False))

    def _add(self, look: Look, inputs: Iterable[Any], outputs: dict[Any, bool]) -> None:
        self._looks.append(look)
        self._inputs |= set(inputs)
        self._outputs |= outputs

    def connect(self) -> None:
        """Let the clock ask all that were added."""
        ui, heard = self.ui, gr.State(_Heard())

        def open_page(request: gr.Request) -> Any:
            told = self._ask(self._first, {}, request)
            return {heard: _Heard(shown=_marks(told)), **told}

        def tick(said: Said, request: gr.Request) -> Any:
            before: _Heard = said[heard]
            now = look_at_changes(ui.studio.records, owner_of(request))
            stand, every_s = (*now.told, _backbone(ui)), MOVING_S if now.moves else IDLE_S
            if stand == before.stand and not now.waits:
                return {heard: before}
            told = self._ask(self._looks, said, request)
            compared = {part: html for part, html in told.items() if self._outputs[part]}
            marks = _marks(compared)
            for part in compared:
                if before.shown.get(part._id) == marks[part._id]:
                    del told[part]
            if every_s != before.every_s:
                told[self._clock] = _every(every_s)
            return {heard: _Heard(stand, {**before.shown, **marks}, every_s), **told}

        outputs = [heard, self._clock, *self._outputs]
        gr.on(None, guarded(ui, open_page), None, outputs, **HIDDEN)
        self._clock.tick(guarded(ui, tick), {heard, *self._inputs}, outputs, **HIDDEN)

    def _ask(self, looks: Iterable[Look], said: Said, request: gr.Request) -> Said:
        told: Said = {}
        for look in looks:
            told |= look(said, request)
        return told


def _marks(told: Said) -> dict[int, int]:
    """What tells two HTMLs of a part apart, and is small: it is kept for each open page."""
    return {int(part._id): hash(html) for part, html in told.items()}


def _backbone(ui: Ui) -> str:
    """What is drawn with; "" where the settings cannot be read, which parts that need them say."""
    with suppress(StudioError):
        return str(ui.studio.choice)
    return ""


def _every(seconds: float) -> str:
    return f'<i data-every="{seconds:g}"></i>'
