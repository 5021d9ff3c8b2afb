"""A row about the library: a page of sixty among a million pictures, found by its first thing or by counting rows."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert, select

from benchmarks.speed_timing import SpeedRow, interleave, row_of
from studio.library.index import Cursor, Search, find_things
from studio.library.records import IndexRecord, Records

__all__ = ["page"]

_OWNER, _PAGE = "me", 60
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def page(repeats: int, things: int = 1_000_000) -> list[SpeedRow]:
    """The page in the middle. The peer is the usual `ORDER BY … LIMIT 60 OFFSET n` of the same rows."""
    with tempfile.TemporaryDirectory() as folder:
        records = Records(Path(folder) / "studio.sqlite")
        for begin in range(0, things, 50_000):
            with records.engine.begin() as connection:
                connection.execute(insert(IndexRecord), [
                    {"id": f"post:{i:07d}", "owner": _OWNER, "kind": "post", "created": _BEGIN + timedelta(seconds=i),
                     "facts": {"picture": "0" * 64}, "words": "2026 cafe"}
                    for i in range(begin, min(begin + 50_000, things))
                ])  # fmt: skip
        middle = things // 2
        after = Cursor(False, _BEGIN + timedelta(seconds=things - middle), f"post:{things - middle:07d}")
        search, found = Search(_OWNER), dict[str, list[str]]()

        def by_key() -> None:
            found["ours"] = [thing.id for thing in find_things(records, search, after, _PAGE).things]

        def by_offset() -> None:
            row = IndexRecord
            query = select(row).where(row.owner == _OWNER).order_by(row.created.desc(), row.id)
            with records.transaction() as session:
                found["peer"] = [r.id for r in session.scalars(query.offset(middle).limit(_PAGE))]

        seconds = interleave(repeats, by_key, by_offset)
        records.engine.dispose()
    note = f"{things:,} things; {1000 * sorted(seconds[0])[len(seconds[0]) // 2]:.1f} ms where 2 are wanted"
    return [row_of("page", seconds[0], seconds[1], 1.0, agrees=found["ours"] == found["peer"], note=note)]
