"""Load a companion: another transformer of a family that works in a backbone's place, with its VAE and text encoders.

Only the transformer is loaded, and only when something is drawn with it or trained on it. A training sibling is such a
companion, too. The scheduler is each one's own, read beside its transformer or made as the published model's is, since
its sigmas may be shifted in another way than the backbone's.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import DiffusionPipeline
from torch import nn

from pipelines.errors import NotEnoughMemory
from pipelines.families.catalogue import find_family
from pipelines.families.folders import has_scheduler, read_transformer_headers, reading
from pipelines.families.loading import settle
from pipelines.families.model import Model
from pipelines.families.schedule import follow_schedule
from pipelines.families.siblings import TRAINING
from pipelines.families.spec import BackboneSpec
from pipelines.models.hardware import Hardware, read_hardware, work_bytes
from pipelines.models.precision import LoadPlan, plan_companion

__all__ = ["is_offloaded", "load_beside", "plan_beside", "take_turn"]

_LOG = logging.getLogger(__name__)

Pipeline = TypeVar("Pipeline", bound=DiffusionPipeline)


def load_beside(
    pipeline: Pipeline,
    base: BackboneSpec,
    held: LoadPlan,
    spec: BackboneSpec,
    role: str,
    device: torch.device,
    hardware: Hardware | None = None,
) -> tuple[Pipeline, LoadPlan]:
    """Load the transformer of `spec` into a pipeline that shares all other parts with that of the backbone `base`.

    `held` is how the backbone was loaded, `role` the companion's. Where both transformers do not fit the device
    together, all parts wait in memory until they are needed. Raises ModelMissing or BadInput, and NotEnoughMemory
    before anything is loaded.
    """
    plan = _plan(pipeline, base, held, spec, role, read_hardware(device) if hardware is None else hardware)
    _LOG.info("%s with %s: %s", spec.id, base.id, plan.describe())
    transformer = find_family(spec.family).loader().load_transformer(spec.source, plan)
    settle(spec.id, transformer, plan, device)
    own = type(pipeline)(
        **(pipeline.components | {"scheduler": _scheduler(pipeline, spec, role)} | {"transformer": transformer})
    )
    own.set_progress_bar_config(disable=True)
    if plan.offload == "model" or is_offloaded(pipeline):
        pipeline.enable_model_cpu_offload(device=device)
        own.enable_model_cpu_offload(device=device)
    return own, plan


def _scheduler(pipeline: DiffusionPipeline, spec: BackboneSpec, role: str) -> Any:
    """What moves a companion's sigmas; only the published companions are known without a file of their own."""
    scheduler = pipeline.scheduler
    if role == TRAINING or has_scheduler(spec.folder):
        with reading(spec.id):
            scheduler = type(scheduler).from_pretrained(spec.folder / "scheduler", local_files_only=True)
    return follow_schedule(scheduler, spec.schedule)


def _plan(
    pipeline: DiffusionPipeline, base: BackboneSpec, held: LoadPlan, spec: BackboneSpec, role: str, hardware: Hardware
) -> LoadPlan:
    """For all parts of both: what the backbone holds already counts as free."""
    parts = {name: float(_size(part)) for name, part in pipeline.components.items() if isinstance(part, nn.Module)}
    taken = sum(parts.values())
    in_ram = hardware.device == "cpu" or is_offloaded(pipeline)
    free = Hardware(
        hardware.device,
        hardware.device_free + (0.0 if is_offloaded(pipeline) else taken),
        hardware.ram_free + (taken if in_ram else 0.0),
    )
    return plan_beside(base, held, parts, spec, role, free)


def plan_beside(
    base: BackboneSpec, held: LoadPlan, parts: Mapping[str, float], spec: BackboneSpec, role: str, hardware: Hardware
) -> LoadPlan:
    """Return where the transformer of `spec` goes beside the backbone `base`, whose `parts` take so many bytes.

    `held` is how the backbone is loaded, and none of it has been taken from `hardware`. Raises NotEnoughMemory.
    """
    if held.offload == "group":
        if role == TRAINING:
            raise NotEnoughMemory("no_memory_for_training_model", backbone=base.id, model=spec.id)
        raise NotEnoughMemory("no_memory_for_companion", backbone=base.id, companion=spec.id)
    family = find_family(spec.family)
    headers = read_transformer_headers(spec.source)
    width = family.hidden_width(family.loader().check_transformer(spec.source, headers))
    canvas = spec.height * spec.width
    shown = spec.can.references_max * (spec.can.reference_px**2 or canvas)  # one of any size is as large as the canvas
    work = work_bytes(width, canvas, shown)
    name = f"{base.id} + {spec.id}"
    return plan_companion(family.parts[0], headers, parts, work, hardware, held.dtype, name, role == TRAINING)


def _size(module: nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters())


def is_offloaded(pipeline: DiffusionPipeline) -> bool:
    """Return whether its parts come to the device one at a time."""
    return bool(getattr(pipeline, "_all_hooks", None))


def take_turn(pipeline: DiffusionPipeline, others: Sequence[Model]) -> None:
    """Make a pipeline the one that works next. Where parts wait in memory, the hooks of the shared ones know the
    transformer that they make room for: those of the pipeline that works now must be the last that were set.
    """
    if is_offloaded(pipeline):
        for other in others:
            other.release()
        pipeline.maybe_free_model_hooks()
