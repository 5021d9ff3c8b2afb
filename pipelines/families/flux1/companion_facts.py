"""FLUX.1's companions, without torch: where they lie beside a backbone, and whether they fit it.

FLUX.1-Fill-dev reads a masked picture with its noise (`references/fill.py`), FLUX.1-Kontext-dev a whole reference
picture beside it (`references/native.py`): their transformers draw in the backbone's place. FLUX.1-Redux-dev, an
IP-Adapter and a character adapter only read pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipelines.errors import BadInput
from pipelines.families.folders import MAX_VALUE, config_number, read_json
from pipelines.families.protocol import Companion
from pipelines.families.spec import BackboneSpec

__all__ = ["COMPANIONS"]

_MODELS = {"fill": "FLUX.1-Fill-dev", "kontext": "FLUX.1-Kontext-dev"}
_CONFIG = "transformer/config.json"


@dataclass(frozen=True)
class _Channels:
    """What a transformer reads and writes; FluxTransformer2DModel's own defaults where its config leaves them out."""

    in_channels: int
    out_channels: int
    joint_attention_dim: int
    pooled_projection_dim: int

    @staticmethod
    def of(folder: Path) -> _Channels:
        config, file = read_json(folder / _CONFIG), f"{folder.name}/{_CONFIG}"
        reads = config_number(config, "in_channels", 64, file)
        if config.get("out_channels") is None:  # the same number, by diffusers' rule
            config["out_channels"] = reads
        others = (("out_channels", 0), ("joint_attention_dim", 4096), ("pooled_projection_dim", 768))
        return _Channels(reads, *(config_number(config, name, usual, file) for name, usual in others))


def _check(role: str, spec: BackboneSpec, folder: Path) -> None:
    vae = read_json(spec.folder / "vae" / "config.json")
    levels = vae.get("block_out_channels", [64])
    if not isinstance(levels, list):
        file = f"{spec.folder.name}/vae/config.json"
        raise BadInput("model_config_value", file=file, name="block_out_channels", value=str(levels)[:MAX_VALUE])
    theirs, own = _Channels.of(folder), _Channels.of(spec.folder)
    cell = 2 ** (len(levels) - 1)
    # Fill: noise, the masked picture, and the mask's pixels of 2×2 latents
    needed = 2 * own.out_channels + (2 * cell) ** 2 if role == "fill" else own.out_channels
    for name, wanted in (vars(own) | {"in_channels": needed}).items():
        if (has := getattr(theirs, name)) != wanted:
            raise BadInput(
                "companion_does_not_fit",
                folder=str(folder),
                model=_MODELS[role],
                backbone=spec.id,
                name=name,
                has=has,
                wanted=wanted,
            )


COMPANIONS = (
    Companion(
        "redux", "FLUX.1-Redux", "FluxPriorRedux",
        ("redux", "FLUX.1-Redux-dev"), "model_index.json",
    ),
    Companion(
        "fill", "FLUX.1-Fill", "FluxFill",
        ("fill", "FLUX.1-Fill-dev"), _CONFIG, _MODELS["fill"], partial(_check, "fill"),
    ),
    Companion(
        "kontext", "FLUX.1-Kontext", "FluxKontext",
        ("kontext", "FLUX.1-Kontext-dev"), _CONFIG, _MODELS["kontext"], partial(_check, "kontext"),
    ),
    Companion(
        "ip_adapter", "IP-Adapter", "",
        ("ip_adapter", "flux-ip-adapter", "flux-ip-adapter-v2"),
    ),
    Companion(
        "character", "InstantCharacter", "",
        ("character", "InstantCharacter"),
    ),
    Companion("", "FLUX.1-Canny / FLUX.1-Depth", "FluxControl"),
)  # fmt: skip
