"""Requests in, pictures out: batches, seeds, progress, stop.

A picture is a function of its request, of the backbone's weights (whatever LoRA the caller has put on them)
and, in the last bits of low-precision arithmetic, of the size of the batch it is drawn in. So batches are
planned by a pure function of the requests: the same list gives the same batches and the same pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pipelines.backbones import Backbone, BackboneSpec, PromptEmbeds, encode_prompt
from pipelines.errors import BadInput
from pipelines.families.flux1.companions import drawing_backbone
from pipelines.families.flux1.latents import pack
from pipelines.progress import SILENT, Progress
from pipelines.references.fill import encode_kept, filled_model
from pipelines.references.ip_adapter import IpAdapterReference, model_with_adapter
from pipelines.references.kontext import ContextReference, encode_context, model_in_context
from pipelines.references.landmark import Landmark, keep_latents, keep_pixels
from pipelines.references.redux import (
    ReduxReference,
    ReduxReferences,
    append_tokens,
    encode_reference,
    token_count_key,
)
from pipelines.sampling.identity_guidance import paused_lora
from pipelines.sampling.realism import Position, Realism, fresh_noise, renoise, shifted_model

__all__ = ["DrawRequest", "draw", "draw_batch", "identity_request", "plan_batches", "request_from"]

_MAX_BATCH = 64


@dataclass(frozen=True, eq=False)
class DrawRequest:
    """One picture. `height` and `width` in pixels, `seed` 32 bits, `true_cfg_scale` 1 means no negative
    prompt.

    `guidance_scale` is the distilled guidance of FLUX.1-dev and is ignored by models without that input. `strength` in
    (0, 1] is the denoising strength around a landmark: 1 draws from pure noise, less starts from the noised picture.
    `keep` is how a landmark is kept: "inpaint" (by the backbone) or "fill" (by FLUX.1-Fill); `context` is a reference
    picture for FLUX.1-Kontext, `ip_adapter` one for the backbone's IP-Adapter. `identity_guidance`: the negative side
    is drawn without the LoRA, so that guidance leads to whom it knows (`pipelines.sampling.identity_guidance`).
    """

    prompt: str
    seed: int
    height: int
    width: int
    num_inference_steps: int
    guidance_scale: float
    true_cfg_scale: float = 1.0
    negative_prompt: str = ""
    reference: ReduxReference | ReduxReferences | None = None
    landmark: Landmark | None = None
    realism: Realism = field(default_factory=Realism)
    strength: float = 1.0
    keep: str = "inpaint"
    context: ContextReference | None = None
    ip_adapter: IpAdapterReference | None = None
    identity_guidance: bool = False

    @property
    def companion(self) -> str:
        """Which companion of the backbone draws it; "": the backbone itself."""
        return "fill" if self.keep == "fill" else "kontext" if self.context is not None else ""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise BadInput(f"{self.seed} is no seed.", "Choose a whole number from 0 to 4294967295.")
        if self.num_inference_steps < 1:
            raise BadInput(f"A picture cannot be drawn in {self.num_inference_steps} steps.", "Choose 1 or more.")
        for name in ("guidance_scale", "true_cfg_scale"):
            if not (math.isfinite(value := getattr(self, name)) and value >= 0):
                raise BadInput(f"{name} is {value}.", "Choose a number of 0 or more.")
        if not 0 < self.strength <= 1 or (self.strength < 1 and self.landmark is None):
            raise BadInput(
                f"A denoising strength of {self.strength} cannot be drawn with here.",
                "Choose more than 0 and up to 1; less than 1 only where a part of a picture is kept.",
            )
        if self.keep not in ("inpaint", "fill"):
            raise BadInput(f"A landmark cannot be kept by {self.keep!r}.", "Choose inpaint or fill.")
        if self.keep == "fill":
            self._check_fill()
        mark = self.landmark
        if mark is not None and mark.mask.shape != (self.height, self.width):
            raise BadInput(
                f"The landmark is {mark.mask.shape} and the canvas {(self.height, self.width)}.",
                "Resize the scene to the canvas first.",
            )

    def _check_fill(self) -> None:
        if self.landmark is None:
            raise BadInput("There is nothing to fill around.", "Mark a landmark or place goods, or choose inpaint.")
        if self.context is not None:
            raise BadInput(
                "Fill and Kontext are two models, and one picture is drawn by one of them.",
                "Keep the landmark by inpainting (inpaint), or use the reference through Redux (redux).",
            )
        if self.strength < 1:
            raise BadInput(
                "Fill draws from pure noise only.", "Choose a strength of 1, or keep by inpainting (inpaint)."
            )


def request_from(spec: BackboneSpec, prompt: str, seed: int, **changes: Any) -> DrawRequest:
    """A request with the backbone's own size, steps and guidance; `changes` are fields of DrawRequest."""
    request = DrawRequest(
        prompt,
        seed,
        spec.height,
        spec.width,
        spec.num_inference_steps,
        spec.guidance_scale,
        spec.true_cfg_scale,
    )
    return replace(request, **changes)


