"""How long jobs took on this machine, and how long one like them will take."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from pydantic import Field

from studio.domain.values import Value
from studio.texts.texts import Texts

__all__ = ["JobSize", "JobTime", "estimate_job", "say_duration"]

_RECENT = 5
_MINUTE_S, _HOUR_S = 60, 3600


class JobSize(Value):
    """What a job's time grows with: `units` is how many pictures it draws, or the like; `like` says what else it
    depends on, in words of the request: jobs of which it is equal are compared first.
    """

    units: int = Field(1, ge=1)
    like: str = Field("", max_length=200)


class JobTime(Value):
    """A job that ran from its beginning to its end, in seconds."""

    size: JobSize
    seconds: float = Field(ge=0)


def estimate_job(times: Sequence[JobTime], size: JobSize) -> float | None:
    """Return how many seconds a job of this size will take by those of its kind and backbone, the newest first; None
    where none was measured.
    """
    alike = [time for time in times if time.size.like == size.like] or list(times)
    if not alike:
        return None
    return median(time.seconds / time.size.units for time in alike[:_RECENT]) * size.units


def say_duration(t: Texts, seconds: float) -> str:
    """Return a rounded duration: "25 s", "3 min", "1.5 h"."""
    if seconds < 90:
        return t("duration.seconds", count=max(5, 5 * round(seconds / 5)))
    if seconds < 90 * _MINUTE_S:
        return t("duration.minutes", count=round(seconds / _MINUTE_S))
    return t("duration.hours", count=f"{round(2 * seconds / _HOUR_S) / 2:g}")
