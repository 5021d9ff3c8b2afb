"""Commands about models: LoRA files and face packs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from studio.cli.options import FAMILY_HELP, Json, check_file, left_out_rows, say
from studio.cli.progress import Bars

__all__ = ["lora", "models"]

models = typer.Typer()
lora = typer.Typer(no_args_is_help=True, help="Look into LoRA files.")


@lora.command("inspect")
def inspect(
    file: Annotated[Path, typer.Argument(help="The LoRA file.")],
    family: Annotated[str, typer.Option(help=FAMILY_HELP)] = "",
    as_json: Json = False,
) -> None:
    """Format, rank, alpha, base model, trigger words, licence, layers and hashes; or why it cannot be used."""
    check_file(file)
    from pipelines.lora.inspect import inspect_lora

    report = asdict(inspect_lora(file, family))
    text = "\n".join(f"{key.replace('_', ' '):14}{_plain(value)}" for key, value in report.items())
    say(report, as_json, text)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{number} {kind}" for kind, number in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value) or "(not said)"


@models.command()
def calibrate(
    photos: Annotated[Path, typer.Argument(help="A folder with one subfolder of photos per person.")],
    pack: Annotated[Path, typer.Option(help="The insightface pack: a folder, or a name.")],
    as_json: Json = False,
) -> None:
    """Measure what a face pack's cosines mean on labelled photos, and set its gates."""
    from studio.workflows.calibrate import calibrate_folder

    with Bars(as_json) as bars:
        found = calibrate_folder(pack, photos, bars)
    statistics, gates = found.statistics, found.gates
    lines = [
        "false accepts   threshold   true accepts",
        *(f"{rate:13.3f}   {cut:9.2f}   {true:12.3f}" for rate, cut, true in statistics.roc),
        f"gates: face {gates['min_face_similarity']:.2f}, novelty {gates['novelty_ceiling']:.2f}",
        "R(τ): " + "  ".join(f"{t:.1f}: {r:.2f}" for t, r in statistics.match_rate),
        *(f"no face: {name}" for name in found.without_face),
    ]
    told = {
        "calibration": statistics.calibration.model_dump(), "gates": dict(gates), "roc": statistics.roc,
        "match_rate": statistics.match_rate, "without_face": found.without_face,
        "left_out": left_out_rows(found.left_out),
    }  # fmt: skip
    say(told, as_json, "\n".join(lines))