def identity_request(spec: BackboneSpec, prompt: str, seed: int, **changes: Any) -> DrawRequest:
    """`request_from` where a LoRA says who is shown: with identity guidance if the backbone has a scale for it."""
    if spec.identity_guidance_scale <= 1:
        return request_from(spec, prompt, seed, **changes)
    guided = {"true_cfg_scale": spec.identity_guidance_scale, "identity_guidance": True}
    return request_from(spec, prompt, seed, **guided | changes)


def plan_batches(requests: Sequence[DrawRequest], batch_size: int = 8) -> tuple[tuple[int, ...], ...]:
    """Indices of the requests that are drawn together, in the order of each batch's first. Pure.

    Only requests that need the same tensors' shapes and the same schedule can share a batch.
    """
    if not 1 <= batch_size <= _MAX_BATCH:
        raise BadInput(f"{batch_size} pictures cannot be drawn at once.", f"Choose 1 to {_MAX_BATCH}.")
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, request in enumerate(requests):
        groups.setdefault(_batch_key(request), []).append(index)
    batches = [tuple(group[i : i + batch_size]) for group in groups.values() for i in range(0, len(group), batch_size)]
    return tuple(sorted(batches))


def draw(
    backbone: Backbone,
    requests: Sequence[DrawRequest],
    batch_size: int = 8,
    progress: Progress = SILENT,
) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Draw all requests: (index, uint8 [h, w, 3]) in the order of the requests, each as soon as it can be
    given.

    Cancellation is checked at every denoising step. A LoRA is put on what draws (`drawing_backbone`) by the caller
    beforehand.
    """
    ready: dict[int, npt.NDArray[np.uint8]] = {}
    due = drawn = 0
    for batch in plan_batches(requests, batch_size):

        def tell(step: int, steps: int, finished: int = drawn) -> None:
            progress.check_cancelled()
            progress.step("draw", finished, len(requests), step=float(step), steps=float(steps))

        ready |= zip(batch, draw_batch(backbone, [requests[i] for i in batch], tell), strict=True)
        drawn += len(batch)
        progress.step("draw", drawn, len(requests))
        while due in ready:
            yield due, ready.pop(due)
            due += 1


@torch.no_grad()
def draw_batch(
    backbone: Backbone,
    requests: Sequence[DrawRequest],
    on_step: Callable[[int, int], None] = lambda step, steps: None,
) -> list[npt.NDArray[np.uint8]]:
    """Draw one planned batch; `on_step(done, total)` is called before the first and after every step."""
    first = requests[0]
    if len({_batch_key(request) for request in requests}) != 1:
        raise BadInput("These pictures cannot be drawn in one batch.", "Plan the batches with plan_batches.")
    _check_size(backbone, first)
    steps = max(first.num_inference_steps, math.ceil(1 / first.strength))  # so that at least one is taken
    begin = int(max(steps - steps * first.strength, 0))  # as FluxInpaintPipeline.get_timesteps
    on_step(begin, steps)

    model = drawing_backbone(backbone, first.companion)
    embeds, negative = _embeds(backbone, requests)
    unlike = negative.pooled if negative is not None and first.identity_guidance else None
    noise = _noise(backbone, requests)
    realism, guided = first.realism, max(first.true_cfg_scale, 1.0)
    position = Position(begin, steps)
    seeds = [request.seed for request in requests]
    earlier = pack(noise)

    def step_ended(pipeline: Any, taken: int, _: object, tensors: dict[str, Any]) -> dict[str, Any]:
        nonlocal earlier
        step = begin + taken
        position.step = step + 1
        on_step(step + 1, steps)
        if realism.renoise and step == max(steps // 2 - 1, 0) and step + 1 < steps:
            before, now = (float(s) for s in pipeline.scheduler.sigmas[step : step + 2])
            fresh = fresh_noise(earlier, seeds)
            tensors["latents"] = renoise(earlier, tensors["latents"], before, now, realism.renoise, fresh)
        earlier = tensors.get("latents", earlier)
        return tensors

    call: dict[str, Any] = {
        "prompt_embeds": embeds.prompt_embeds,
        "pooled_prompt_embeds": embeds.pooled,
        "height": first.height,
        "width": first.width,
        "num_inference_steps": steps,
        "guidance_scale": first.guidance_scale,
        "callback_on_step_end": step_ended,
        "callback_on_step_end_tensor_inputs": ["latents"] if realism.renoise else [],
        "output_type": "np",
        "return_dict": False,
    }
    if negative is not None:
        call |= {
            "true_cfg_scale": first.true_cfg_scale,
            "negative_prompt_embeds": negative.prompt_embeds,
            "negative_pooled_prompt_embeds": negative.pooled,
        }
    landmarks = [request.landmark for request in requests if request.landmark is not None]
    contexts = [request.context for request in requests if request.context is not None]
    context = encode_context(backbone, contexts) if contexts else None
    channels = encode_kept(backbone, landmarks) if first.keep == "fill" else None
    inpainted = bool(landmarks) and channels is None
    if inpainted:
        kept = keep_latents(backbone, landmarks)
        call |= {
            "image": kept.latents,
            "mask_image": kept.repaint,
            "masked_image_latents": kept.context,
            "strength": first.strength,
            "generator": [torch.Generator().manual_seed(seed) for seed in seeds],
        }
    pipeline, latents = (model.inpainting, noise) if inpainted else (model.pipeline, earlier)
    if first.strength == 1:  # else the pipeline noises the scene itself, with each request's own generator
        call["latents"] = latents
    with (
        shifted_model(model.transformer, realism.detail, guided, position),
        filled_model(model.transformer, channels),
        model_in_context(model.transformer, context),
        model_with_adapter(model.transformer, backbone, [r.ip_adapter for r in requests]) as tokens,
        paused_lora(model.lora_stack, model.transformer, unlike),
    ):
        if tokens:
            call["joint_attention_kwargs"] = tokens
        pictures = pipeline(**call)[0]
    if not np.isfinite(pictures).all():
        raise BadInput("The model drew something that is no picture.", "Lower the LoRA's or the scene's scale.")
    drawn = [(picture * 255).round().astype(np.uint8) for picture in pictures]
    if not landmarks:
        return drawn
    return [keep_pixels(d, mark) if mark.exact else d for d, mark in zip(drawn, landmarks, strict=True)]


def _embeds(backbone: Backbone, requests: Sequence[DrawRequest]) -> tuple[PromptEmbeds, PromptEmbeds | None]:
    """The batch's embeddings [b, s, d] and, where guidance is on, the negative ones of the same length."""
    tokens: dict[ReduxReference | ReduxReferences, torch.Tensor] = {}
    positive: list[PromptEmbeds] = []
    negative: list[PromptEmbeds] = []
    for request in requests:
        text, against = (
            encode_prompt(backbone, request.prompt),
            encode_prompt(backbone, request.negative_prompt),
        )
        reference = request.reference
        if reference is not None and reference.scale > 0:
            if reference not in tokens:
                tokens[reference] = encode_reference(backbone, reference)
            text = append_tokens(text, tokens[reference], reference.scale)
            # the pipelines want both sides equally long
            against = append_tokens(against, tokens[reference], 0.0 if reference.guided else reference.scale)
        positive.append(text)
        negative.append(against)
    return _stack(positive), _stack(negative) if requests[0].true_cfg_scale > 1 else None


