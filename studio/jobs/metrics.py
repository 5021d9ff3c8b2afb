"""Figures for Prometheus: what all workers have drawn, what waits, who lives, and what the machines have left.

What was counted is in the records (`studio.library.counts`), written by whichever worker did it, and what workers are
is what they said themselves: so any process that reaches the database tells the truth of all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from studio.application import Studio
from studio.domain.choice import BackboneChoice
from studio.domain.times import JobSize, JobTime
from studio.jobs.kinds import find_kind
from studio.jobs.workers import WorkerState, list_workers
from studio.library.counts import add_counts, read_counts
from studio.library.job_times import note_time
from studio.library.machine import look_at_machine
from studio.library.records import JobRecord, Records

__all__ = ["note_drawn", "note_failure", "render_metrics"]

_STATES = ("queued", "running", "done", "failed", "cancelled")
_BUCKETS_S = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
_BEYOND = "+Inf"
_PICTURES, _SECONDS, _BUCKET, _FAILURE = "pictures", "picture-seconds", "picture-bucket", "failure"


def note_drawn(
    records: Records, job: str, kind: str, choice: BackboneChoice, size: JobSize, seconds: float, *, is_whole: bool
) -> None:
    """Keep what a job drew and how long that took; of one that was interrupted (not `is_whole`) nobody knows how long.

    Raises SQLAlchemyError.
    """
    if is_whole:
        note_time(records, job, kind, choice, JobTime(size=size, seconds=seconds))
    if not find_kind(kind).draws:
        return
    more: dict[str, float] = {f"{_PICTURES} {kind}": size.units}
    if is_whole:
        each = seconds / size.units
        bucket = next((f"{most:g}" for most in _BUCKETS_S if each <= most), _BEYOND)
        more |= {f"{_SECONDS} {kind}": seconds, f"{_BUCKET} {kind} {bucket}": size.units}
    add_counts(records, more)


def note_failure(records: Records, kind: str, code: str) -> None:
    """Count a job that failed. Raises SQLAlchemyError."""
    add_counts(records, {f"{_FAILURE} {kind} {code}": 1})


def render_metrics(studio: Studio) -> bytes:
    """Return the figures in Prometheus' text format. Raises SQLAlchemyError."""
    registry = CollectorRegistry()
    registry.register(_Figures(studio))
    return generate_latest(registry)


class _Figures(Collector):
    """Asked once, for one answer."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        records = self._studio.records
        yield _jobs(records)
        yield from _counted(read_counts(records))
        yield from _workers(list_workers(records))
        here = look_at_machine(self._studio.settings.data)
        yield _gauge("disk_free_bytes", "Free on the disk of the pages' data folder.", here.disk_free)
        yield _gauge("disk_bytes", "Size of the disk of the pages' data folder.", here.disk_total)
        yield _gauge("memory_available_bytes", "Memory that the pages' machine has left.", here.memory_free)
        yield _gauge("pages_memory_bytes", "Memory of the process that answers this.", here.process)


def _jobs(records: Records) -> Metric:
    family = GaugeMetricFamily("persona_studio_jobs", "Jobs of all users, by state.", labels=["state"])
    with records.transaction() as session:
        rows = session.execute(select(JobRecord.state, func.count()).group_by(JobRecord.state)).all()
    known = {str(state): int(count) for state, count in rows}
    for state in _STATES:
        family.add_metric([state], known.get(state, 0))
    return family


def _counted(counts: Mapping[str, float]) -> Iterator[Metric]:
    pictures = CounterMetricFamily("persona_studio_pictures", "Pictures drawn by finished jobs.", labels=["kind"])
    failures = CounterMetricFamily(
        "persona_studio_failures", "Jobs that failed, by the error's code.", labels=["kind", "code"]
    )
    took = HistogramMetricFamily(
        "persona_studio_picture_seconds", "Seconds a picture, in jobs that nothing interrupted.", labels=["kind"]
    )
    buckets, seconds = defaultdict[str, dict[str, float]](dict), dict[str, float]()
    for name, value in counts.items():
        what, *labels = name.split(" ")
        if what == _PICTURES:
            pictures.add_metric(labels, value)
        elif what == _FAILURE:
            failures.add_metric(labels, value)
        elif what == _SECONDS:
            seconds[labels[0]] = value
        elif what == _BUCKET:
            buckets[labels[0]][labels[1]] = value
    for kind, found in buckets.items():
        total, cumulated = 0.0, list[tuple[str, float]]()
        for most in (*(f"{one:g}" for one in _BUCKETS_S), _BEYOND):
            total += found.get(most, 0.0)
            cumulated.append((most, total))
        took.add_metric([kind], cumulated, seconds.get(kind, 0.0))
    yield from (pictures, failures, took)


def _workers(workers: Iterable[WorkerState]) -> Iterator[Metric]:
    alive = [worker for worker in workers if worker.is_alive]
    yield _gauge("workers", "Workers that live.", len(alive))
    yield _gauge("workers_busy", "Workers that have a job.", sum(bool(worker.job) for worker in alive))
    memory = GaugeMetricFamily("persona_studio_worker_memory_bytes", "Memory of a worker.", labels=["worker", "host"])
    disk = GaugeMetricFamily(
        "persona_studio_worker_disk_free_bytes", "Free on a worker's disk.", labels=["worker", "host"]
    )
    for worker in alive:
        labels = [worker.id, worker.facts["host"]]
        if worker.memory:
            memory.add_metric(labels, worker.memory)
            disk.add_metric(labels, worker.disk_free)
    yield from (memory, disk)


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"persona_studio_{name}", words, value=value)
