"""The library's shelf: one small row a thing, so that a page of it is one query and no result is opened."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, func, or_, select

from studio.domain.values import Result
from studio.library.records import MarkRecord, Records, ShelfRecord

__all__ = ["KINDS", "Thing", "find_things", "index_result", "tags_of"]

KINDS = ("consolidate", "posts", "scene", "design")
_WORD = re.compile(r"[^\s,;:.()<>\"']+")


@dataclass(frozen=True)
class Thing:
    """`id` is "kind:id"; `facts` are those that a card shows, `marks` what its owner said of it."""

    id: str
    kind: str
    created: datetime
    facts: dict[str, Any]
    marks: dict[str, Any]


def index_result(records: Records, owner: str, result: Result) -> None:
    """Let a finished thing be found; nothing happens for results that the library does not show."""
    entry = result.index_entry()
    if entry is None:
        return
    key, now = f"{result.kind}:{result.id}", datetime.now(UTC)
    known = records.get(ShelfRecord, key, owner)
    created = now if known is None else known.created
    text = " ".join(sorted({w for part in entry.words for w in _WORD.findall(part.casefold())}))
    records.keep(
        ShelfRecord(
            id=key, owner=owner, kind=result.kind, created=created, facts=dict(entry.facts),
            words=f"{created:%Y-%m-%d} {text}",
        )
    )  # fmt: skip


def find_things(
    records: Records,
    owner: str,
    kind: str = "",
    *,
    trashed: bool = False,
    terms: Sequence[Sequence[str]] = (),
    tag: str = "",
    page: int = 1,
    size: int = 60,
) -> tuple[list[Thing], int]:
    """A page (from 1) of an owner's things, favourites first, then newest; and how many there are in all.

    Every term must be there, in one of its spellings: in the words of the thing, its date, or its tags. `kind` "" is
    all kinds.
    """
    shelf, mark = ShelfRecord, MarkRecord
    tags = func.lower(func.coalesce(mark.facts["tags"].as_string(), ""))
    conditions = [shelf.owner == owner, func.coalesce(mark.facts["trashed"].as_boolean(), False) == trashed]
    conditions += [shelf.kind == kind] if kind else []
    for spellings in terms:
        wanted = [spelling.casefold() for spelling in spellings]
        conditions.append(
            or_(*(c.contains(w, autoescape=True) for w in wanted for c in (shelf.words, tags))),
        )
    if tag:
        conditions.append(tags.contains(f" {tag.casefold()} ", autoescape=True))
    joined = and_(mark.id == shelf.id, mark.owner == shelf.owner)
    favourite = func.coalesce(mark.facts["favourite"].as_boolean(), False)
    with records.transaction() as session:
        count = session.scalar(
            select(func.count()).select_from(shelf).outerjoin(mark, joined).where(*conditions)
        )  # fmt: skip
        rows = session.execute(
            select(shelf, mark.facts).outerjoin(mark, joined).where(*conditions)
            .order_by(favourite.desc(), shelf.created.desc(), shelf.id).limit(size).offset(size * (page - 1))
        ).all()  # fmt: skip
    return [Thing(row.id, row.kind, row.created, row.facts, dict(said or {})) for row, said in rows], int(count or 0)


def tags_of(records: Records, owner: str) -> list[str]:
    """Every tag that an owner gave, by the alphabet."""
    with records.transaction() as session:
        tags = MarkRecord.facts["tags"].as_string()
        texts = session.scalars(select(tags).where(MarkRecord.owner == owner, tags.is_not(None)).distinct())
        return sorted({tag for text in texts for tag in text.split()})
