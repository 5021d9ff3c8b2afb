"""Progress and cancellation: one small protocol, passed down explicitly."""

from __future__ import annotations

from typing import Protocol

__all__ = ["SILENT", "Progress"]


class Progress(Protocol):
    """What long work tells its caller, and what the caller may ask of it."""

    def step(self, stage: str, done: int, total: int, **facts: float | str) -> None:
        """Say that `done` of `total` units of `stage` are ready; `facts` are shown beside it (loss=0.12)."""

    def check_cancelled(self) -> None:
        """Raise `pipelines.errors.Cancelled` if somebody asked to stop; asked at each denoising step."""


class _Silent:
    """Tells nobody and never stops."""

    def step(self, stage: str, done: int, total: int, **facts: float | str) -> None:
        return

    def check_cancelled(self) -> None:
        return


SILENT: Progress = _Silent()
