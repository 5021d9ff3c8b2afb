"""`persona-studio style …`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studio.application import Studio
from studio.cli.options import Data, Json, Seed, check_file, left_out_rows, say, settings_of, tell, warn_of_licence
from studio.cli.progress import Bars
from studio.domain.consent import read_consent

__all__ = ["styles"]

styles = typer.Typer(no_args_is_help=True, help="Styles: how pictures look, learnt from photographs.")


@styles.callback()
def _group() -> None:
    """Styles: how pictures look, learnt from photographs."""


@styles.command("train")
def train_style(
    folder: Annotated[Path, typer.Argument(help="A folder of photographs in one style, 20 at least.")],
    consent: Annotated[Path, typer.Option(help="JSON: who, scope, expires")],
    out: Annotated[Path, typer.Option(help="The file that is written.")] = Path("style.safetensors"),
    name: Annotated[str, typer.Option(help="What the style will be called; the folder's name if empty.")] = "",
    steps: Annotated[int, typer.Option(min=0, help="Training steps; 0 is the backbone's default.")] = 0,
    seed: Seed = 1,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Learn how photographs look, and not what they show; NAME.txt beside a photo says what it shows.

    It goes on where it was stopped.
    """
    read_consent(check_file(consent))
    check_file(folder)
    from studio.workflows.styles import train_folder_style

    studio = Studio(settings_of(data, None))
    warn_of_licence(studio, "running", "fine_tuning")
    with Bars(as_json) as bars:
        made = train_folder_style(studio, folder, consent, out, name, steps, seed, bars)
    told = {"file": str(made.path), "steps": made.steps, "left_out": left_out_rows(made.left_out)}
    say(told, as_json, tell("cli.style_trained", file=made.path, steps=made.steps))
