"""`persona-studio dataset …`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from personas.captions.policy import SWITCHES, Switch
from personas.datasets.limits import Limits
from pipelines.errors import BadInput
from studio.application import Studio
from studio.cli.learning import (
    OF_IDENTITY,
    IdentityLoss,
    SeveralSizes,
    check_folder_words,
    plan_lines,
    request_to_curate,
    say_dataset,
    train_on,
)
from studio.cli.options import LOOKS, Data, Json, Owner, Seed, open_jobs, option, say, settings_of, tell
from studio.domain.dataset import DataSet, DatasetRequest, FaceRequest, OfIdentity

__all__ = ["datasets", "find_dataset"]

datasets = typer.Typer(
    no_args_is_help=True,
    help="Data sets: somebody's pictures looked through and described, for training a source face.",
)
Which = Annotated[
    str, typer.Argument(help="The data set's name, or the beginning of its id; the newest if empty.")
]  # fmt: skip
_NUMBERS = typer.Option(help="Keep this picture whatever is measured, by its number; may be repeated.")


@datasets.command()
def curate(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures; NAME.txt beside a picture is its caption.")],
    category: Annotated[str, typer.Option(help=f"The look: {LOOKS}.")],
    consent: Annotated[Path, typer.Option(help="JSON: who, scope, expires, outside")],
    name: Annotated[str, typer.Option(help="What the data set will be called; the folder's name if empty.")] = "",
    captions: Annotated[
        str,
        option(DatasetRequest, "writer", "Who describes the pictures"),
    ] = "measured",
    most_tokens: Annotated[
        int, typer.Option(min=0, help="How many of the model's tokens it may take; 0 is what is left of the day's.")
    ] = 0,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Look through a folder of pictures of one person: which are good, why others are not, and what each shows."""
    form = check_folder_words(folder, category, consent)
    studio = Studio(settings_of(data, owner))
    more = {"writer": captions, "most_tokens": most_tokens}
    request = request_to_curate(studio, folder, category, form, as_json, name, **more)
    with open_jobs(studio, as_json) as jobs:
        made = jobs.run(request, DataSet)
    say_dataset(studio, made, as_json, each=False)


@datasets.command("list")
def list_datasets(data: Data = None, owner: Owner = None, as_json: Json = False) -> None:
    """List all data sets."""
    studio = Studio(settings_of(data, owner))
    rows = [
        {"id": one.id, "name": one.request.name, "pictures": len(one.request.pictures), "who": one.request.who}
        for one in _all(studio)
    ]
    text = "\n".join(f"{row['id']}  {row['name']}  {row['pictures']}  {row['who']}" for row in rows)
    say({"datasets": rows}, as_json, text or tell("cli.no_datasets"))


