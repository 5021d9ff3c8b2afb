"""Commands that keep files which requests name: scenes, goods, pictures, uploads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer

from pipelines.errors import BadInput
from studio.application import Studio
from studio.cli.options import Data, Json, Owner, say, settings_of, tell
from studio.domain.names import check_name

__all__ = ["pictures"]

pictures = typer.Typer()
_BLOCK = 1 << 20


@pictures.command()
def scene(
    photo: Annotated[Path, typer.Argument(help="A photo of the place.")],
    mask: Annotated[Path | None, typer.Option(help="A picture, white where the landmark is.")] = None,
    name: Annotated[str, typer.Option(help="What it will be called; the photo's name if empty.")] = "",
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Check and keep a scene: a photo of a place, and a mask whose white part is its landmark."""
    from studio.library.scenes import add_scene

    studio = Studio(settings_of(data, owner))
    kept = add_scene(studio.library, photo, mask, check_name(name) if name else photo.stem, studio.settings.owner)
    say(kept.model_dump(mode="json"), as_json, tell("cli.scene", name=kept.name, id=kept.id))


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
