"""What would be loaded on this machine, before it is."""

from __future__ import annotations

from typing import Any

from studio.settings import Settings

__all__ = ["plan_loading"]


def plan_loading(settings: Settings) -> dict[str, Any]:
    """The source, its licence, the precision and the place of its parts, and what is free, as JSON.

    Raises NotEnoughMemory, ModelMissing or BadInput as loading would.
    """
    from pipelines.backbones import best_device, fast_dtype, plan_backbone, resolve_backbone
    from pipelines.models.hardware import read_hardware

    device = best_device()
    hardware = read_hardware(device)
    spec = resolve_backbone(settings.backbone, settings.base, settings.models)
    plan = plan_backbone(spec, fast_dtype(device), hardware, precision=settings.precision)
    return {
        "id": spec.id,
        "kind": spec.source.kind,
        "path": str(spec.source.path),
        "base": str(spec.folder),
        "licence": spec.licence,
        "licence_note": spec.licence_note,
        "precision": plan.precision,
        "dtype": str(plan.dtype).removeprefix("torch."),
        "offload": plan.offload,
        "trains": plan.trains,
        "device": str(device),
        "device_bytes": plan.device_bytes,
        "ram_bytes": plan.ram_bytes,
        "device_free": hardware.device_free,
        "ram_free": hardware.ram_free,
        "describe": plan.describe(),
    }
