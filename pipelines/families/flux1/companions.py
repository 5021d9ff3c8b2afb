"""Companions: another FLUX.1 transformer that draws in a backbone's place, with its VAE, text encoders, tokenizers.

FLUX.1-Fill-dev reads a masked picture with its noise (`references/fill.py`), FLUX.1-Kontext-dev a whole reference
picture beside it (`references/kontext.py`). Only the transformer is loaded, and only when something is drawn with it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxPipeline
from diffusers import FluxTransformer2DModel as FluxTransformer
from torch import nn

from pipelines.backbones import Backbone, BackboneSpec
from pipelines.errors import BadInput, ModelMissing, NotEnoughMemory
from pipelines.families.folders import read_json
from pipelines.models.catalogue import MODELS
from pipelines.models.hardware import Hardware, read_hardware, work_bytes
from pipelines.models.headers import read_header, shards_of
from pipelines.models.licences import UNKNOWN, find_licence, read_card_licence
from pipelines.models.precision import LoadPlan, plan_places
from pipelines.models.sources import Source

__all__ = ["COMPANIONS", "drawing_backbone", "drawing_spec"]


@dataclass(frozen=True)
class _Role:
    """What a companion is for, in words, and what does without it."""

    model: str
    does: str
    instead: str


COMPANIONS = {
    "fill": _Role("FLUX.1-Fill-dev", "keep a landmark by filling", "keep it by inpainting (inpaint)"),
    "kontext": _Role("FLUX.1-Kontext-dev", "show it a reference picture", "use a reference through Redux (redux)"),
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


def drawing_backbone(backbone: Backbone, role: str, hardware: Hardware | None = None) -> Backbone:
    """What draws: the backbone for role "", else its companion, loaded when first asked for and kept.

    One companion is kept at a time. Where both transformers do not fit the device together, all parts wait in memory
    until they are needed. Raises what `drawing_spec` raises, and NotEnoughMemory before anything is loaded.
    """
    if role and role not in backbone.companions:
        spec = drawing_spec(backbone.spec, role)
        backbone.companions.clear()
        backbone.companions[role] = _load(backbone, spec, hardware)
    drawing = backbone.companions[role] if role else backbone
    if backbone.companions and _is_offloaded(backbone):
        # The shared parts' hooks know the transformer that they make room for: the last pipeline to set them must be
        # the one that draws now.
        for other in (backbone, *backbone.companions.values()):
            if other is not drawing:
                other.pipeline.maybe_free_model_hooks()
        drawing.pipeline.maybe_free_model_hooks()
    return drawing


def _folder(spec: BackboneSpec, role: str) -> Path:
    what = COMPANIONS[role]
    folder = {"fill": spec.fill_folder, "kontext": spec.kontext_folder}[role]
    advice = (
        f"Name the folder of {what.model} as {role}_folder in the backbone's studio.json or in "
        f"PERSONA_STUDIO_{role.upper()}_FOLDER, or {what.instead}."
    )
    if folder is None:
        raise ModelMissing(
            f"The backbone {spec.id} has no {what.model} beside it, which is needed to {what.does}.", advice
        )
    if not (folder / "transformer" / "config.json").is_file():
        raise ModelMissing(f"There is no {what.model} in {folder}: it holds no transformer/config.json.", advice)
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
                f"The model in {folder} is no {COMPANIONS[role].model} for {spec.id}: its {name} is {has}, and "
                f"{wanted} is needed.",
                f"Choose a {COMPANIONS[role].model} that belongs to the backbone.",
            )


def _load(backbone: Backbone, spec: BackboneSpec, hardware: Hardware | None) -> Backbone:
    plan = _plan(backbone, spec, read_hardware(backbone.device) if hardware is None else hardware)
    _LOG.info("%s with %s: %s", spec.id, backbone.spec.id, plan.describe())
    try:
        transformer = FluxTransformer.from_pretrained(
            spec.folder / "transformer", dtype=backbone.dtype, local_files_only=True
        )
    except (OSError, ValueError) as error:
        raise ModelMissing(f"{spec.id} does not load: {error}", "Fetch its folder again.") from error
    transformer.requires_grad_(False).eval()
    pipeline = FluxPipeline(**(backbone.pipeline.components | {"transformer": transformer}))
    pipeline.tokenizer_max_length = backbone.pipeline.tokenizer_max_length
    pipeline.set_progress_bar_config(disable=True)
    if plan.offload == "model" or _is_offloaded(backbone):
        backbone.pipeline.enable_model_cpu_offload(device=backbone.device)
        pipeline.enable_model_cpu_offload(device=backbone.device)
    else:
        transformer.to(backbone.device)
    return Backbone(spec, pipeline, backbone.dtype, backbone.device, plan, backbone.prompts)


def _plan(backbone: Backbone, spec: BackboneSpec, hardware: Hardware) -> LoadPlan:
    """For all parts of both, the companion in the plain number type: what the backbone holds already counts as free."""
    if backbone.plan.offload == "group":
        raise NotEnoughMemory(
            f"{backbone.spec.id} comes to the device block by block: there is no room for {spec.id} beside it.",
            "Choose a precision of fewer bits, or draw without the companion.",
        )
    parts: dict[str, float] = {
        name: _size(part) for name, part in backbone.pipeline.components.items() if isinstance(part, nn.Module)
    }
    held = float(sum(parts.values()))
    in_ram = hardware.device == "cpu" or _is_offloaded(backbone)
    free = Hardware(
        hardware.device,
        hardware.device_free + (0.0 if _is_offloaded(backbone) else held),
        hardware.ram_free + (held if in_ram else 0.0),
    )
    headers = [read_header(path) for path in shards_of(spec.folder / "transformer")]
    parts["companion"] = sum(h.parameters for h in headers) * backbone.dtype.itemsize
    config = backbone.transformer.config
    width = int(config.num_attention_heads) * int(config.attention_head_dim)
    work = work_bytes(width, spec.height * spec.width)
    return plan_places(parts, work, free, backbone.dtype, f"{backbone.spec.id} with {spec.id}")


def _size(module: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters())


def _is_offloaded(backbone: Backbone) -> bool:
    return bool(getattr(backbone.pipeline, "_all_hooks", None))
