"""Backbones before they are loaded: where one lies, its licence, and the defaults it is drawn with. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.models.sources import Source
from pipelines.models.variants import Capabilities, Schedule
from pipelines.shapes import CanvasShape, canvas_size

__all__ = ["TRAINING", "BackboneSpec"]

TRAINING = "training"  # the role of a sibling among the companions


@dataclass(frozen=True)
class BackboneSpec:
    """A backbone and the defaults it is drawn with. Sizes in pixels, order (height, width).

    `guidance_scale` is distilled guidance (ignored by models without a guidance input),
    `true_cfg_scale` classifier-free guidance (1 = off), `identity_guidance_scale` that of pictures in which a LoRA
    says who is shown: their negative side is drawn without it (1 = off). `family` is an id of
    `pipelines.families.catalogue.FAMILIES`, `can` what the model is able to do, and `companions` are {role: folder} of
    its companions that are there. `licence` is its licence's id, `licence_note` what its own folder's settings say of
    it, "" for nothing. `train_on` names the published model that LoRAs for a distilled one are trained on ("": the
    model itself); where its folder, or a file, is known it is the companion of the role TRAINING. `schedule` is what
    its sigmas follow where the folder's scheduler is another model's (None: as that scheduler says). `sizes` are those
    that it can draw, none: any. `prompt_words` says whether its text encoder puts words together from "pieces", or
    learnt "whole" words only. `upscaler` is a file, relative to the folder, that brings its pictures to the size that
    they are shown in, "" for none.
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
    family: str
    can: Capabilities
    identity_guidance_scale: float = 1.0
    companions: Mapping[str, Path] = field(default_factory=dict)
    train_on: str = ""
    schedule: Schedule | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    prompt_words: str = "pieces"
    upscaler: str = ""

    def size_for(self, shape: CanvasShape, unit: int) -> tuple[int, int]:
        """Return the size that pictures for a shape are drawn in; `unit` px divide both sides."""
        return canvas_size(shape, (self.height, self.width), self.sizes, unit)

    @property
    def folder(self) -> Path:
        """The diffusers folder that gives everything but, perhaps, the transformer's weights."""
        return self.source.base

    @property
    def trains_itself(self) -> bool:
        """Whether LoRAs for it are trained on itself, not on a sibling."""
        return not self.train_on and TRAINING not in self.companions
