"""How long jobs took on this machine, and how long one like them will take."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from pydantic import Field

from studio.domain.values import Value

__all__ = ["JobSize", "JobTime", "estimate_job"]

_RECENT = 5


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