def _stack(embeds: Sequence[PromptEmbeds]) -> PromptEmbeds:
    return PromptEmbeds(torch.cat([e.prompt_embeds for e in embeds]), torch.cat([e.pooled for e in embeds]))


def _noise(backbone: Backbone, requests: Sequence[DrawRequest]) -> torch.Tensor:
    """Each request's own noise [b, c, h', w'], drawn on the CPU in float32: the same on every device."""
    cell = backbone.cell_px
    shape = (1, backbone.latent_channels, requests[0].height // cell, requests[0].width // cell)
    noise = [torch.randn(shape, generator=torch.Generator().manual_seed(request.seed)) for request in requests]
    return torch.cat(noise).to(backbone.device, backbone.dtype)


def _check_size(backbone: Backbone, request: DrawRequest) -> None:
    unit = 2 * backbone.cell_px
    if request.height < unit or request.width < unit or request.height % unit or request.width % unit:
        raise BadInput(
            f"{request.height}×{request.width} cannot be drawn by {backbone.spec.id}.",
            f"Choose a height and a width that are multiples of {unit}.",
        )


def _batch_key(request: DrawRequest) -> tuple[object, ...]:
    """What must agree within a batch: the schedule and shapes (a reference decides how many tokens there are)."""
    adapter = request.ip_adapter
    return (
        request.height, request.width, request.num_inference_steps, request.guidance_scale,
        request.true_cfg_scale if request.true_cfg_scale > 1 else 1.0, token_count_key(request.reference),
        request.landmark is not None,
        request.realism, request.strength, request.keep,
        None if request.context is None else request.context.image.shape,
        None if adapter is None or not adapter.on else (len(adapter.images), adapter.scales),
        request.identity_guidance,
    )  # fmt: skip
