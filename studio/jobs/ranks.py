"""The order of waiting jobs: of one person's as they came, until they move one; of several people's, one of each in
turn, beginning with whose last job began longest ago. The worker follows it, whatever the engine took.

A job's rank is when it came, in seconds since 1970, or the number that a person's move gave it; the least is next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import zip_longest

from sqlalchemy import func, select

from studio.library.records import JobRecord, RankRecord, Records

__all__ = ["Ranked", "in_order", "move_by", "move_first"]

Ranked = list[tuple[float, JobRecord]]
_LATELY = timedelta(days=3)
_MOST_PLACES = 1_000_000


def in_order(records: Records, rows: Iterable[JobRecord]) -> Ranked:
    """Return the rows with their ranks, the next first; one that was begun already is before all others."""
    rows = list(rows)
    moved = {(r.id, r.owner): r.rank for r in records.everyones(RankRecord, "id", [row.id for row in rows])}
    ranked = [(moved.get((row.id, row.owner), row.created.timestamp()), row) for row in rows]
    return _take_turns(records, sorted(ranked, key=lambda pair: (pair[1].state != "running", pair[0], pair[1].id)))


def _take_turns(records: Records, ranked: Ranked) -> Ranked:
    """Return them so that nobody's hundred jobs keep another's one waiting."""
    waiting: dict[str, Ranked] = {}
    for pair in ranked:
        if pair[1].state != "running":
            waiting.setdefault(pair[1].owner, []).append(pair)
    if len(waiting) < 2:
        return ranked
    running = [pair for pair in ranked if pair[1].state == "running"]
    busy, begun = {row.owner for _, row in running}, _last_begun(records, waiting)
    owners = sorted(waiting, key=lambda owner: (owner in busy, begun.get(owner, 0.0), waiting[owner][0][0]))
    rounds = zip_longest(*(waiting[owner] for owner in owners))
    return [*running, *(pair for one in rounds for pair in one if pair is not None)]


def _last_begun(records: Records, owners: Collection[str]) -> dict[str, float]:
    """Return when these people's last jobs began, in seconds since 1970; only those of the last days count."""
    began = func.max(JobRecord.facts["began"].as_float())
    lately = JobRecord.created > datetime.now(UTC) - _LATELY
    with records.transaction() as session:
        query = select(JobRecord.owner, began).where(JobRecord.owner.in_(owners), lately).group_by(JobRecord.owner)
        return {owner: when for owner, when in session.execute(query) if when is not None}


def move_first(records: Records, job: str, owner: str) -> None:
    """Let a waiting job of this owner run before all others of theirs that wait."""
    move_by(records, job, owner, -_MOST_PLACES)


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
