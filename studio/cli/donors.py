"""`persona-studio donors …`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from personas.looks import find_category
from studio.application import Studio
from studio.cli.options import (
    FAMILY_HELP,
    LOOKS,
    Data,
    Json,
    Seed,
    check_file,
    left_out_rows,
    say,
    settings_of,
    tell,
    warn_of_licence,
)
from studio.cli.progress import Bars
from studio.domain.consent import read_consent
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
    steps: Annotated[int, typer.Option(min=0, help="Training steps; 0 is the backbone's default.")] = 0,
    seed: Seed = 1,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Train a donor from a folder of pictures; NAME.txt beside a picture is its caption."""
    find_category(category)
    read_consent(check_file(consent))
    check_file(folder)
    from studio.workflows.donors import train_folder_donor

    studio = Studio(settings_of(data, None))
    warn_of_licence(studio, "running", "fine_tuning")
    with Bars(as_json) as bars:
        made = train_folder_donor(studio, folder, category, consent, name, licence, steps, seed, bars)
    donor = made.donor
    told = {"id": donor.id, "name": donor.name, "left_out": left_out_rows(made.left_out)}
    say(told, as_json, tell("cli.donor_added", name=donor.name, id=donor.id))
