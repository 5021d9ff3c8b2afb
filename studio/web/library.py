"""Routes for programs: the owner's things found as on the library's page, and albums."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from pipelines.errors import BadInput
from studio.application import Studio
from studio.domain.album import Album
from studio.library.albums import (
    album_group,
    albums_of,
    find_album,
    look_into,
    make_album,
    put_into,
    rename_album,
    take_out,
)
from studio.library.index import KINDS, Search, Thing, find_thing, find_things
from studio.library.marks import mark_thing

__all__ = ["AlbumBundle", "ThingSaid", "add_library", "say_thing"]

OwnerOf = Callable[[Request], str]
Words = Annotated[str, Query(max_length=200)]
Group = Annotated[str, Query(max_length=200)]
AnyKind = Literal["", "consolidate", "posts", "post", "album", "scene", "style", "design"]
assert set(KINDS) | {""} == set(AnyKind.__args__)  # type: ignore[attr-defined]


class ThingSaid(BaseModel):
    """A thing of the library; `facts` are those that its card shows, `picture` among them."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: str
    created: datetime
    favourite: bool
    disliked: bool
    facts: dict[str, JsonValue]


class AlbumSaid(BaseModel):
    """An album and how many things are in it."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    count: int


class AlbumBody(BaseModel):
    """A new album."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(max_length=200)


class AlbumBundle(BaseModel):
    """What is packed of an album: a zip for each platform, or one with a folder for each (`together`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    platforms: list[str] = Field(["xiaohongshu"], min_length=1, max_length=12)
    content: Literal["bundle", "pictures"] = "bundle"
    together: bool = False
    unlabelled: bool = False
    allow_flagged: bool = False


class AlbumChange(BaseModel):
    """What changes of an album: its name (null: none), and the ids of things that come into it or go out of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str | None = Field(None, max_length=200)
    put: list[str] = Field(default_factory=list, max_length=1000)
    take_out: list[str] = Field(default_factory=list, max_length=1000)


def add_library(api: APIRouter, studio: Studio, owner_of: OwnerOf) -> None:
    """`owner_of` says whose request it is."""
    records = studio.records

    def say(owner: str, *albums: Album) -> list[AlbumSaid]:
        inside = look_into(records, owner, [album.id for album in albums])
        return [AlbumSaid(id=album.id, name=album.name, count=inside[album.id].count) for album in albums]

    @api.get("/library")
    def library(
        request: Request,
        kind: AnyKind = "post",
        words: Words = "",
        person: Group = "",
        place: Group = "",
        platform: Group = "",
        album: Group = "",
        after: Annotated[str, Query(max_length=100)] = "",
        limit: Annotated[int, Query(ge=1, le=200)] = 60,
    ) -> list[ThingSaid]:
        """Return things that are not in the trash, favourites first, then the newest; those that follow the thing of
        the id `after`."""
        owner = owner_of(request)
        told = {"person": person, "place": place, "platform": platform}
        groups = [f"{name}:{value}" for name, value in told.items() if value]
        if album:
            groups.append(album_group(find_album(records, owner, album).id))
        search = Search(owner, kind, terms=tuple((word,) for word in words.split()[:12]), groups=tuple(groups))
        last = _find(after, lambda key: find_thing(records, owner, key)) if after else None
        page = find_things(records, search, None if last is None else last.cursor, limit)
        return [say_thing(thing) for thing in page.things]

    @api.get("/albums")
    def albums(request: Request) -> list[AlbumSaid]:
        """Return all albums that are not in the trash."""
        owner = owner_of(request)
        return say(owner, *albums_of(records, owner))

    @api.post("/albums", status_code=201)
    def make(body: AlbumBody, request: Request) -> AlbumSaid:
        """Make an album; the same name is the same album."""
        owner = owner_of(request)
        return say(owner, make_album(records, owner, body.name))[0]

    @api.patch("/albums/{album}")
    def change(album: str, body: AlbumChange, request: Request) -> AlbumSaid:
        """Rename an album, put posts and sets into it, take some out."""
        owner = owner_of(request)
        put_into(records, owner, album, body.put)
        if body.name is not None:
            rename_album(records, owner, album, body.name)
        for thing in body.take_out:
            take_out(records, owner, album, thing)
        return say(owner, find_album(records, owner, album))[0]

    @api.delete("/albums/{album}", status_code=204)
    def remove(album: str, request: Request) -> None:
        """Move an album to the trash; what is in it stays."""
        owner = owner_of(request)
        mark_thing(records, owner, f"{Album.kind}:{find_album(records, owner, album).id}", trashed=True)


def say_thing(thing: Thing) -> ThingSaid:
    """Return a thing as programs read it."""
    return ThingSaid(
        id=thing.id,
        kind=thing.kind,
        created=thing.created,
        favourite=thing.favourite,
        facts=thing.facts,
        disliked=bool(thing.marks.get("disliked")),
    )


def _find(key: str, look: Callable[[str], Thing | None]) -> Thing:
    thing = look(key)
    if thing is None:
        raise BadInput("not_found", result="thing", key=key[:64])
    return thing
