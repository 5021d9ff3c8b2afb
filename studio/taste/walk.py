"""A walk over eight pictures, once: each next one is the one that tells most after what was said before.

They are the owner's own newest candidates and posts where there are enough of them, else those that come along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from studio.domain.taste import Taste
from studio.library.grants import grant, may_read
from studio.library.marks import WALK_MARK, mark_thing, marks_of
from studio.library.records import CandidateRecord, PostRecord, Records
from studio.library.store import Store
from studio.taste.order import Picture, liking_of, unknown_liking
from studio.taste.shipped import shipped_pictures

__all__ = ["WALK", "Walk", "next_pictures", "own_pictures", "pass_by", "walk_of"]

WALK = 8
_ENOUGH, _NEWEST = 24, 120


@dataclass(frozen=True)
class Walk:
    """How far a walk is: keys of the pictures that were passed, the one that is shown ("": none is left), and whether
    its owner has ended it."""

    passed: tuple[str, ...]
    picture: str
    ended: bool

    @property
    def over(self) -> bool:
        return self.ended or not self.picture or len(self.passed) >= WALK


def walk_of(records: Records, store: Store, owner: str, tastes: Sequence[Taste]) -> Walk:
    """Return how far the owner's walk is; a picture that comes along is the owner's to see once it is shown."""
    told = marks_of(records, owner, WALK_MARK)
    passed, ended, shown = tuple(told.get("passed", ())), bool(told.get("ended")), str(told.get("shown", ""))
    there = bool(shown) and shown not in passed and may_read(records, owner, shown) and store.has(shown)
    if ended or len(passed) >= WALK or there:
        return Walk(passed, shown, ended)
    found = next_pictures(records, store, owner, tastes, 2, frozenset(passed))  # the last is one by chance
    shown = found[0].key if found else ""
    mark_thing(records, owner, WALK_MARK, shown=shown)
    return Walk(passed, shown, ended)


def pass_by(records: Records, owner: str, picture: str, *, end: bool = False, again: bool = False) -> None:
    """Note that a picture was passed, that the walk is ended, or that it begins again."""
    told = marks_of(records, owner, WALK_MARK)
    passed = [] if again else [*told.get("passed", ()), *([picture] if picture else [])]
    facts = {"passed": list(dict.fromkeys(passed)), "ended": end and not again}
    mark_thing(records, owner, WALK_MARK, **facts, **({"shown": ""} if again else {}))


def next_pictures(
    records: Records,
    store: Store,
    owner: str,
    tastes: Sequence[Taste],
    count: int,
    passed: frozenset[str] = frozenset(),
) -> list[Picture]:
    """Return so many pictures to say something of, those that tell most; fewer where there are no more."""
    pool = [one for one in own_pictures(records, owner) if one.key not in passed]
    there = store.having(one.key for one in pool)
    pool = [one for one in pool if one.key in there]
    if len(pool) < _ENOUGH:
        pool = [Picture(one.key, one.shot) for one in shipped_pictures() if one.key not in passed]
        for one in shipped_pictures():
            store.put(one.file.read_bytes())
        grant(records, owner, [one.key for one in pool])
    if not pool:
        return []
    liking = liking_of(records, store, owner, tastes) or unknown_liking(store)
    return [pool[n] for n in liking.ask_next(pool, count, len(passed))]


def own_pictures(records: Records, owner: str) -> list[Picture]:
    """Return the owner's newest posts and candidates, whose shots are known, the newest first."""
    rows = [(one.created, one.picture, one.facts) for one in records.newest(PostRecord, owner, _NEWEST)]
    rows += [(one.created, one.picture, one.facts) for one in records.newest(CandidateRecord, owner, _NEWEST)]
    rows.sort(key=lambda row: row[0], reverse=True)
    return [Picture(key, dict(facts["shot"])) for _, key, facts in rows if facts.get("shot")]
