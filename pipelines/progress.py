"""Progress and cancellation: what long work tells its caller as typed events, and what the caller may ask of it.

Other packages add events of their own as classes of `Event`, and name their stages in enumerations of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

__all__ = [
    "SILENT", "Denoising", "Event", "Fetching", "PipelineStage", "Progress", "Stage", "StageProgress", "TrainingStep",
    "tell_steps",
]  # fmt: skip


class PipelineStage(StrEnum):
    """The stages that the pipelines know."""

    DRAW = "draw"
    ENCODE = "encode"
    FETCH = "fetch"
    TRAIN = "train"


@dataclass(frozen=True)
class Stage:
    """A part of long work: `name` is of an enumeration, `subject` says which one of several (a donor's name)."""

    name: StrEnum
    subject: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.subject}".strip()


@dataclass(frozen=True)
class Event:
    """Something that long work tells."""


@dataclass(frozen=True)
class StageProgress(Event):
    """`done` of `total` units of `stage` are ready."""

    stage: Stage
    done: int
    total: int


@dataclass(frozen=True)
class Denoising(Event):
    """`step` of `steps` denoising steps are taken for what `stage` draws now, which may be several units at once."""

    stage: Stage
    step: int
    steps: int


@dataclass(frozen=True)
class TrainingStep(Event):
    """`step` of `steps` training steps are taken; `loss` is the mean of the last ones."""

    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class Fetching(Event):
    """`done_mib` of `total_mib` of all files of a model are there; `file` is on its way."""

    file: str
    done_mib: int
    total_mib: int


class Progress(Protocol):
    """Listener that is told of long work, and says whether it shall go on."""

    def tell(self, event: Event) -> None:
        """Take note of an event; one that is of no interest is left alone."""

    def check_cancelled(self) -> None:
        """Raise `pipelines.errors.Cancelled` if somebody asked to stop; asked at each denoising step."""


class _Silent:
    """Tells nobody and never stops."""

    def tell(self, event: Event) -> None:
        return

    def check_cancelled(self) -> None:
        return


SILENT: Progress = _Silent()


def tell_steps(progress: Progress, stage: Stage) -> Callable[[int, int], None]:
    """Return the `on_step` of a drawing: it asks whether to stop, and tells of each denoising step of `stage`."""

    def on_step(step: int, steps: int) -> None:
        progress.check_cancelled()
        progress.tell(Denoising(stage, step, steps))

    return on_step
