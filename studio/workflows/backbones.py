"""Plan of what would be loaded on this machine, before it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipelines.errors import BadInput, StudioError
from studio.settings import Settings

if TYPE_CHECKING:
    from pipelines.families.spec import BackboneSpec
    from pipelines.models.hardware import Hardware
    from pipelines.models.precision import LoadPlan

__all__ = ["PlannedLoading", "PlannedPart", "plan_loading", "plan_training"]


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
    or a sibling; `trains` says whether a persona can be trained so, as far as files and free memory tell, and
    `trains_not` is the error that says why not, as JSON.
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
    trains_not: dict[str, Any] | None
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
    trained_on, refusal = plan_training(spec, plan, hardware)
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
        trains=refusal is None,
        trains_not=None if refusal is None else refusal.as_json(),
        device=str(device),
        device_bytes=plan.device_bytes,
        ram_bytes=plan.ram_bytes,
        device_free=hardware.device_free,
        ram_free=hardware.ram_free,
    )


def plan_training(spec: BackboneSpec, plan: LoadPlan, hardware: Hardware) -> tuple[str, StudioError | None]:
    """Return what LoRAs are trained on, and why a persona could not be; None where it could. A sibling is loaded in a
    precision of its own. Memory counts where there is an accelerator, as it does for the training itself.
    """
    from personas.consolidation import default_batch
    from pipelines.families.catalogue import find_family
    from pipelines.families.companion_loading import plan_beside
    from pipelines.families.folders import read_transformer_headers
    from pipelines.families.siblings import TRAINING, training_spec
    from pipelines.training.memory import check_room

    name = spec.train_on
    try:
        trained = training_spec(spec)
        name = trained.id
        if not spec.trains_itself:
            sizes = {part: planned.bytes for part, planned in plan.parts.items()}
            plan = plan_beside(spec, plan, sizes, trained, TRAINING, hardware)
        elif not plan.trains:
            raise BadInput("backbone_draws_only", backbone=spec.id, precision=plan.precision)
        family = find_family(trained.family)
        config = family.loader().check_transformer(trained.source, read_transformer_headers(trained.source))
        batch = default_batch(family.hidden_width(config))
        check_room(trained, plan.room_bytes, spec.lora_rank, batch, plan.dtype.itemsize, config)
    except StudioError as error:
        return name, error
    return name, None
