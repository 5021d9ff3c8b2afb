"""`persona-studio style …`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.errors import BadInput
from studio.application import Studio
from studio.cli.datasets import find_dataset
from studio.cli.options import (
    Data,
    Json,
    Owner,
    Seed,
    check_file,
    left_out_rows,
    open_jobs,
    say,
    settings_of,
    tell,
    warn_of_licence,
)
from studio.cli.progress import Bars
from studio.domain.consent import read_consent
from studio.domain.style import Style, StyleRequest
from studio.texts.terminal import terminal_texts

__all__ = ["styles"]

styles = typer.Typer(no_args_is_help=True, help="Styles: how pictures look, learnt from photographs.")


@styles.callback()
def _group() -> None:
    """Styles: how pictures look, learnt from photographs."""


@styles.command("list")
def list_styles(data: Data = None, owner: Owner = None, as_json: Json = False) -> None:
    """List the styles that posts can be drawn in: those that come along, and your own."""
    from studio.library.styles import styles_of, why_not

    studio, t = Studio(settings_of(data, owner)), terminal_texts()
    rows, lines = [], []
    for style in styles_of(studio.library, studio.settings.owner):
        why = why_not(studio.library, studio.settings, studio.settings.owner, style)
        said = "" if why is None else t.error(why)
        rows.append({**style.model_dump(mode="json"), "why_not": said})
        lines.append(f"{style.id}  {style.names[t.language]}  {said}".rstrip())
    say({"styles": rows}, as_json, "\n".join(lines) or tell("cli.no_styles"))


@styles.command("train")
def train_style(
    folder: Annotated[
        Path | None, typer.Argument(help="A folder of photographs in one style, 20 at least; none with --dataset.")
    ] = None,
    consent: Annotated[Path | None, typer.Option(help="JSON: who, scope, expires; of a folder.")] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="In a folder's place the good pictures of this data set, by its name or id: then it is in your styles."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The file that is written of a folder.")] = Path("style.safetensors"),
    name: Annotated[
        str, typer.Option(help="What the style will be called; as the folder if empty, nameless for a data set.")
    ] = "",
    steps: Annotated[int, typer.Option(min=0, help="Training steps; 0 is the backbone's default.")] = 0,
    seed: Seed = 1,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Learn how photographs look, and not what they show; NAME.txt beside a photo says what it shows.

    It goes on where it was stopped.
    """
    if dataset is not None:
        if folder is not None or consent is not None:
            raise BadInput("style_folder_and_dataset")
        return _learn(Studio(settings_of(data, owner)), dataset, name, steps, seed, as_json)
    if folder is None or consent is None:
        raise BadInput("style_of_nothing")
    read_consent(check_file(consent))
    check_file(folder)
    from studio.workflows.styles import train_folder_style

    studio = Studio(settings_of(data, owner))
    warn_of_licence(studio, "running", "fine_tuning")
    with Bars(as_json) as bars:
        made = train_folder_style(studio, folder, consent, out, name, steps, seed, bars)
    told = {"file": str(made.path), "steps": made.steps, "left_out": left_out_rows(made.left_out)}
    say(told, as_json, tell("cli.style_trained", file=made.path, steps=made.steps))


def _learn(studio: Studio, dataset: str, name: str, steps: int, seed: int, as_json: bool) -> None:
    """Learn from a data set as a job, whose result is one of the owner's styles."""
    from studio.datasets.keeping import edits_of

    found, asker = find_dataset(studio, dataset), studio.settings.owner
    request = StyleRequest.make(
        owner=asker, dataset=found, edits=edits_of(studio.library, asker, found), name=name, steps=steps, seed=seed
    )
    with open_jobs(studio, as_json) as jobs:
        made = jobs.run(request, Style)
    called = terminal_texts().language
    told = {"id": made.id, "names": dict(made.names), "pictures": made.pictures}
    text = tell("cli.style_learnt", name=made.names[called], id=made.id, count=made.pictures)
    say(told, as_json, text)
