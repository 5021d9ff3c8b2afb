"""Sets that an older studio made: their posts come into the library, and what was exported for which platform."""

from __future__ import annotations

from sqlalchemy import select

from pipelines.errors import StudioError
from studio.domain.posts import PostSet
from studio.library.groups import join_groups, members_of
from studio.library.index import index_result
from studio.library.library import Library
from studio.library.records import BundleRecord, IndexRecord, MemberRecord
from studio.library.results import find_result

__all__ = ["index_older_sets", "note_platform"]


def note_platform(library: Library, owner: str, post_set: str, platform: str) -> None:
    """Let an exported set and its posts be found by the platform."""
    key, records = f"{PostSet.kind}:{post_set}", library.records
    join_groups(records, owner, [f"platform:{platform}"], [key, *members_of(records, owner, key)])


def index_older_sets(library: Library) -> int:
    """Index the posts of sets that have none in the library yet; return of how many sets."""
    records, row, member = library.records, IndexRecord, MemberRecord
    known = select(member.id).where(member.owner == row.owner, member.of == row.id)
    with records.transaction() as session:
        older = list(session.scalars(select(row).where(row.kind == PostSet.kind, ~known.exists())))
    for thing in older:
        key = thing.id.partition(":")[2]
        try:
            post_set = find_result(records, library.store, thing.owner, PostSet, key)
        except StudioError:  # damaged, or of a newer studio: its card says so
            continue
        index_result(records, thing.owner, post_set)
        for bundle in records.find(BundleRecord, thing.owner, post_set=key):
            note_platform(library, thing.owner, key, bundle.platform)
    return len(older)
