"""Albums of an owner: made, renamed, filled. What removes one is the trash, as for all things of the library."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pipelines.errors import BadInput
from studio.domain.album import Album
from studio.domain.names import check_name
from studio.library.groups import join_groups, leave_group
from studio.library.index import Search, count_things, every_thing, find_things, index_result
from studio.library.records import AlbumRecord, IndexRecord, Records, content_id

__all__ = [
    "AlbumFacts", "album_group", "albums_of", "find_album", "look_into", "make_album", "put_into", "rename_album",
    "take_out",
]  # fmt: skip

MEMBERS = ("posts", "post")
"""Kinds of things that an album takes."""


@dataclass(frozen=True)
class AlbumFacts:
    """How much is in an album, and the key of its newest picture ("": it is empty)."""

    count: int
    picture: str


def album_group(album: str) -> str:
    return f"album:{album}"


def make_album(records: Records, owner: str, name: str) -> Album:
    """Return the owner's album of this name, a new one where there is none. Raises BadInput."""
    name = check_name(name)
    known = next((album for album in albums_of(records, owner) if album.name == name), None)
    if known is not None:
        return known
    made = datetime.now(UTC)
    album = Album(id=content_id([owner, name, made.isoformat()]), name=name)
    records.keep(AlbumRecord(id=album.id, owner=owner, name=name))
    index_result(records, owner, album)
    return album


def find_album(records: Records, owner: str, album: str) -> Album:
    """Return the owner's album of this id, one in the trash, too. Raises BadInput."""
    row = records.get(AlbumRecord, album, owner)
    if row is None:
        raise BadInput("album_unknown")
    return Album(id=row.id, name=row.name)


def albums_of(records: Records, owner: str) -> tuple[Album, ...]:
    """Return all that are not in the trash, the newest first."""
    found = every_thing(records, Search(owner, Album.kind))
    return tuple(Album(id=thing.id.partition(":")[2], name=str(thing.facts["name"])) for thing in found)


def rename_album(records: Records, owner: str, album: str, name: str) -> Album:
    """Return the album under its new name. Raises BadInput for a name that another album has."""
    renamed = find_album(records, owner, album).model_copy(update={"name": check_name(name)})
    if any(other.name == renamed.name and other.id != album for other in albums_of(records, owner)):
        raise BadInput("album_known", name=renamed.name)
    row = records.get(AlbumRecord, album, owner)
    assert row is not None
    row.name = renamed.name
    records.keep(row)
    index_result(records, owner, renamed)
    return renamed


def put_into(records: Records, owner: str, album: str, things: Collection[str]) -> None:
    """Put posts and sets into an album, by their ids. Raises BadInput for an album or a thing that is none."""
    find_album(records, owner, album)
    for thing in things:
        row = records.get(IndexRecord, thing, owner)
        if row is None or row.kind not in MEMBERS:
            raise BadInput("album_takes_posts")
    join_groups(records, owner, [album_group(album)], things)


def take_out(records: Records, owner: str, album: str, thing: str) -> None:
    """Take a post or a set out of an album; it stays in the library. Raises BadInput for an album that is none."""
    find_album(records, owner, album)
    leave_group(records, owner, album_group(album), thing)


def look_into(records: Records, owner: str, albums: Collection[str]) -> Mapping[str, AlbumFacts]:
    """Return by album what its card shows; what lies in the trash does not count."""
    facts = {}
    for album in albums:
        inside = Search(owner, groups=(album_group(album),))
        newest = find_things(records, inside, None, 1).things
        picture = str(newest[0].facts.get("picture", "")) if newest else ""
        facts[album] = AlbumFacts(count_things(records, inside), picture)
    return facts
