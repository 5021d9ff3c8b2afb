"""What a backbone is before it is loaded: where it lies, its licence, and the defaults it is drawn with. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.models.sources import Source

__all__ = ["BackboneSpec"]


@dataclass(frozen=True)
class BackboneSpec:
    """A backbone and the defaults it is drawn with. Sizes in pixels, order (height, width).

    `guidance_scale` is the distilled guidance of FLUX.1-dev (ignored by models without a guidance input),
    `true_cfg_scale` classifier-free guidance (1 = off), `identity_guidance_scale` that of pictures in which a LoRA
    says who is shown: their negative side is drawn without it (1 = off). `redux_folder` is a `FluxPriorReduxPipeline`
    folder or None; `fill_folder` and `kontext_folder` hold a companion's `transformer`
    (`pipelines.families.flux1.companions`), or are None, and `ip_adapter_folder` an IP-Adapter
    (`pipelines.adapters.ip_adapter`). `family` is an id of `pipelines.families.catalogue.FAMILIES`.
    """

    id: str
    source: Source
    licence: str
    licence_note: str
    height: int
    width: int
    num_inference_steps: int
    guidance_scale: float
    true_cfg_scale: float
    max_sequence_length: int
    lora_rank: int
    redux_folder: Path | None
    identity_guidance_scale: float = 1.0
    fill_folder: Path | None = None
    kontext_folder: Path | None = None
    ip_adapter_folder: Path | None = None
    family: str = "flux1"

    @property
    def folder(self) -> Path:
        """The diffusers folder that gives everything but, perhaps, the transformer's weights."""
        return self.source.base
