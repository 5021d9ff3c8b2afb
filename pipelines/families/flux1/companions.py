"""Companions: another FLUX.1 transformer that draws in a backbone's place, with its VAE, text encoders, tokenizers.

FLUX.1-Fill-dev reads a masked picture with its noise (`references/fill.py`), FLUX.1-Kontext-dev a whole reference
picture beside it (`references/kontext.py`). Only the transformer is loaded, and only when something is drawn with it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxPipeline
from diffusers import FluxTransformer2DModel as FluxTransformer
from torch import nn

from pipelines.errors import BadInput, ModelMissing, NotEnoughMemory
from pipelines.families.folders import read_json
from pipelines.families.spec import BackboneSpec
from pipelines.models.catalogue import MODELS
from pipelines.models.hardware import Hardware, read_hardware, work_bytes
from pipelines.models.headers import read_header, shards_of
from pipelines.models.licences import UNKNOWN, find_licence, read_card_licence
from pipelines.models.precision import LoadPlan, plan_places
from pipelines.models.sources import Source

__all__ = ["COMPANIONS", "drawing_spec", "is_offloaded", "load_transformer"]


@dataclass(frozen=True)
class _Role:
    """Name the model of `MODELS` that draws in a role."""

    model: str


COMPANIONS = {
    "fill": _Role("FLUX.1-Fill-dev"),
    "kontext": _Role("FLUX.1-Kontext-dev"),
}
_LOG = logging.getLogger(__name__)


def drawing_spec(spec: BackboneSpec, role: str) -> BackboneSpec:
    """Of what draws: the backbone's own for role "", else its companion's with its own steps and guidance.

    Nothing is loaded. Raises ModelMissing where there is no such companion, BadInput where it does not fit.
    """
    if not role:
        return spec
    folder, known = _folder(spec, role), MODELS[COMPANIONS[role].model]
    config = read_json(folder / "transformer" / "config.json")
    _check_fits(spec, role, folder, config)
    licence = read_card_licence(folder)
    licence = known.licence if licence == UNKNOWN else licence
    return replace(
        spec,
        id=known.id,
        source=Source("folder", known.id, folder, folder),
        licence=licence,
        licence_note=find_licence(licence).words,
        num_inference_steps=known.num_inference_steps,
        guidance_scale=known.guidance_scale,
        true_cfg_scale=1.0,
        identity_guidance_scale=1.0,
    )


def load_transformer(
    pipeline: FluxPipeline,
    base: BackboneSpec,
    held: LoadPlan,
    spec: BackboneSpec,
    device: torch.device,
    hardware: Hardware | None = None,
) -> tuple[FluxPipeline, LoadPlan]:
    """Load the transformer of `spec` into a pipeline that shares all other parts with that of the backbone `base`.

    `held` is how the backbone was loaded.

    Where both transformers do not fit the device together, all parts wait in memory until they are needed. Raises
    ModelMissing, and NotEnoughMemory before anything is loaded.
    """
    dtype = held.dtype
    plan = _plan(pipeline, base, held, spec, read_hardware(device) if hardware is None else hardware)
    _LOG.info("%s with %s: %s", spec.id, base.id, plan.describe())
    try:
        transformer = FluxTransformer.from_pretrained(spec.folder / "transformer", dtype=dtype, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelMissing("model_unreadable", model=spec.id, reason=str(error)) from error
    transformer.requires_grad_(False).eval()
    own = FluxPipeline(**(pipeline.components | {"transformer": transformer}))
    own.tokenizer_max_length = pipeline.tokenizer_max_length
    own.set_progress_bar_config(disable=True)
    if plan.offload == "model" or is_offloaded(pipeline):
        pipeline.enable_model_cpu_offload(device=device)
        own.enable_model_cpu_offload(device=device)
    else:
        transformer.to(device)
    return own, plan


def _folder(spec: BackboneSpec, role: str) -> Path:
    what = COMPANIONS[role]
    folder = {"fill": spec.fill_folder, "kontext": spec.kontext_folder}[role]
    variable = f"PERSONA_STUDIO_{role.upper()}_FOLDER"
    if folder is None:
        raise ModelMissing("companion_missing", backbone=spec.id, model=what.model, role=role, variable=variable)
    if not (folder / "transformer" / "config.json").is_file():
        raise ModelMissing("companion_folder_empty", folder=str(folder), model=what.model, role=role, variable=variable)
    return folder


def _check_fits(spec: BackboneSpec, role: str, folder: Path, config: dict[str, Any]) -> None:
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
                model=COMPANIONS[role].model,
                backbone=spec.id,
                name=name,
                has=has,
                wanted=wanted,
            )


def _plan(
    pipeline: FluxPipeline, base: BackboneSpec, held: LoadPlan, spec: BackboneSpec, hardware: Hardware
) -> LoadPlan:
    """For all parts of both, the companion in the plain number type: what the backbone holds already counts as free."""
    if held.offload == "group":
        raise NotEnoughMemory("no_memory_for_companion", backbone=base.id, companion=spec.id)
    parts: dict[str, float] = {
        name: _size(part) for name, part in pipeline.components.items() if isinstance(part, nn.Module)
    }
    taken = float(sum(parts.values()))
    in_ram = hardware.device == "cpu" or is_offloaded(pipeline)
    free = Hardware(
        hardware.device,
        hardware.device_free + (0.0 if is_offloaded(pipeline) else taken),
        hardware.ram_free + (taken if in_ram else 0.0),
    )
    headers = [read_header(path) for path in shards_of(spec.folder / "transformer")]
    parts["companion"] = sum(h.parameters for h in headers) * held.dtype.itemsize
    config = pipeline.transformer.config
    width = int(config.num_attention_heads) * int(config.attention_head_dim)
    work = work_bytes(width, spec.height * spec.width)
    return plan_places(parts, work, free, held.dtype, f"{base.id} with {spec.id}")


def _size(module: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters())


def is_offloaded(pipeline: FluxPipeline) -> bool:
    """Return whether its parts come to the device one at a time."""
    return bool(getattr(pipeline, "_all_hooks", None))
