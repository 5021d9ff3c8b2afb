"""Load a companion: another FLUX.1 transformer that draws in a backbone's place, with its VAE and text encoders.

Only the transformer is loaded, and only when something is drawn with it.
"""

from __future__ import annotations

import logging

import torch

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxPipeline
from diffusers import FluxTransformer2DModel as FluxTransformer
from torch import nn

from pipelines.errors import ModelMissing, NotEnoughMemory
from pipelines.families.spec import BackboneSpec
from pipelines.models.hardware import Hardware, read_hardware, work_bytes
from pipelines.models.headers import read_header, shards_of
from pipelines.models.precision import LoadPlan, plan_places

__all__ = ["is_offloaded", "load_transformer"]


_LOG = logging.getLogger(__name__)


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
