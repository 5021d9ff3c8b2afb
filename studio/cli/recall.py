"""`persona-studio recall FILE`"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from studio.application import Studio
from studio.cli.options import Data, Json, Owner, say, settings_of

__all__ = ["recalling"]

recalling = typer.Typer()


@recalling.command()
def recall(
    path: Annotated[Path, typer.Argument(help="A bundle, an exported picture, or one with A1111 parameters.")],
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Say what a picture or a bundle was made from: persona, scene, prompts, seeds, settings."""
    from studio.export.recall import recall as recall_file

    studio = Studio(settings_of(data, owner))
    found = recall_file(studio.library, path, studio.settings.owner, studio.donors)
    lines = [f"{name}: {value}" for name, value in (("persona", found.persona), ("scene", found.scene)) if value]
    lines += [f"{name}: {value}" for name, value in found.settings.items()]
    for shot in found.shots:
        lines.append(f"seed {'?' if shot.seed is None else shot.seed}: {shot.prompt}")
        lines += [f"  not: {shot.negative}"] if shot.negative else []
        lines += [f"  {', '.join(f'{k} {v}' for k, v in shot.settings.items())}"] if shot.settings else []
    lines += [f"LoRA {x.name} ({x.hash}): {f'here, {x.known}' if x.known else 'missing'}" for x in found.loras]
    say(asdict(found), as_json, "\n".join(lines))
