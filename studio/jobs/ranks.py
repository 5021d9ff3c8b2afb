"""The order of waiting jobs: as they came, until a person moves one. The worker follows it, whatever the engine took.

A job's rank is when it came, in seconds since 1970, or the number that a person's move gave it; the least is next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from studio.library.records import JobRecord, RankRecord, Records

__all__ = ["Ranked", "in_order", "move_by", "move_first"]

Ranked = list[tuple[float, JobRecord]]


def in_order(records: Records, rows: Iterable[JobRecord]) -> Ranked:
    """Return the rows with their ranks, the next first; one that was begun already is before all others."""
    rows = list(rows)
    moved = {(r.id, r.owner): r.rank for r in records.everyones(RankRecord, "id", [row.id for row in rows])}
    ranked = [(moved.get((row.id, row.owner), row.created.timestamp()), row) for row in rows]
    return sorted(ranked, key=lambda pair: (pair[1].state != "running", pair[0], pair[1].id))


def move_first(records: Records, job: str, owner: str) -> None:
    """Let a waiting job of this owner run before all others that wait, whoever's they are."""
    every = in_order(records, records.everyones(JobRecord, "state", ("queued",)))
    if every and any((row.id, row.owner) == (job, owner) for _, row in every):
        records.keep(RankRecord(id=job, owner=owner, rank=every[0][0] - 1))


def move_by(records: Records, job: str, owner: str, places: int) -> None:
    """Move a waiting job so many places up (negative) or down among this owner's; beyond an end is the end.

    The owner's jobs share out the ranks that they have, so that nobody else's waits longer for it.
    """
    mine = in_order(records, records.find(JobRecord, owner, state="queued"))
    ids = [row.id for _, row in mine]
    if job not in ids:
        return
    order = [one for one in ids if one != job]
    order.insert(max(0, min(ids.index(job) + places, len(order))), job)
    _share_out(records, owner, [rank for rank, _ in mine], order)


def _share_out(records: Records, owner: str, ranks: Sequence[float], order: Sequence[str]) -> None:
    distinct: list[float] = []
    for rank in ranks:  # equal ones would be told apart by their ids
        distinct.append(rank if not distinct or rank > distinct[-1] else distinct[-1] + 1e-6)
    records.keep(*(RankRecord(id=job, owner=owner, rank=rank) for job, rank in zip(order, distinct, strict=True)))
