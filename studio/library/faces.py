"""The faces that things of the library show, by which they are found: one row a thing and its owner.

A process keeps an owner's faces of one recogniser in memory, as they are compared. It asks for rows that were written
since it last did, so that a look costs as much whatever there is, and begins anew where it meets one that is gone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import numpy.typing as npt
from sqlalchemy import and_, bindparam, func, select

from personas.measures.nearest import FaceMatrix
from studio.library.database import seconds_now
from studio.library.index import Thing, things_here
from studio.library.records import FaceRecord, IndexRecord, Records

__all__ = ["FACED", "FaceIndex", "FoundFace", "count_unread", "keep_faces", "kept_face", "things_unread"]

Face = npt.NDArray[np.floating]
FACED = ("post", "consolidate", "design")
"""Kinds of things that show one person's face."""
_BEHIND_S = 60.0  # how much later than it says a row may be seen by others
_AT_ONCE = 4096
_MOST_BYTES = 1_500_000_000  # of all owners' faces in memory: 900 000 of 512 numbers
_WRITTEN = (
    select(FaceRecord.id, FaceRecord.face)
    .where(
        FaceRecord.owner == bindparam("owner"),
        FaceRecord.pack == bindparam("pack"),
        FaceRecord.written > bindparam("since"),
    )
    .execution_options(yield_per=_AT_ONCE)
)


@dataclass(frozen=True)
class FoundFace:
    """A thing and the cosine of its face to what was looked for, in [-1, 1]."""

    thing: Thing
    cosine: float


def keep_faces(records: Records, owner: str, pack: str, faces: Mapping[str, Face | None]) -> None:
    """Keep faces [d] of things by their ids, None for one that shows none, as this pack (its SHA-256) reads them."""
    with records.transaction() as session:
        now = session.scalar(select(seconds_now(records.engine)))
        for thing, face in faces.items():
            told = b"" if face is None else np.asarray(face, "<f2").tobytes()
            session.merge(FaceRecord(id=thing, owner=owner, pack=pack, written=now, face=told))


def kept_face(records: Records, owner: str, pack: str, thing: str) -> npt.NDArray[np.float32] | None:
    """Return the face [d] of an owner's thing; None where this pack has seen none in it."""
    row = records.get(FaceRecord, thing, owner)
    return None if row is None or row.pack != pack or not row.face else _face(row.face)


def things_unread(records: Records, pack: str, most: int, owner: str | None = None) -> list[tuple[str, str]]:
    """Return owner and id of things (of this owner, None: of all) that this pack has not looked at, newest first."""
    row, face = IndexRecord, FaceRecord
    read = and_(face.id == row.id, face.owner == row.owner, face.pack == pack)
    query = select(row.owner, row.id).outerjoin(face, read).where(row.kind.in_(FACED), face.id.is_(None))
    query = query if owner is None else query.where(row.owner == owner)
    with records.transaction() as session:
        return [(who, thing) for who, thing in session.execute(query.order_by(row.created.desc()).limit(most))]


def count_unread(records: Records, owner: str, pack: str) -> int:
    """Return how many of an owner's things this pack has not looked at."""
    row, face = IndexRecord, FaceRecord
    with records.transaction() as session:
        things = session.scalar(select(func.count()).where(row.owner == owner, row.kind.in_(FACED)))
        read = session.scalar(select(func.count()).where(face.owner == owner, face.pack == pack))
    return max(0, int(things or 0) - int(read or 0))


@dataclass
class _Kept:
    """An owner's faces in memory: `things` by their rows, `rows` by their things. `looked` is when new ones were last
    asked for, by the database's clock."""

    matrix: FaceMatrix | None = None
    things: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    looked: float = 0.0
    turn: Lock = field(default_factory=Lock)

    @property
    def memory(self) -> int:
        return 0 if self.matrix is None else self.matrix.memory


class FaceIndex:
    """All owners' faces, as this process keeps them; any number of threads may look."""

    def __init__(self, records: Records, threads: int = 0) -> None:
        """`threads` as `FaceMatrix` takes them."""
        self._records, self._threads = records, threads
        self._now = select(seconds_now(records.engine))
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._turn = Lock()

    def nearest(self, owner: str, pack: str, face: Face, count: int) -> list[FoundFace]:
        """Return the `count` things of an owner, or all, whose faces are nearest to a unit embedding [d] of this pack;
        those in the trash do not count."""
        wanted = count
        while True:
            kept = self._fresh(owner, pack)
            if kept.matrix is None:
                return []
            rows, cosines = kept.matrix.nearest(face, wanted)
            things = [kept.things[row] for row in rows]
            here = things_here(self._records, owner, things)
            if len(here) < len(things) and self._is_gone(owner, pack, [t for t in things if t not in here]):
                self._forget(owner, pack)
                continue
            found = [
                FoundFace(here[thing], float(cosine))
                for thing, cosine in zip(things, cosines, strict=True)
                if thing in here
            ]
            if len(found) >= count or len(things) < wanted:
                return found[:count]
            wanted *= 4  # some lie in the trash

    def _fresh(self, owner: str, pack: str) -> _Kept:
        with self._turn:
            kept = self._kept.setdefault((owner, pack), _Kept())
            self._kept.move_to_end((owner, pack))
        with kept.turn:
            changed = self._take_new(kept, owner, pack)
        if changed:
            self._forget(owner, pack)
            return self._fresh(owner, pack)
        with self._turn:
            while len(self._kept) > 1 and sum(one.memory for one in self._kept.values()) > _MOST_BYTES:
                self._kept.popitem(last=False)
        return kept

    def _take_new(self, kept: _Kept, owner: str, pack: str) -> bool:
        """Take what was written since the last look; whether a face is another than before."""
        told = {"owner": owner, "pack": pack, "since": kept.looked - _BEHIND_S}
        with self._records.transaction() as session:
            now = session.scalar(self._now)
            found = session.execute(_WRITTEN, told)
            for part in found.partitions():
                new = [(thing, face) for thing, face in part if face and thing not in kept.rows]
                for thing, face in part:
                    row = kept.rows.get(thing)
                    if row is not None and (kept.matrix is None or kept.matrix.told(row) != face):
                        return True
                self._add(kept, new)
        kept.looked = float(now or 0.0)
        return False

    def _add(self, kept: _Kept, new: Sequence[tuple[str, bytes]]) -> None:
        if not new:
            return
        faces = np.stack([_face(told) for _, told in new])
        if kept.matrix is None:
            kept.matrix = FaceMatrix(faces.shape[1], self._threads)
        kept.rows |= {thing: len(kept.things) + i for i, (thing, _) in enumerate(new)}
        kept.things += [thing for thing, _ in new]  # before the rows: whoever finds one knows whose it is
        kept.matrix.add(faces)

    def _forget(self, owner: str, pack: str) -> None:
        with self._turn:
            self._kept.pop((owner, pack), None)

    def _is_gone(self, owner: str, pack: str, things: Sequence[str]) -> bool:
        """Whether the row of one of them is there no more; others lie in the trash, or are shown in a moment."""
        face = FaceRecord
        query = select(func.count()).where(face.owner == owner, face.pack == pack, face.face != b"")
        parts = [things[begin : begin + _AT_ONCE] for begin in range(0, len(things), _AT_ONCE)]
        with self._records.transaction() as session:
            there = sum(int(session.scalar(query.where(face.id.in_(part))) or 0) for part in parts)
        return there < len(things)


def _face(told: bytes) -> npt.NDArray[np.float32]:
    return np.frombuffer(told, "<f2").astype(np.float32)
