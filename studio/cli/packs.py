"""`persona-studio scenes`: scene packs, which come along, are made of a scene, or are brought as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.file_names import file_name, keep_beside
from studio.application import Studio
from studio.cli.options import Data, Json, Owner, say, settings_of, tell
from studio.cli.outputs import place_file
from studio.domain.posts import PostSet
from studio.domain.scene import Scene
from studio.library.results import find_result
from studio.texts.terminal import terminal_texts

__all__ = ["packs"]

packs = typer.Typer(help="Scene packs: a place with all that posts in it begin with, in one file.")


@packs.command(name="packs")
def list_packs(as_json: Json = False) -> None:
    """List the scene packs that come with the studio."""
    from studio.library.scene_packs import bundled_packs

    language = terminal_texts().language
    rows = [(row.id, row.names[language], row.spoken(language)) for row in bundled_packs()]
    told = [{"id": key, "name": name, "pack": pack.model_dump(mode="json")} for key, name, pack in rows]
    say({"packs": told}, as_json, "\n".join(f"{key:10} {name}" for key, name, _ in rows))


@packs.command()
def pack(
    scene: Annotated[str, typer.Argument(help="The id of a scene.")],
    out: Annotated[str, typer.Argument(help="The zip to write, or the folder for it. Nothing there is replaced.")],
    post_set: Annotated[
        str, typer.Option(help="The set whose shots go with it; the newest drawn in the scene if empty.")
    ] = "",
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Write a scene as a pack: photo, mask, crops, light, things held, shots and the captions' voice."""
    from studio.library.scene_packs import choose_pack, newest_drawn, write_pack

    studio = Studio(settings_of(data, owner))
    asker = studio.settings.owner
    place = find_result(studio.records, studio.store, asker, Scene, scene)
    path = place_file(out, file_name(place.name, ".zip"))
    drawn = studio.result_of(PostSet, post_set) if post_set else newest_drawn(studio.library, asker, place)
    chosen = choose_pack(studio.library, place, asker, drawn)
    path = keep_beside(path, write_pack(studio.library, place, chosen))
    told = {"file": str(path.resolve()), "pack": chosen.model_dump(mode="json")}
    say(told, as_json, tell("cli.pack", path=path.resolve(), count=len(chosen.shots)))


@packs.command()
def unpack(
    file: Annotated[str, typer.Argument(help="A scene pack (.zip), or the name of one that comes along.")],
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Keep the scene of a pack; --json prints what posts in it begin with."""
    from studio.library.scene_packs import add_bundled_pack, add_pack, bundled_packs

    studio = Studio(settings_of(data, owner))
    asker = studio.settings.owner
    if file in {row.id for row in bundled_packs()} and not Path(file).exists():
        scene, chosen = add_bundled_pack(studio.library, file, asker, terminal_texts().language)
    else:
        scene, chosen = add_pack(studio.library, Path(file), asker)
    told = {"scene": scene.model_dump(mode="json"), "pack": chosen.model_dump(mode="json")}
    say(told, as_json, tell("cli.scene", name=scene.name, id=scene.id))
