"""Commands that keep files which requests name: scenes, goods, pictures, uploads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer

from pipelines.errors import BadInput
from pipelines.shapes import SHAPES
from studio.application import Studio
from studio.cli.options import Data, Json, Owner, say, settings_of, tell
from studio.domain.names import check_name
from studio.domain.scene import Crop, Scene
from studio.library.results import find_result

__all__ = ["pictures"]

pictures = typer.Typer()
_BLOCK = 1 << 20


@pictures.command()
def scene(
    photo: Annotated[Path | None, typer.Argument(help="A photo of the place; none with --change.")] = None,
    mask: Annotated[Path | None, typer.Option(help="A picture, white where the landmark is.")] = None,
    name: Annotated[str, typer.Option(help="What it will be called; the photo's name if empty.")] = "",
    crop: Annotated[
        list[str] | None,
        typer.Option(
            help="What is shown of the photo in a shape, left,top,right,bottom in shares; may be repeated, such as "
            "1:1=0.2,0,0.8,1. Shapes: " + ", ".join(SHAPES) + "."
        ),
    ] = None,
    change: Annotated[str, typer.Option(help="The id of a scene that gets this mask, name or crop instead.")] = "",
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Check and keep a scene: a photo of a place, and a mask whose white part is its landmark."""
    from studio.library.scenes import add_scene, change_scene

    if (photo is None) is not bool(change):
        raise BadInput("scene_photo_or_change")
    crops, studio = [_read_crop(one) for one in crop or ()], Studio(settings_of(data, owner))
    asker, called = studio.settings.owner, check_name(name) if name else None
    if photo is not None:
        kept = add_scene(studio.library, photo, mask, called or photo.stem, asker, crops)
    else:
        before = find_result(studio.records, studio.store, asker, Scene, change)
        kept = change_scene(studio.library, before, asker, name=called, mask=mask or "keep", crops=crops or None)
    say(kept.model_dump(mode="json"), as_json, tell("cli.scene", name=kept.name, id=kept.id))


def _read_crop(text: str) -> Crop:
    shape, _, box = text.partition("=")
    try:
        left, top, right, bottom = (float(part) for part in box.split(","))
    except ValueError:
        raise BadInput("crop_unreadable", crop=text[:60]) from None
    return Crop.make(shape=shape.strip(), box=(left, top, right, bottom))


@pictures.command()
def goods(
    photo: Annotated[Path, typer.Argument(help="A product on a plain background, or a PNG that is cut out.")],
    name: Annotated[str, typer.Option(help="What prompts call it.")] = "a product",
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Cut a product out of its photo and keep it; --json prints it as the `goods` of a request."""
    from studio.library.scenes import add_goods

    studio = Studio(settings_of(data, owner))
    kept = add_goods(studio.library, photo, name, studio.settings.owner)
    say(kept.model_dump(mode="json"), as_json, f"{kept.name} ({kept.picture}).")


@pictures.command()
def picture(
    file: Annotated[Path, typer.Argument(help="The picture.")],
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Keep any picture and print its key: a mask to fix with, a template, a picture whose face is swapped."""
    from pipelines.pictures import load_scene
    from studio.library.scenes import add_picture

    studio = Studio(settings_of(data, owner))
    key = add_picture(studio.library, load_scene(file).image, studio.settings.owner)
    say({"key": key}, as_json, key)


@pictures.command()
def upload(
    file: Annotated[Path, typer.Argument(help="The file.")],
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Keep any file for a day and print its token: a LoRA that becomes a donor."""
    from studio.library.uploads import keep_upload

    async def blocks() -> AsyncIterator[bytes]:
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                yield block

    settings = Studio(settings_of(data, owner)).settings
    if not file.is_file():
        raise BadInput("upload_no_file", file=str(file))
    token = asyncio.run(keep_upload(settings, settings.owner, file.name, blocks(), file.stat().st_size))
    say({"upload": token}, as_json, token)
