"""Rows about the library: a page of sixty among a million pictures, found by its first thing or by counting rows; and
the faces nearest to one among a hundred thousand.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert, select

from benchmarks.speed_timing import SpeedRow, interleave, row_of
from studio.library.faces import FaceIndex
from studio.library.index import Cursor, Search, find_things, things_here
from studio.library.records import FaceRecord, IndexRecord, Records

__all__ = ["page", "search"]

_OWNER, _PAGE = "me", 60
_PACK, _WIDTHS, _FOUND, _EACH = "a" * 64, (128, 512), 24, 50
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def page(repeats: int, things: int = 1_000_000) -> list[SpeedRow]:
    """The page in the middle. The peer is the usual `ORDER BY … LIMIT 60 OFFSET n` of the same rows."""
    with _library(things) as records:
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
    note = f"{things:,} things; {1000 * sorted(seconds[0])[len(seconds[0]) // 2]:.1f} ms where 2 are wanted"
    return [row_of("page", seconds[0], seconds[1], 1.0, agrees=found["ours"] == found["peer"], note=note)]


def search(repeats: int, faces: int = 100_000) -> list[SpeedRow]:
    """The things whose faces are nearest to one, for the miniature's width and that of the usual packs.

    Every second face that is looked for is of somebody who is there. The peer multiplies all by it, in float32, and
    sorts; both end with the things' own rows of the records. Ours asks the records for new faces first.
    """
    return [_search(repeats, faces, width) for width in _WIDTHS]


def _search(repeats: int, count: int, width: int) -> SpeedRow:
    rng = np.random.default_rng(width)
    kept = _people(rng, count, width).astype(np.float16)
    asked = [_unit(rng.standard_normal(width) / 4 + k % 2 * 4 * kept[k]) for k in range(repeats + 1)]
    with _library(count) as records:
        for begin in range(0, count, 50_000):
            rows = [
                {"id": f"post:{i:07d}", "owner": _OWNER, "pack": _PACK, "written": 0.0, "face": kept[i].tobytes()}
                for i in range(begin, min(begin + 50_000, count))
            ]
            with records.engine.begin() as connection:
                connection.execute(insert(FaceRecord), rows)
        shelf, plain = FaceIndex(records, threads=1), kept.astype(np.float32)
        found: dict[str, list[list[str]]] = {"ours": [], "peer": []}

        def bounded() -> None:
            face = asked[len(found["ours"])]
            found["ours"].append([one.thing.id for one in shelf.nearest(_OWNER, _PACK, face, _FOUND)])

        def sorting() -> None:
            face = asked[len(found["peer"])]
            keys = [f"post:{i:07d}" for i in np.argsort(-(plain @ face))[:_FOUND]]
            here = things_here(records, _OWNER, keys)
            found["peer"].append([key for key in keys if key in here])

        seconds = interleave(repeats, bounded, sorting)
    agrees = found["ours"] == found["peer"]
    note = f"{count:,} faces of {width} numbers; {1000 * float(np.median(seconds[0])):.1f} ms where 8 are wanted"
    return row_of(f"search_{width}", seconds[0], seconds[1], 1.0, agrees=agrees, note=note)


def _people(rng: np.random.Generator, count: int, width: int) -> NDArray[np.float32]:
    """Faces [count, width] of people with fifty pictures each, whose cosines to each other are about .6."""
    centres = _unit(rng.standard_normal((-(-count // _EACH), width)))
    each = np.repeat(centres, _EACH, axis=0)[:count]
    return _unit(each + 0.8 * _unit(rng.standard_normal(each.shape)))


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


@contextmanager
def _library(things: int) -> Iterator[Records]:
    """Posts of one owner, a second between one and the next."""
    with tempfile.TemporaryDirectory() as folder:
        records = Records(Path(folder) / "studio.sqlite")
        for begin in range(0, things, 50_000):
            with records.engine.begin() as connection:
                connection.execute(insert(IndexRecord), [
                    {"id": f"post:{i:07d}", "owner": _OWNER, "kind": "post", "created": _BEGIN + timedelta(seconds=i),
                     "facts": {"picture": "0" * 64}, "words": "2026 cafe"}
                    for i in range(begin, min(begin + 50_000, things))
                ])  # fmt: skip
        yield records
        records.engine.dispose()
