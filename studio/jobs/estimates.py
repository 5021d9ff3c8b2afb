"""How long a job will take here, by those like it that were timed with the chosen backbone."""

from __future__ import annotations

from studio.application import Studio
from studio.domain.times import JobSize, estimate_job
from studio.domain.values import Request
from studio.jobs.kinds import find_kind, kind_of
from studio.library.job_times import read_times

__all__ = ["estimate_kind", "estimate_request"]


def estimate_kind(studio: Studio, kind: str, size: JobSize) -> float | None:
    """Return the seconds of a job of this kind and size; None where nothing like it was timed."""
    names = [kind, find_kind(kind).timed_as]
    found = (estimate_job(read_times(studio.records, name, studio.choice), size) for name in names if name)
    return next((seconds for seconds in found if seconds is not None), None)


def estimate_request(studio: Studio, request: Request) -> tuple[JobSize, float | None]:
    """Return what a request's time grows with, and its seconds as `estimate_kind`."""
    kind = kind_of(request)
    size = kind.size(request)
    return size, estimate_kind(studio, kind.name, size)