@datasets.command()
def show(
    dataset: Which = "",
    limit: Annotated[
        list[str] | None,
        typer.Option(help="A limit, such as crisp=0.25; may be repeated. Judged by it now and later."),
    ] = None,
    keep: Annotated[list[int] | None, _NUMBERS] = None,
    drop: Annotated[
        list[int] | None, typer.Option(help="Leave this picture out, by its number; may be repeated.")
    ] = None,
    undecide: Annotated[
        list[int] | None, typer.Option(help="Let the measures decide on this picture again; may be repeated.")
    ] = None,
    caption: Annotated[
        list[str] | None,
        typer.Option(help="A caption by hand, such as 3=photo of ohwx woman; 3= takes it back; may be repeated."),
    ] = None,
    say_of: Annotated[
        str | None,
        typer.Option(
            "--say",
            help=f"What captions say though it is the person's own: {', '.join(SWITCHES)}, with commas; or none.",
        ),
    ] = None,
    trigger: Annotated[str | None, typer.Option(help="The word that stands for the person in captions.")] = None,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Every picture with its verdict and caption; what is missing; what is wrong with captions."""
    from studio.datasets import keeping

    studio = Studio(settings_of(data, owner))
    found, asker = find_dataset(studio, dataset), studio.settings.owner
    if limit:
        now = dict(keeping.edits_of(studio.library, asker, found).limits)
        keeping.set_limits(studio.library, asker, found, now | dict(map(_limit, limit)))
    for rows, kept in ((keep, True), (drop, False), (undecide, None)):
        if rows:
            keeping.decide(studio.library, asker, found, [number - 1 for number in rows], kept)
    if caption:
        keeping.write_captions(studio.library, asker, found, dict(map(_caption, caption)))
    if say_of is not None or trigger is not None:
        keeping.set_words(studio.library, asker, found, None if say_of is None else _switches(say_of), trigger)
    say_dataset(studio, found, as_json, each=True)


@datasets.command()
def export(
    out: Annotated[Path, typer.Argument(help="An empty folder, or one that is made.")],
    dataset: Which = "",
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Write the good pictures and their captions into a folder: NAME.png with NAME.txt."""
    from studio.datasets.opened import open_dataset
    from studio.datasets.pairs import write_pairs

    studio = Studio(settings_of(data, owner))
    opened = open_dataset(studio.library, studio.settings.owner, find_dataset(studio, dataset))
    count = write_pairs(studio.library, opened, out)
    say({"folder": str(out), "pictures": count}, as_json, tell("cli.dataset_exported", count=count, folder=out))


@datasets.command()
def plan(
    dataset: Which = "", several_sizes: SeveralSizes = None, data: Data = None, owner: Owner = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """At which sizes a training would show the good pictures, which part of each, and what is cut off or enlarged."""
    from studio.datasets.opened import open_dataset
    from studio.datasets.planned import plan_dataset
    from studio.datasets.telling import tell_plan

    studio = Studio(settings_of(data, owner))
    opened = open_dataset(studio.library, studio.settings.owner, find_dataset(studio, dataset))
    planned = plan_dataset(opened, studio.backbone_spec, several_sizes)
    say(tell_plan(planned), as_json, "\n".join(plan_lines(planned)))


@datasets.command()
def train(
    dataset: Which = "",
    identity: Annotated[
        OfIdentity,
        typer.Option(help=OF_IDENTITY),
    ] = "stop",
    name: Annotated[str, typer.Option(help="What the donor will be called; the data set's name if empty.")] = "",
    licence: Annotated[str, typer.Option(help="The licence it was given under, such as CC-BY-4.0.")] = "unknown",
    steps: Annotated[int, typer.Option(min=0, help="Training steps; 0 is the backbone's default.")] = 0,
    identity_loss: IdentityLoss = None,
    several_sizes: SeveralSizes = None,
    seed: Seed = 1,
    data: Data = None,
    owner: Owner = None,
    as_json: Json = False,
) -> None:
    """Train a donor from the good pictures of a data set and their captions."""
    from studio.datasets.keeping import edits_of

    studio = Studio(settings_of(data, owner))
    found, asker = find_dataset(studio, dataset), studio.settings.owner
    request = FaceRequest.make(
        owner=asker, dataset=found, edits=edits_of(studio.library, asker, found), identity=identity, name=name,
        licence=licence, steps=steps, seed=seed, identity_loss=identity_loss, several_sizes=several_sizes,
    )  # fmt: skip
    with open_jobs(studio, as_json) as jobs:
        train_on(studio, jobs, request, as_json)


def _all(studio: Studio) -> list[DataSet]:
    from studio.library.records import JobRecord
    from studio.library.results import read_result

    rows = studio.records.newest(JobRecord, studio.settings.owner, 10_000, kind=DataSet.kind, state="done")
    return [read_result(studio.store, DataSet, row) for row in rows]


def find_dataset(studio: Studio, key: str) -> DataSet:
    """Return the newest data set of this name or id. Raises BadInput."""
    if named := next((one for one in _all(studio) if key and one.request.name == key), None):
        return named
    return studio.result_of(DataSet, key)


def _limit(said: str) -> tuple[str, float]:
    name, sign, value = said.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        known = sorted(Limits.model_fields)
        raise BadInput("dataset_limit_unknown", name=(name if sign else said)[:40], known=known) from None


def _caption(said: str) -> tuple[int, str]:
    number, _, text = said.partition("=")
    if not number.strip().isdecimal():
        raise BadInput("dataset_caption_unreadable", said=said[:60])
    return int(number) - 1, text


def _switches(said: str) -> list[Switch]:
    found = [part.strip() for part in said.split(",") if part.strip() not in ("", "none")]
    if unknown := next((part for part in found if part not in SWITCHES), None):
        raise BadInput("dataset_switch_unknown", name=unknown[:40], known=list(SWITCHES))
    return [one for one in SWITCHES if one in found]
