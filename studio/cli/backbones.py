"""Commands about backbones: which there are, what would be loaded here, and fetching one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.errors import error_from_json
from pipelines.families.catalogue import FAMILIES, check_can_be_loaded, is_loaded
from pipelines.models.catalogue import MODELS, KnownModel
from pipelines.models.licences import USES, find_licence
from pipelines.models.sources import MINIATURE
from studio.application import Studio
from studio.cli.options import Data, Json, say, settings_of, tell, warn_of_licence
from studio.cli.progress import Bars
from studio.domain.capabilities import read_backbone
from studio.domain.choice import BackboneChoice
from studio.texts.errors import say_error
from studio.texts.licences import say_answers, say_licence, say_read_on
from studio.texts.plans import say_plan
from studio.texts.terminal import terminal_texts

if TYPE_CHECKING:
    from studio.workflows.backbones import PlannedLoading

__all__ = ["backbones"]

_ALLOWED = {"yes": True, "no": False, "paid": False, "limited": None, "unknown": None}
_NAMES = ", ".join(family.name for family in FAMILIES)
backbones = typer.Typer(
    help="Base models: what you may do with them, what they need, and fetching them.",
    epilog=f"Families that are loaded: {_NAMES}.",
)


@backbones.callback(invoke_without_command=True)
def catalogue(context: typer.Context, as_json: Json = False) -> None:
    """Without a subcommand: the same as `list`."""
    if context.invoked_subcommand is None:
        list_backbones(as_json)


@backbones.command("list")
def list_backbones(as_json: Json = False) -> None:
    """The models that the studio knows: what a merchant may do with them, and how much memory they take."""
    rows = [_row(model) for model in MODELS.values()]
    families = [{"id": family.id, "name": family.name} for family in FAMILIES]
    text = "\n".join([*map(_words, MODELS.values()), f"Families that are loaded: {_NAMES}."])
    say({"backbones": rows, "families": families}, as_json, text)


def _row(model: KnownModel) -> dict[str, object]:
    licence = find_licence(model.licence)
    return (
        asdict(model)
        | {
            "can": model.can.uses,
            "role": _role(model),
            "read_on": str(licence.read_on),
            "read_first_hand": licence.first_hand,
            "bf16_bytes": 2 * model.parameters,
            "licence_words": say_licence(terminal_texts(), licence.id),
        }
        | {f"may_{use}": _ALLOWED[licence.allows(use)] for use in USES}
        | {f"licence_{use}": licence.allows(use) for use in USES}
    )


def _role(model: KnownModel) -> str:
    return model.role if is_loaded(model.family) else "not yet"


def _words(model: KnownModel) -> str:
    texts, licence = terminal_texts(), find_licence(model.licence)
    size = f"{2 * model.parameters / 1e9:.2g} GB in bf16, or {2 * model.largest_part / 1e9:.2g} GB one part at a time"
    size = size if model.parameters else "size not published"
    lines = [
        f"{model.id} ({_role(model)}, {size})",
        f"   {licence.id}: {say_licence(texts, licence.id)} ({say_read_on(texts, licence)})",
        f"   {say_answers(texts, licence.id)}",
    ]
    if _role(model) == "backbone":
        guided = f", guidance {model.guidance_scale:g}" if model.guidance_scale else ""
        drawn = f"{model.height}×{model.width}, {model.num_inference_steps} steps{guided}"
        lines += [f"   {drawn}; {', '.join(model.can.uses)}"]
    return "\n".join(lines)


@backbones.command()
def use(
    backbone: Annotated[str, typer.Argument(help="miniature, a folder, a file, or a fetched model's name.")],
    base: Annotated[str | None, typer.Option(help="The folder for a single file's text encoders and VAE.")] = None,
    precision: Annotated[
        str, typer.Option(help="Precision of the weights: auto, fp32, bf16, fp8, int8, nf4.")
    ] = "auto",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Draw with another backbone from the next job on; pages that are open take it, too. It must fit this machine."""
    there = Path(backbone).expanduser()
    place = str(there.resolve()) if backbone != MINIATURE and there.exists() else backbone
    read_backbone(settings_of(data, None, backbone=place, base=base))  # a refusal does not wait for torch
    from studio.workflows.choosing import choose_backbone

    studio = Studio(settings_of(data, None))
    choose_backbone(studio, BackboneChoice.make(backbone=place, base=base, precision=precision))
    warn_of_licence(studio, *USES)
    facts = read_backbone(studio.settings)
    told = studio.choice.model_dump(mode="json") | {"id": facts.id, "family": facts.family, "licence": facts.licence}
    said = tell("cli.draws_with", name=facts.id, answers=say_answers(terminal_texts(), facts.licence))
    say(told, as_json, said)


