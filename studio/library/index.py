"""The library's index: one small row a thing, so that a page of it is one query and no result is opened."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, String, and_, bindparam, func, or_, select
from sqlalchemy.orm import aliased

from studio.domain.values import IndexPart, Result
from studio.library.groups import join_groups
from studio.library.records import IndexRecord, MarkRecord, MemberRecord, Records

__all__ = [
    "KINDS", "Cursor", "Page", "Search", "Thing", "count_things", "every_thing", "find_thing", "find_things",
    "index_result", "tags_of", "things_here",
]  # fmt: skip

KINDS = ("consolidate", "posts", "post", "album", "scene", "style", "design")
_AT_ONCE = 500
_MARKED = and_(MarkRecord.id == IndexRecord.id, MarkRecord.owner == IndexRecord.owner)
_SHOWN: tuple[Any, ...] = (IndexRecord.id, IndexRecord.kind, IndexRecord.created, IndexRecord.facts, MarkRecord.facts)
_OWNER = bindparam("owner", type_=String)
_WORD = re.compile(r"[^\s,;:.()<>\"']+")


@dataclass(frozen=True)
class Thing:
    """`id` is "kind:id"; `facts` are those that a card shows, `marks` what its owner said of it."""

    id: str
    kind: str
    created: datetime
    facts: dict[str, Any]
    marks: dict[str, Any]
    favourite: bool

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.favourite, self.created, self.id)


@dataclass(frozen=True)
class Cursor:
    """The place of a thing in the order of things: favourites first, then newest, then by id."""

    favourite: bool
    created: datetime
    id: str


@dataclass(frozen=True)
class Page:
    """Some things, and where the next page begins: behind `next`, None where there is none."""

    things: tuple[Thing, ...]
    next: Cursor | None


@dataclass(frozen=True)
class Search:
    """Which of an owner's things are wanted; `kind` "" is all kinds.

    Every term must be there, in one of its spellings: in the words of the thing, its date, or its tags. It must be in
    each of `groups`, by their ids.
    """

    owner: str
    kind: str = ""
    trashed: bool = False
    terms: tuple[tuple[str, ...], ...] = ()
    tag: str = ""
    groups: tuple[str, ...] = ()


def index_result(records: Records, owner: str, result: Result) -> None:
    """Let a finished thing be found; nothing happens for results that the library does not show."""
    entry = result.index_entry()
    if entry is None:
        return
    key, now = f"{result.kind}:{result.id}", datetime.now(UTC)
    known = records.get(IndexRecord, key, owner)
    created = now if known is None else known.created
    parts = (IndexPart(key, entry.facts, entry.words), *entry.parts)
    records.keep(
        *(
            IndexRecord(
                id=part.id, owner=owner, kind=part.id.partition(":")[0], created=created, facts=dict(part.facts),
                words=f"{created:%Y-%m-%d} {_words(part)}",
            )
            for part in parts
        )
    )  # fmt: skip
    join_groups(records, owner, entry.groups, [part.id for part in parts])
    join_groups(records, owner, [key], [part.id for part in entry.parts])


def _words(part: IndexPart) -> str:
    return " ".join(sorted({word for text in part.words for word in _WORD.findall(text.casefold())}))


def find_things(records: Records, search: Search, after: Cursor | None = None, size: int = 60) -> Page:
    """Return the things that follow `after` (None: the first), favourites first, then newest, then by id.

    A page is found by the last thing of the one before, so that it costs the same wherever it is, and what is added or
    deleted in between moves nothing into the next page or out of it.
    """
    found: list[Thing] = []
    with records.transaction() as session:
        for favourite in (True, False):
            if after is not None and after.favourite < favourite:
                continue  # it is behind all favourites
            begun = after if after is not None and after.favourite == favourite else None
            told = {"owner": search.owner, "most": size + 1 - len(found)}
            if begun is not None:
                told |= {"created": begun.created, "id": begun.id}
            query = _section(replace(search, owner=""), favourite, begun is not None)
            found += [
                Thing(key, kind, created, facts, dict(said or {}), favourite)
                for key, kind, created, facts, said in session.execute(query, told)
            ]
    things = tuple(found[:size])
    return Page(things, things[-1].cursor if len(found) > size else None)


def find_thing(records: Records, owner: str, key: str) -> Thing | None:
    """Return one thing by its id, wherever it is."""
    query = select(IndexRecord, MarkRecord.facts).outerjoin(MarkRecord, _MARKED)
    with records.transaction() as session:
        found = session.execute(query.where(IndexRecord.id == key, IndexRecord.owner == owner)).first()
    if found is None:
        return None
    row, said = found
    marks = dict(said or {})
    return Thing(row.id, row.kind, row.created, row.facts, marks, bool(marks.get("favourite")))


def things_here(records: Records, owner: str, keys: Sequence[str]) -> dict[str, Thing]:
    """Return those of an owner's things by these ids that are not in the trash, by their ids."""
    found: dict[str, Thing] = {}
    with records.transaction() as session:
        for begin in range(0, len(keys), _AT_ONCE):
            told = {"owner": owner, "keys": keys[begin : begin + _AT_ONCE]}
            for key, kind, created, facts, said in session.execute(_these(), told):
                marks = dict(said or {})
                found[key] = Thing(key, kind, created, facts, marks, bool(marks.get("favourite")))
    return found


