"""`persona-studio albums …`: sets and posts put together under a name, and exported in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.errors import BadInput
from pipelines.file_names import keep_beside
from studio.application import Studio
from studio.cli.options import (
    AllowFlagged,
    Data,
    Json,
    Owner,
    Unlabelled,
    left_out_rows,
    open_jobs,
    option,
    say,
    settings_of,
    tell,
)
from studio.cli.outputs import check_folder
from studio.domain.album import Album
from studio.domain.album_export import AlbumExport, AlbumExportRequest
from studio.domain.platforms import find_platform, load_platforms
from studio.domain.posts import post_thing
from studio.library.albums import (
    album_group,
    albums_of,
    find_album,
    look_into,
    make_album,
    put_into,
    take_out,
)
from studio.library.index import Search, every_thing

__all__ = ["albums"]

albums = typer.Typer(no_args_is_help=True, help="Albums: sets and single posts, put together under a name.")
Name = Annotated[str, typer.Argument(help="The album's name, or its id.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="The id of a set; may be repeated.")]
Posts = Annotated[
    list[str] | None,
    typer.Option("--post", help="One post of a set: its id, a colon and the number from 1; may be repeated."),
]


@albums.command("list")
def list_albums(
    album: Annotated[str, typer.Argument(help="What is in this album; all albums if empty.")] = "",
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """List all albums, or what is in one."""
    studio = Studio(settings_of(data, owner))
    records, asker = studio.records, studio.settings.owner
    if album:
        found = _find(studio, album)
        things = list(every_thing(records, Search(asker, groups=(album_group(found.id),))))
        rows = [{"id": thing.id, "kind": thing.kind, "name": str(thing.facts.get("name", ""))} for thing in things]
        say({"id": found.id, "name": found.name, "things": rows}, as_json, "\n".join(thing.id for thing in things))
        return
    known = albums_of(records, asker)
    inside = look_into(records, asker, [one.id for one in known])
    told = [{"id": one.id, "name": one.name, "count": inside[one.id].count} for one in known]
    lines = [f"{one.id}  {one.name}  {tell('album.count', count=inside[one.id].count)}" for one in known]
    say({"albums": told}, as_json, "\n".join(lines) or tell("cli.no_albums"))


@albums.command()
def add(
    album: Name,
    post_set: Sets = None,
    post: Posts = None,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Put sets and posts into an album, which is made where there is none of this name."""
    studio = Studio(settings_of(data, owner))
    things = _things(post_set, post)
    found = _known(studio, album) or make_album(studio.records, studio.settings.owner, album)
    put_into(studio.records, studio.settings.owner, found.id, things)
    _say_count(studio, found, as_json)


@albums.command()
def remove(
    album: Name,
    post_set: Sets = None,
    post: Posts = None,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Take sets and posts out of an album; they stay in the library."""
    studio = Studio(settings_of(data, owner))
    found = _find(studio, album)
    for thing in _things(post_set, post):
        take_out(studio.records, studio.settings.owner, found.id, thing)
    _say_count(studio, found, as_json)


@albums.command()
def bundle(
    album: Name,
    out: Annotated[Path, typer.Argument(help="The folder for the zips. Nothing there is replaced.")],
    platform: Annotated[
        list[str] | None,
        typer.Option(
            help=f"A platform, xiaohongshu if left out; may be repeated: {', '.join(p.id for p in load_platforms())}."
        ),
    ] = None,
    content: Annotated[
        str,
        option(AlbumExportRequest, "content", "The whole bundle, or pictures and captions only, for a colleague"),
    ] = "bundle",
    together: Annotated[
        bool, typer.Option("--together", help="One zip for all platforms, with a folder each.")
    ] = False,
    unlabelled: Unlabelled = False,
    allow_flagged: AllowFlagged = False,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Export all sets and posts of an album: numbered folders in its order, a zip for each platform.

    A set that a platform does not take is named, and the exit status is 1; the others are exported.
    """
    from studio.jobs.album_sets import album_request

    platforms = tuple(dict.fromkeys(platform or ["xiaohongshu"]))
    for name in platforms:
        find_platform(name)
    folder, studio = check_folder(out), Studio(settings_of(data, owner))
    found = _find(studio, album)
    asked = album_request(
        studio, studio.settings.owner, found.id, platforms, content=content, together=together, unlabelled=unlabelled,
        allow_flagged=allow_flagged,
    )  # fmt: skip
    asked.check_before()
    with open_jobs(studio, as_json) as engine:
        made = engine.run(asked, AlbumExport)
    folder.mkdir(parents=True, exist_ok=True)
    rows, lines = [], []
    for archive in made.archives:
        place = keep_beside(folder / archive.name, studio.store.get(archive.bundle)).resolve()
        rows.append({"file": str(place), "platforms": list(archive.platforms), "pictures": archive.pictures})
        lines.append(tell("cli.archive", path=place, count=archive.pictures))
    missing = [
        told | {"set": row.post_set, "platform": row.platform}
        for row, told in zip(made.left_out, left_out_rows([row.error for row in made.left_out]), strict=True)
    ]
    lines += [f"✗ {row['set']} ({row['platform']}): {row['error']}" for row in missing]
    say({"archives": rows, "left_out": missing}, as_json, "\n".join(lines))
    if missing:
        raise typer.Exit(1)


def _known(studio: Studio, album: str) -> Album | None:
    """Return the owner's album of this name or id; None where there is none."""
    every = albums_of(studio.records, studio.settings.owner)
    return next((one for one in every if album in (one.name, one.id)), None)


def _find(studio: Studio, album: str) -> Album:
    """Raise BadInput where there is none."""
    return _known(studio, album) or find_album(studio.records, studio.settings.owner, album)


def _things(post_set: list[str] | None, post: list[str] | None) -> list[str]:
    things = [f"posts:{key}" for key in post_set or ()]
    for said in post or ():
        key, _, number = said.rpartition(":")
        if not key or not number.isdecimal() or int(number) < 1:
            raise BadInput("album_post_unreadable", said=said[:60])
        things.append(post_thing(key, int(number) - 1))
    if not things:
        raise BadInput("album_nothing_named")
    return things


def _say_count(studio: Studio, album: Album, as_json: bool) -> None:
    count = look_into(studio.records, studio.settings.owner, [album.id])[album.id].count
    text = f"{album.name}  {tell('album.count', count=count)}"
    say({"id": album.id, "name": album.name, "count": count}, as_json, text)