@backbones.command()
def plan(
    backbone: Annotated[
        str | None, typer.Argument(help="miniature, a folder, a file, or OWNER/NAME; else the one that is set.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="The folder for a single file's text encoders and VAE.")] = None,
    precision: Annotated[
        str | None, typer.Option(help="Precision of the weights: auto, fp32, bf16, fp8, int8, nf4.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Tell what would be loaded, in which precision, and whether it fits; nothing is loaded."""
    settings = Studio(settings_of(data, None, backbone=backbone, base=base, precision=precision)).settings
    read_backbone(settings)  # a refusal does not wait for torch
    from studio.workflows.backbones import plan_loading

    found = plan_loading(settings)
    lines = [
        f"{found.id}: {found.kind} {found.path}",
        *([f"   other parts from {found.base}"] if found.base != found.path else []),
        f"   {found.licence}: {say_licence(terminal_texts(), found.licence)} {found.licence_note}".rstrip(),
        "   " + ", ".join(f"{name} {p.bytes / 1e9:.2g} GB in {p.precision}" for name, p in found.parts.items()),
        f"   {say_plan(terminal_texts(), found, found.device)}; {_free(found)}",
        _training(found.trained_on, found.trains_not),
    ]
    say(asdict(found), as_json, "\n".join(lines))


def _free(found: PlannedLoading) -> str:
    device = "" if found.device == "cpu" else f"{found.device_free / 1e9:.1f} GB on {found.device} and "
    return f"free are {device}{found.ram_free / 1e9:.1f} GB of memory"


def _training(model: str, refusal: dict[str, object] | None) -> str:
    if refusal is None:
        return f"   a LoRA can be trained on {model} so"
    why = " ".join(say_error(error_from_json(refusal), terminal_texts()))
    return f"   a LoRA cannot be trained on {model} so: {why}"


@backbones.command("convert-character")
def convert_character(
    file: Annotated[Path, typer.Argument(help="InstantCharacter's file, instantcharacter_ip-adapter.bin.")],
    folder: Annotated[Path, typer.Argument(help="The folder to write into; its two image encoders go there, too.")],
    as_json: Json = False,
) -> None:
    """Convert InstantCharacter's file once, so that posts can show whom photos show. Nothing in it is executed."""
    from pipelines.adapters.character_files import convert_pickle

    written, texts = convert_pickle(file, folder), terminal_texts()
    told = {
        "file": str(written.path),
        "sha256": written.sha256,
        "licence": written.licence,
        "blocks": written.sizes.blocks,
    }
    said = tell("upkeep.character_converted", path=written.path, answers=say_answers(texts, written.licence))
    say(told, as_json, said)


@backbones.command()
def fetch(
    hub_id: Annotated[str, typer.Argument(help="OWNER/NAME, or the name of a model in the list.")],
    file: Annotated[str | None, typer.Option(help="Only this file, of a repository of several.")] = None,
    as_json: Json = False,
) -> None:
    """Fetch a model from its hub, or go on with it. Nothing else in the studio downloads anything."""
    from pipelines.models.hub import fetch_model

    check_can_be_loaded(hub_id)
    with Bars(as_json) as bars:
        path = fetch_model(hub_id, settings_of(None, None).models, file, bars)
    say({"path": str(path)}, as_json, tell("cli.fetched", name=hub_id, path=path))
