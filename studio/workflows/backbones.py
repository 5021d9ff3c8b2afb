"""Plan of what would be loaded on this machine, before it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipelines.errors import StudioError
from studio.settings import Settings

if TYPE_CHECKING:
    from pipelines.families.spec import BackboneSpec
    from pipelines.models.precision import LoadPlan

__all__ = ["PlannedLoading", "PlannedPart", "plan_loading"]


@dataclass(frozen=True)
class PlannedPart:
    """A part's number type, its bytes in memory, and where it waits: "none", "model" or "group"."""

    precision: str
    bytes: float
    offload: str


@dataclass(frozen=True)
class PlannedLoading:
    """A backbone's source and licence, the precision and the place of its parts, and what is needed and free, in bytes.

    `parts` are each part's own, by their names.

    `base` is the folder of the parts that a single file lacks. `trained_on` names what its LoRAs are trained on, itself
    or a sibling; `trains` says whether that can be done so, as far as files and the plan tell.
    """

    id: str
    kind: str
    path: str
    base: str
    licence: str
    licence_note: str
    precision: str
    dtype: str
    offload: str
    parts: dict[str, PlannedPart]
    trained_on: str
    trains: bool
    device: str
    device_bytes: float
    ram_bytes: float
    device_free: float
    ram_free: float


def plan_loading(settings: Settings) -> PlannedLoading:
    """Plan the loading of the backbone that is set.

    Raises NotEnoughMemory, ModelMissing or BadInput as loading would.
    """
    from pipelines.backbones import best_device, fast_dtype, plan_backbone, resolve_backbone
    from pipelines.models.hardware import read_hardware

    device = best_device()
    hardware = read_hardware(device)
    spec = resolve_backbone(settings.backbone, settings.base, settings.models)
    spec = replace(spec, companions={**spec.companions, **settings.companions})
    plan = plan_backbone(spec, fast_dtype(device), hardware, precision=settings.precision)
    trained_on, trains = _training(spec, plan)
    return PlannedLoading(
        id=spec.id,
        kind=spec.source.kind,
        path=str(spec.source.path),
        base=str(spec.folder),
        licence=spec.licence,
        licence_note=spec.licence_note,
        precision=plan.precision,
        dtype=str(plan.dtype).removeprefix("torch."),
        offload=plan.offload,
        parts={name: PlannedPart(p.precision, p.bytes, p.offload) for name, p in plan.parts.items()},
        trained_on=trained_on,
        trains=trains,
        device=str(device),
        device_bytes=plan.device_bytes,
        ram_bytes=plan.ram_bytes,
        device_free=hardware.device_free,
        ram_free=hardware.ram_free,
    )


def _training(spec: BackboneSpec, plan: LoadPlan) -> tuple[str, bool]:
    """What LoRAs are trained on, and whether they can be. A sibling is loaded in a precision of its own."""
    from pipelines.families.siblings import training_spec

    if spec.trains_itself:
        return spec.id, plan.trains
    try:
        return training_spec(spec).id, plan.offload != "group"
    except StudioError:
        return spec.train_on, False
