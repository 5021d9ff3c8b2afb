"""`persona-studio donors …`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from personas.donors import check_new_donor
from personas.looks import find_category
from studio.application import Studio
from studio.cli.learning import (
    OF_IDENTITY,
    IdentityLoss,
    SeveralSizes,
    check_folder_words,
    request_to_curate,
    train_on,
)
from studio.cli.options import (
    FAMILY_HELP,
    LOOKS,
    Data,
    Json,
    Seed,
    check_file,
    open_jobs,
    option,
    say,
    settings_of,
    tell,
    warn_of_licence,
)
from studio.domain.consent import read_consent
from studio.domain.dataset import DataSet, DatasetRequest, FaceRequest, OfIdentity
from studio.texts.terminal import terminal_texts

__all__ = ["donors"]

donors = typer.Typer(no_args_is_help=True, help="List, add or train donors.")


@donors.command("list")
def list_donors(
    category: Annotated[str | None, typer.Option(help=f"Only this look: {LOOKS}.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Every donor, with licence and consent; then those that cannot be used, and why."""
    studio, texts = Studio(settings_of(data, None)), terminal_texts()
    found = studio.list_donors(category)
    rows = [
        {
            "id": d.id,
            "name": d.name,
            "category": d.category,
            "trigger": d.trigger,
            "licence": d.licence,
            "consent": d.consent.who,
            "family": d.family,
            "lora_width": d.lora_width,
            "fits": studio.fits(d),
        }
        for d in found.donors
    ]
    damaged = [{"folder": str(d.folder), "code": d.error.code, "error": texts.error(d.error)} for d in found.damaged]
    unfit = f"  ({texts('cli.does_not_fit')})"
    text = "\n".join(
        f"{r['category']:8}{r['name']:12}{r['id']}  {r['licence']}  {r['consent']}{'' if r['fits'] else unfit}"
        for r in rows
    )
    text += "".join(f"\n✗ {row['error']}\n  {row['folder']}" for row in damaged)
    say({"donors": rows, "damaged": damaged}, as_json, text)


@donors.command("add")
def add_donor(
    lora: Annotated[Path, typer.Argument(help="The LoRA: a .safetensors file.")],
    category: Annotated[str, typer.Option(help=f"The look: {LOOKS}.")],
    consent: Annotated[Path, typer.Option(help="JSON: who, scope, expires")],
    name: Annotated[str, typer.Option(help="What the donor will be called; the file's name if empty.")] = "",
    trigger: Annotated[str, typer.Option(help="The word that calls the face; the file's own if empty.")] = "",
    licence: Annotated[str, typer.Option(help="The licence it was given under, such as CC-BY-4.0.")] = "unknown",
    family: Annotated[str, typer.Option(help=FAMILY_HELP)] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a face LoRA file a donor. It is checked against the backbone before it is kept."""
    find_category(category)
    read_consent(check_file(consent))
    check_file(lora)
    from studio.workflows.donors import add_lora_donor

    studio = Studio(settings_of(data, None))
    warn_of_licence(studio, "running")
    donor = add_lora_donor(studio, lora, category, consent, name, trigger, licence, family)
    say({"id": donor.id, "name": donor.name}, as_json, tell("cli.donor_added", name=donor.name, id=donor.id))


@donors.command("train")
def train_donor(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures of one person.")],
    category: Annotated[str, typer.Option(help=f"The look: {LOOKS}.")],
    consent: Annotated[Path, typer.Option(help="JSON: who, scope, expires")],
    name: Annotated[str, typer.Option(help="What the donor will be called; the folder's name if empty.")] = "",
    licence: Annotated[str, typer.Option(help="The licence it was given under, such as CC-BY-4.0.")] = "unknown",
    captions: Annotated[str, option(DatasetRequest, "writer", "Who describes the pictures")] = "measured",
    identity: Annotated[OfIdentity, typer.Option(help=OF_IDENTITY)] = "stop",
    all_of_them: Annotated[
        bool, typer.Option("--all", help="Learn from every picture, whatever is held against it.")
    ] = False,
    steps: Annotated[int, typer.Option(min=0, help="Training steps; 0 is the backbone's default.")] = 0,
    identity_loss: IdentityLoss = None,
    several_sizes: SeveralSizes = None,
    seed: Seed = 1,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Train a donor from a folder of pictures; NAME.txt beside a picture is its caption.

    The folder becomes a data set, as by "dataset curate"; the good pictures train the donor, as by "dataset train".
    """
    form = check_folder_words(folder, category, consent)
    from pipelines.families.siblings import training_spec
    from studio.datasets.keeping import edits_of
    from studio.datasets.pairs import name_of_folder

    studio = Studio(settings_of(data, None))
    title, asker = name or name_of_folder(folder), studio.settings.owner
    check_new_donor(studio.library.donors_folder, find_category(category).id, title)
    training_spec(studio.backbone_spec)
    wanted = request_to_curate(studio, folder, category, form, as_json, title, writer=captions)
    with open_jobs(studio, as_json) as jobs:
        dataset = jobs.run(wanted, DataSet)
        edits = edits_of(studio.library, asker, dataset)
        if all_of_them:
            edits = edits.model_copy(update={"held": tuple(range(len(dataset.request.pictures)))})
        request = FaceRequest.make(
            owner=asker, dataset=dataset, edits=edits, identity=identity, name=title, licence=licence, steps=steps,
            seed=seed, identity_loss=identity_loss, several_sizes=several_sizes,
        )  # fmt: skip
        train_on(studio, jobs, request, as_json)
