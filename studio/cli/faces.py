"""`persona-studio faces …`: which of one's own pictures show a face, and faces read that were not yet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from pipelines.errors import BadInput
from studio.application import Studio
from studio.cli.options import Data, Json, Owner, check_file, say, settings_of, tell

__all__ = ["faces"]

faces = typer.Typer(no_args_is_help=True, help="Which of your posts, personas and designs show a face.")
_AT_ONCE = 16


@faces.command()
def find(
    photo: Annotated[Path | None, typer.Argument(help="A photo of the face; none with --like.")] = None,
    like: Annotated[str, typer.Option(help="The id of a thing, such as one that this command prints.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many are printed, the nearest first.")] = 20,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Find posts, personas and designs that show the face of a photo, or of one of them; the photo is not kept."""
    from studio.library.faces import count_unread
    from studio.workflows.likeness import find_like_photo, find_like_thing

    if (photo is None) is not bool(like):
        raise BadInput("face_photo_or_thing")
    studio = Studio(settings_of(data, owner))
    asker, least = studio.settings.owner, studio.least_identity
    if photo is not None:
        check_file(photo)
        found = find_like_photo(studio, asker, photo, limit)
    else:
        found = find_like_thing(studio, asker, like, limit)
    rows = [{"id": f.thing.id, "name": str(f.thing.facts.get("name", "")), "likeness": f.cosine} for f in found]
    unread = count_unread(studio.records, asker, studio.face_pack_sha256)
    lines = [f"{row['likeness']:.2f}  {row['id']}  {row['name']}" for row in rows] or [tell("faces.none")]
    lines += [tell("upkeep.faces_strangers", value=f"{least:.2f}")] if rows and least > -1 else []
    lines += [tell("upkeep.faces_unread", count=unread)] if unread else []
    told = {"found": rows, "strangers": least if least > -1 else None, "unread": unread}
    say(told, as_json, "\n".join(lines))


@faces.command()
def index(data: Data = None, owner: Owner = None, as_json: Json = False) -> None:
    """Read faces that were not yet: of what an older studio made, or read with another recogniser."""
    from studio.library.faces import count_unread
    from studio.workflows.likeness import read_unread

    studio = Studio(settings_of(data, owner))
    asker, read = studio.settings.owner, 0
    with Progress(console=Console(stderr=True), disable=as_json) as progress:
        task = progress.add_task("", total=count_unread(studio.records, asker, studio.face_pack_sha256))
        while done := read_unread(studio, _AT_ONCE, asker):
            read += done
            progress.update(task, completed=read)
    say({"read": read}, as_json, tell("upkeep.faces_read", count=read))