@cache
def _these() -> Select[Any]:
    """Select those of `:owner`'s things that are among `:keys` and not in the trash."""
    known = IndexRecord.id.in_(bindparam("keys", expanding=True))
    return select(*_SHOWN).outerjoin(MarkRecord, _MARKED).where(known, *_conditions(Search(""), few=True))


def count_things(records: Records, search: Search) -> int:
    """Return how many things there are on all pages."""
    query = select(func.count()).select_from(IndexRecord).outerjoin(MarkRecord, _MARKED).where(*_conditions(search))
    with records.transaction() as session:
        return int(session.scalar(query, {"owner": search.owner}) or 0)


def every_thing(records: Records, search: Search) -> Iterator[Thing]:
    """Yield the things of all pages; those found may be deleted meanwhile."""
    page = find_things(records, search, None, _AT_ONCE)
    yield from page.things
    while page.next is not None:
        page = find_things(records, search, page.next, _AT_ONCE)
        yield from page.things


@lru_cache(maxsize=256)
def _section(search: Search, favourite: bool, begun: bool) -> Select[Any]:
    """Select the favourites, or all others, and what their owner said of them: at most `:most` of `:owner`'s, if
    `begun` those behind `:created` and `:id`. To put the words of a query together takes as long as asking it.
    """
    index, mark = IndexRecord, MarkRecord
    conditions = _conditions(search, favourite)
    if favourite:
        conditions.append(index.id.in_(_said("favourite")))
    else:
        conditions.append(func.coalesce(mark.facts["favourite"].as_boolean(), False).is_(False))
    if begun:  # not `a or b` alone, for which no index serves
        created = bindparam("created", type_=index.created.type)
        conditions += [index.created <= created, or_(index.created < created, index.id > bindparam("id"))]
    query = select(*_SHOWN).outerjoin(mark, _MARKED).where(*conditions)
    return query.order_by(index.created.desc(), index.id).limit(bindparam("most", type_=Integer))


def _conditions(search: Search, few: bool = False) -> list[ColumnElement[bool]]:
    """Of `:owner`'s things, whosever the search is. `few`: the ids of the few that can be meant are known."""
    index, mark = IndexRecord, MarkRecord
    # an expression has no index: SQLite then begins with the ids and not with all things of the owner, or of the kind
    begins_with_ids = few or search.trashed
    conditions: list[ColumnElement[bool]] = [(index.owner.concat("") if begins_with_ids else index.owner) == _OWNER]
    if search.trashed:
        conditions.append(index.id.in_(_said("trashed")))
    else:
        conditions.append(func.coalesce(mark.facts["trashed"].as_boolean(), False).is_(False))
    if search.kind:
        conditions.append((index.kind.concat("") if begins_with_ids else index.kind) == search.kind)
    tags = func.lower(func.coalesce(mark.facts["tags"].as_string(), ""))
    for spellings in search.terms:
        wanted = [spelling.casefold() for spelling in spellings]
        conditions.append(or_(*(c.contains(w, autoescape=True) for w in wanted for c in (index.words, tags))))
    for group in search.groups:
        conditions.append(index.id.in_(_members(MemberRecord.of == group)))
    if search.kind in ("", "post") and not search.trashed:  # with a set go its posts, with an album none
        sets = and_(MemberRecord.of.startswith("posts:"), MemberRecord.of.in_(_said("trashed")))
        conditions.append(index.id.not_in(_members(sets)))
    if search.tag:
        conditions.append(tags.contains(f" {search.tag.casefold()} ", autoescape=True))
    return conditions


def _said(name: str) -> Select[Any]:
    """Select the ids of the few things of which their owner said this, so that not all are looked through."""
    other = aliased(MarkRecord)
    return select(other.id).where(other.owner == _OWNER, other.facts[name].as_boolean().is_(True))


def _members(of: ColumnElement[bool]) -> Select[Any]:
    return select(MemberRecord.thing).where(MemberRecord.owner == _OWNER, of)


def tags_of(records: Records, owner: str) -> list[str]:
    """Every tag that an owner gave, by the alphabet."""
    with records.transaction() as session:
        tags = MarkRecord.facts["tags"].as_string()
        texts = session.scalars(select(tags).where(MarkRecord.owner == owner, tags.is_not(None)).distinct())
        return sorted({tag for text in texts for tag in text.split()})
