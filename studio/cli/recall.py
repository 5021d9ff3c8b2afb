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
    path: Annotated[Path, typer.Argument(help="A bundle, an exported picture, or another tool's with its metadata.")],
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
    for x in found.loras:
        facts = ", ".join([x.hash] * bool(x.hash) + ([] if x.scale is None else [f"scale {x.scale:g}"]))
        lines.append(f"LoRA {x.name}{f' ({facts})' if facts else ''}: {f'here, {x.known}' if x.known else 'missing'}")
    say(asdict(found), as_json, "\n".join(lines))
