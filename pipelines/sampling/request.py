"""Request of a drawing: one picture's whole request, and which requests can be drawn together. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.errors import BadInput
from pipelines.families.spec import BackboneSpec
from pipelines.lora.layers import Lora
from pipelines.references.landmark import Landmark
from pipelines.references.protocol import Reference
from pipelines.sampling.detail import check_detail
from pipelines.sampling.renoise import check_renoise

__all__ = ["LEAST_STRENGTH", "DrawRequest", "batch_key", "identity_request", "plan_batches", "request_from"]

_MAX_BATCH = 64
LEAST_STRENGTH = 0.05
"""Of denoising around a landmark: with less, one step is taken of more than twenty that are planned."""


@dataclass(frozen=True, eq=False)
class DrawRequest:
    """One picture. `height` and `width` in pixels, `seed` 32 bits.

    `distilled_guidance` is an input of models such as FLUX.1-dev, which others ignore; `cfg_scale` is classifier-free
    guidance against the negative prompt (1: off). `loras` are all that is on the model while the picture is drawn.
    `strength` in [0.05, 1] is the denoising strength around a landmark: 1 draws from pure noise, less starts from the
    noised picture. `detail` in [0, 2] and `renoise` in [0, 1] are those of `pipelines.sampling.detail` and `.renoise`.
    `identity_guidance`: the negative side is drawn without the LoRAs, but for those that stay, so that guidance leads
    to whom they know (`pipelines.sampling.identity_guidance`). `mixed`: it may share a batch with pictures of other
    LoRAs, which costs it its last bits (`pipelines.lora.mixed`).
    """

    prompt: str
    seed: int
    height: int
    width: int
    num_inference_steps: int
    distilled_guidance: float
    cfg_scale: float = 1.0
    negative_prompt: str = ""
    loras: tuple[Lora, ...] = ()
    references: tuple[Reference, ...] = ()
    strength: float = 1.0
    detail: float = 0.0
    renoise: float = 0.0
    identity_guidance: bool = False
    mixed: bool = False

    @property
    def landmark(self) -> Landmark | None:
        """Return what is kept by inpainting."""
        return next((r for r in self.references if isinstance(r, Landmark)), None)

    @property
    def active(self) -> tuple[Reference, ...]:
        """The references that are not off."""
        return tuple(r for r in self.references if r.key() is not None)

    def drawn_by(self, spec: BackboneSpec) -> str:
        """Return which companion of this backbone draws it, "" for the backbone itself. BadInput where none can."""
        return next((role for r in self.active if (role := r.drawn_by(spec))), "")

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise BadInput("seed_out_of_range", seed=self.seed)
        if self.num_inference_steps < 1:
            raise BadInput("steps_too_few", steps=self.num_inference_steps)
        for name in ("distilled_guidance", "cfg_scale"):
            if not (math.isfinite(value := getattr(self, name)) and value >= 0):
                raise BadInput("guidance_out_of_range", name=name, value=value)
        if not LEAST_STRENGTH <= self.strength <= 1 or (self.strength < 1 and self.landmark is None):
            raise BadInput("strength_out_of_range", strength=self.strength, least=LEAST_STRENGTH)
        check_detail(self.detail)
        check_renoise(self.renoise)
        for reference in self.references:
            reference.check(self)


def request_from(spec: BackboneSpec, prompt: str, seed: int, **changes: Any) -> DrawRequest:
    """Return a request with the backbone's own size, steps and guidance; `changes` are fields of DrawRequest."""
    defaults = {
        "height": spec.height,
        "width": spec.width,
        "num_inference_steps": spec.num_inference_steps,
        "distilled_guidance": spec.guidance_scale,
        "cfg_scale": spec.true_cfg_scale,
    }
    return DrawRequest(prompt, seed, **defaults | changes)


def identity_request(spec: BackboneSpec, prompt: str, seed: int, **changes: Any) -> DrawRequest:
    """`request_from` where a LoRA says who is shown: with identity guidance if the backbone has a scale for it."""
    if spec.identity_guidance_scale <= 1:
        return request_from(spec, prompt, seed, **changes)
    guided = {"cfg_scale": spec.identity_guidance_scale, "identity_guidance": True}
    return request_from(spec, prompt, seed, **guided | changes)


def plan_batches(requests: Sequence[DrawRequest], batch_size: int = 8) -> tuple[tuple[int, ...], ...]:
    """Return indices of the requests that are drawn together, in the order of each batch's first.

    Only requests that need the same tensors' shapes, the same schedule and, unless they are mixed, the same LoRAs
    can share a batch.
    """
    if not 1 <= batch_size <= _MAX_BATCH:
        raise BadInput("batch_size_out_of_range", size=batch_size, most=_MAX_BATCH)
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, request in enumerate(requests):
        groups.setdefault(batch_key(request), []).append(index)
    batches = [tuple(group[i : i + batch_size]) for group in groups.values() for i in range(0, len(group), batch_size)]
    return tuple(sorted(batches))


def batch_key(request: DrawRequest) -> tuple[object, ...]:
    """Return what must agree within a batch."""
    return (
        request.height, request.width, request.num_inference_steps, request.distilled_guidance,
        max(request.cfg_scale, 1.0), request.strength, request.detail, request.renoise, request.identity_guidance,
        _mixing(request), tuple((r.kind, r.key()) for r in request.active),
    )  # fmt: skip


def _mixing(request: DrawRequest) -> object:
    """What must agree of the LoRAs: nothing of those that are mixed, unless they change how the prompt is read, or stay
    where the others are taken off.
    """
    if request.mixed and not any(lora.changes_text or lora.stays for lora in request.loras):
        return "mixed"
    return request.loras
