"""FLUX.1's companions, without torch: where they lie beside a backbone, and whether they fit it.

FLUX.1-Fill-dev reads a masked picture with its noise (`references/fill.py`), FLUX.1-Kontext-dev a whole reference
picture beside it (`references/native.py`): their transformers draw in the backbone's place. FLUX.1-Redux-dev and an
IP-Adapter only read pictures.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pipelines.errors import BadInput
from pipelines.families.folders import read_json
from pipelines.families.protocol import Companion
from pipelines.families.spec import BackboneSpec

__all__ = ["COMPANIONS"]

_MODELS = {"fill": "FLUX.1-Fill-dev", "kontext": "FLUX.1-Kontext-dev"}
_CONFIG = "transformer/config.json"


def _check(role: str, spec: BackboneSpec, folder: Path) -> None:
    config = read_json(folder / "transformer" / "config.json")
    own = read_json(spec.folder / "transformer" / "config.json")
    vae = read_json(spec.folder / "vae" / "config.json")
    # FluxTransformer2DModel's own defaults, for configurations that leave them out
    latent = int(own.get("out_channels") or own.get("in_channels", 64))
    cell = 2 ** (len(vae["block_out_channels"]) - 1)
    # Fill: noise, the masked picture, and the mask's pixels of 2×2 latents
    needed = 2 * latent + (2 * cell) ** 2 if role == "fill" else latent
    pairs = {
        "in_channels": (int(config.get("in_channels", 64)), needed),
        "out_channels": (int(config.get("out_channels") or config.get("in_channels", 64)), latent),
    } | {
        name: (int(config.get(name, default)), int(own.get(name, default)))
        for name, default in (("joint_attention_dim", 4096), ("pooled_projection_dim", 768))
    }
    for name, (has, wanted) in pairs.items():
        if has != wanted:
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
        "fill", "FLUX.1-Fill, a companion that only fills masks", "FluxFill",
        ("fill", "FLUX.1-Fill-dev"), _CONFIG, _MODELS["fill"], partial(_check, "fill"),
    ),
    Companion(
        "kontext", "FLUX.1-Kontext, a companion that only edits pictures", "FluxKontext",
        ("kontext", "FLUX.1-Kontext-dev"), _CONFIG, _MODELS["kontext"], partial(_check, "kontext"),
    ),
    Companion(
        "ip_adapter", "an IP-Adapter, a companion that only reads pictures", "",
        ("ip_adapter", "flux-ip-adapter", "flux-ip-adapter-v2"),
    ),
    Companion("", "FLUX.1-Canny or -Depth, a companion", "FluxControl"),
)  # fmt: skip
