"""Commands about backbones: which there are, what would be loaded here, and fetching one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from pipelines.families.catalogue import FAMILIES, check_can_be_loaded, is_loaded
from studio.cli.options import Data, Json, say, settings_of
from studio.cli.progress import Bars

__all__ = ["backbones"]

_USES = ("running", "outputs", "fine_tuning")
_ALLOWED = {"yes": True, "no": False, "paid": False, "limited": None, "unknown": None}
_NAMES = ", ".join(family.name for family in FAMILIES)
backbones = typer.Typer(
    help="Base models: what you may do with them, what they need, and fetching them.",
    epilog=f"Families that are loaded: {_NAMES}.",
)


@backbones.callback(invoke_without_command=True)
def catalogue(context: typer.Context, as_json: Json = False) -> None:
    """The models that the studio knows: what a merchant may do with them, and how much memory they take."""
    if context.invoked_subcommand is not None:
        return
    from pipelines.models.catalogue import MODELS
    from pipelines.models.licences import LICENCES

    rows = []
    for model in MODELS.values():
        licence = asdict(LICENCES[model.licence])
        rows.append(
            asdict(model)
            | {
                "can": model.can.uses,
                "role": model.role if is_loaded(model.family) else "not yet",
                "read_on": str(licence["read_on"]),
                "bf16_bytes": 2 * model.parameters,
                "licence_words": licence["words"],
            }
            | {f"may_{use}": _ALLOWED[licence[use]] for use in _USES}
            | {f"licence_{use}": licence[use] for use in _USES}
        )
    families = [{"id": family.id, "name": family.name} for family in FAMILIES]
    text = "\n".join([*map(_words, rows), f"Families that are loaded: {_NAMES}."])
    say({"backbones": rows, "families": families}, as_json, text)


def _words(row: dict[str, Any]) -> str:
    size = f"{row['bf16_bytes'] / 1e9:.2g} GB in bf16, or {2 * row['largest_part'] / 1e9:.2g} GB one part at a time"
    size = size if row["parameters"] else "size not published"
    lines = [
        f"{row['id']} ({row['role']}, {size})",
        f"   {row['licence']}: {row['licence_words']}",
        f"   for a business: run it {_words_of(row['licence_running'])}, sell the pictures "
        f"{_words_of(row['licence_outputs'])}, fine-tune it {_words_of(row['licence_fine_tuning'])}",
    ]
    if row["role"] == "backbone":
        guided = f", guidance {row['guidance_scale']:g}" if row["guidance_scale"] else ""
        lines += [
            f"   {row['height']}×{row['width']}, {row['num_inference_steps']} steps{guided}; {', '.join(row['can'])}"
        ]
    return "\n".join(lines)


def _words_of(permission: str) -> str:
    words = {"paid": "only with a paid licence", "limited": "within limits", "unknown": "not known"}
    return words.get(permission, permission)


@backbones.command()
def plan(
    backbone: Annotated[
        str | None, typer.Argument(help="miniature, a folder, a file, or OWNER/NAME; else the one that is set.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="The folder for a single file's text encoders and VAE.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, fp32, bf16, fp8, int8, nf4.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Tell what would be loaded, in which precision, and whether it fits; nothing is loaded."""
    from studio.workflows.backbones import plan_loading

    found = plan_loading(settings_of(data, None, backbone=backbone, base=base, precision=precision))
    lines = [
        f"{found.id}: {found.kind} {found.path}",
        *([f"   other parts from {found.base}"] if found.base != found.path else []),
        f"   {found.licence}: {found.licence_note}",
        f"   {found.describe}; free are {found.device_free / 1e9:.1f} GB on {found.device} and "
        f"{found.ram_free / 1e9:.1f} GB of memory",
        f"   a LoRA can{'' if found.trains else 'not'} be trained on it so",
    ]
    say(asdict(found), as_json, "\n".join(lines))


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
    say({"path": str(path)}, as_json, f"{hub_id} is in {path}")
