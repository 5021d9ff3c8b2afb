"""Groups of things of the library: who is in them, where, for which platform, in which album, and a set's posts.

A group's id is "kind:value", such as "person:Lin"; a thing may be in as many as it likes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import delete, or_, select

from studio.library.records import MemberRecord, Records, content_id

__all__ = ["forget_members", "groups_named", "groups_of", "join_groups", "leave_group", "members_of"]


def join_groups(records: Records, owner: str, groups: Iterable[str], things: Collection[str]) -> None:
    """Put things into groups; nothing happens to those that are there already."""
    records.keep(
        *(
            MemberRecord(id=content_id([group, thing]), owner=owner, of=group, thing=thing)
            for group in groups
            for thing in things
        )
    )


def leave_group(records: Records, owner: str, group: str, thing: str) -> None:
    """Take a thing out of a group; the thing itself stays."""
    records.remove(MemberRecord, content_id([group, thing]), owner)


def members_of(records: Records, owner: str, group: str) -> tuple[str, ...]:
    """Return the things of a group, by their ids."""
    return tuple(sorted(row.thing for row in records.find(MemberRecord, owner, of=group)))


def groups_of(records: Records, owner: str, things: Collection[str], kind: str) -> Mapping[str, tuple[str, ...]]:
    """Return by thing the groups of one kind that it is in; nothing of things that are in none."""
    member = MemberRecord
    query = select(member.thing, member.of).where(
        member.owner == owner, member.thing.in_(things), member.of.startswith(f"{kind}:", autoescape=True)
    )
    found: dict[str, tuple[str, ...]] = {}
    with records.transaction() as session:
        for thing, group in session.execute(query.order_by(member.created, member.of)):
            found[thing] = (*found.get(thing, ()), group)
    return found


def groups_named(records: Records, owner: str, kind: str) -> tuple[str, ...]:
    """Return the values of all groups of one kind that have a member, such as all persons, by the alphabet."""
    member, start = MemberRecord, f"{kind}:"
    found = []
    with records.transaction() as session:
        # from one group to the next, so that it costs what there are groups and not what there are members
        query = select(member.of).where(member.owner == owner).order_by(member.of).limit(1)
        group = session.scalar(query.where(member.of >= start))
        while group is not None and group.startswith(start):
            found.append(group.removeprefix(start))
            group = session.scalar(query.where(member.of > group))
    return tuple(sorted(found, key=str.casefold))


def forget_members(records: Records, owner: str, ids: Collection[str]) -> None:
    """Forget that these things are in any group, and what is in groups of these ids."""
    with records.transaction() as session:
        for key in ids:
            there = or_(MemberRecord.thing == key, MemberRecord.of == key)
            session.execute(delete(MemberRecord).where(MemberRecord.owner == owner, there))
