"""What a person says of a thing: that it is in the trash, a favourite, and the like."""

from __future__ import annotations

from typing import Any

from studio.library.records import Facts, MarkRecord, Records

__all__ = ["WALK_MARK", "mark_thing", "marks_of"]

WALK_MARK = "taste:walk"
"""The mark of the walk over pictures that ask for a taste; `shown` is the key of the one that is shown."""


def marks_of(records: Records, owner: str, thing: str) -> Facts:
    """Return what an owner said of one thing."""
    known = records.get(MarkRecord, thing, owner)
    return {} if known is None else dict(known.facts)


def mark_thing(records: Records, owner: str, thing: str, **facts: Any) -> None:
    """Note more of a thing, or other than before."""
    records.keep(MarkRecord(id=thing, owner=owner, facts={**marks_of(records, owner, thing), **facts}))
