"""Requests in, pictures out: batches, seeds, progress, stop. The only way to draw.

A picture is a function of its request, of the backbone's own weights and, in the last bits of low-precision arithmetic,
of the size of the batch it is drawn in. So batches are planned by a pure function of the requests: the same list gives
the same batches and the same pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pipelines.backbones import Backbone, encode_prompt
from pipelines.errors import BadInput, NotEnoughMemory
from pipelines.families.model import Extras
from pipelines.lora.mixed import MixedLoras
from pipelines.lora.stack import LoraStack
from pipelines.models.hardware import decode_bytes, step_bytes
from pipelines.progress import SILENT, PipelineStage, Progress, Stage, StageProgress, tell_steps
from pipelines.references.landmark import kept_cells
from pipelines.references.native import NativeReferences
from pipelines.references.protocol import Conditions, Kept, Reference
from pipelines.sampling.detail import Detail
from pipelines.sampling.following import Following
from pipelines.sampling.identity_guidance import IdentityGuidance
from pipelines.sampling.inpaint import Inpaint, look_steps
from pipelines.sampling.loop import Extension, sample
from pipelines.sampling.loras import loras_of_batch_on, loras_on
from pipelines.sampling.renoise import Renoise
from pipelines.sampling.request import DrawRequest, batch_key, plan_batches

__all__ = ["check_requests", "draw", "draw_batch", "draw_fitting", "draw_in_parts"]

Rgb = npt.NDArray[np.uint8]


def draw(
    backbone: Backbone,
    requests: Sequence[DrawRequest],
    batch_size: int = 8,
    progress: Progress = SILENT,
) -> Iterator[tuple[int, Rgb]]:
    """Draw all requests: (index, uint8 [h, w, 3]) in the order of the requests, each as soon as it can be given.

    Cancellation is checked at every denoising step. LoRAs stay on from batch to batch where they are the same. Raises
    what `check_requests` raises before the first is drawn.
    """
    check_requests(backbone, requests)
    ready: dict[int, Rgb] = {}
    due = drawn = 0
    stage = Stage(PipelineStage.DRAW)
    on_step = tell_steps(progress, stage)
    progress.tell(StageProgress(stage, 0, len(requests)))

    def alike(batch: tuple[int, ...]) -> tuple[object, ...]:
        return requests[batch[0]].drawn_by(backbone.spec), requests[batch[0]].loras

    with ExitStack() as on:
        for _, batches in groupby(plan_batches(requests, batch_size), alike):
            on.close()
            for batch in batches:
                first = requests[batch[0]]
                if not first.mixed:  # each batch puts on what its own pictures have
                    on.enter_context(loras_on(backbone.drawn_by(first.drawn_by(backbone.spec)), first.loras))
                while batch:
                    pictures = draw_fitting(backbone, [requests[i] for i in batch], on_step)
                    ready |= zip(batch, pictures, strict=False)
                    batch = batch[len(pictures) :]
                    drawn += len(pictures)
                    progress.tell(StageProgress(stage, drawn, len(requests)))
                    while due in ready:
                        yield due, ready.pop(due)
                        due += 1


def draw_fitting(
    backbone: Backbone,
    requests: Sequence[DrawRequest],
    on_step: Callable[[int, int], None] = lambda step, steps: None,
) -> list[Rgb]:
    """Draw as many of a planned batch as the device has room for at once, from the first on, one at least.

    As `draw_batch` else, which draws all of them.
    """
    first = requests[0]
    _check(backbone, first)
    drawing = backbone.drawn_by(first.drawn_by(backbone.spec))
    with loras_on(drawing, () if first.mixed else first.loras):
        per = first.height * first.width + _reference_pixels(first, drawing)
        room, width = _room(backbone, drawing), drawing.model.width
        count = next((n for n in range(len(requests), 1, -1) if step_bytes(width, n * per) <= room), 1)
        return draw_batch(backbone, requests[:count], on_step)


def draw_in_parts(
    backbone: Backbone,
    requests: Sequence[DrawRequest],
    on_step: Callable[[int, int], None] = lambda step, steps: None,
) -> list[Rgb]:
    """Draw a planned batch, in as many parts as the device has room for. As `draw_batch` else."""
    pictures: list[Rgb] = []
    while len(pictures) < len(requests):
        pictures += draw_fitting(backbone, requests[len(pictures) :], on_step)
    return pictures


@torch.no_grad()
def draw_batch(
    backbone: Backbone,
    requests: Sequence[DrawRequest],
    on_step: Callable[[int, int], None] = lambda step, steps: None,
) -> list[Rgb]:
    """Draw one planned batch; `on_step(done, total)` is called before the first and after every step.

    Raises BadInput where a reference is not for the backbone's family, where the model draws without classifier-free
    guidance and it is asked for, where the size is none, or no picture comes out; NotEnoughMemory where the device runs
    out of it.
    """
    first = requests[0]
    if len({batch_key(request) for request in requests}) != 1:
        raise BadInput("batch_mixed")
    _check(backbone, first)
    steps = max(first.num_inference_steps, math.ceil(1 / first.strength))  # so that at least one is taken
    begin = int(max(steps - steps * first.strength, 0))  # as FluxInpaintPipeline.get_timesteps
    on_step(begin, steps)
    drawing = backbone.drawn_by(first.drawn_by(backbone.spec))
    try:
        with loras_of_batch_on(drawing, [request.loras for request in requests]) as loras:
            conditions = _conditions(backbone, drawing, requests)
            state = _sample(conditions, requests, loras, (begin, steps), on_step, _room(backbone, drawing))
        pictures = _decode(drawing, drawing.model.unpack(state, first.height, first.width), _room(backbone, drawing))
    except torch.OutOfMemoryError as error:
        told = {"count": len(requests), "height": first.height, "width": first.width}
        raise NotEnoughMemory("no_memory_to_draw", model=drawing.spec.id, **told) from error
    finally:  # what was stopped leaves no part on the device, where the next one's text encoder needs the room
        drawing.model.release()
    if not np.isfinite(pictures).all():
        raise BadInput("picture_not_finite")
    drawn = [(picture * 255).round().astype(np.uint8) for picture in pictures]
    return [_finish(picture, request) for picture, request in zip(drawn, requests, strict=True)]


def check_requests(backbone: Backbone, requests: Sequence[DrawRequest]) -> None:
    """Raise BadInput where any of them cannot be drawn by this backbone, its prompt included; nothing is drawn."""
    for request in requests:
        _check(backbone, request)
    prompts = [r.prompt for r in requests] + [r.negative_prompt for r in requests if r.cfg_scale > 1]
    for prompt in dict.fromkeys(prompts):
        backbone.model.check_text(prompt)


def _check(backbone: Backbone, request: DrawRequest) -> None:
    unit = backbone.model.token_px
    if request.height < unit or request.width < unit or request.height % unit or request.width % unit:
        raise BadInput(
            "size_not_drawable", height=request.height, width=request.width, model=backbone.spec.id, unit=unit
        )
    if request.cfg_scale > 1 and not backbone.spec.can.cfg:
        raise BadInput("model_without_cfg", model=backbone.spec.id, scale=request.cfg_scale)
    for reference in request.active:
        if reference.families and backbone.model.family not in reference.families:
            raise BadInput("reference_not_for_family", kind=reference.kind, model=backbone.spec.id)


def _conditions(backbone: Backbone, drawing: Backbone, requests: Sequence[DrawRequest]) -> Conditions:
    """Encode prompts and references, each once, and let the references add what they have to add."""
    is_guided = requests[0].cfg_scale > 1
    conditions = Conditions(
        drawing,
        [encode_prompt(backbone, r.prompt) for r in requests],
        [encode_prompt(backbone, r.negative_prompt) for r in requests if is_guided],
    )
    encoded: dict[Reference, Any] = {}
    for references in zip(*(r.active for r in requests), strict=True):
        for reference in references:
            if reference not in encoded:
                encoded[reference] = reference.encode(backbone)
        references[0].extend(conditions, references, [encoded[r] for r in references])
    return conditions


def _sample(
    conditions: Conditions,
    requests: Sequence[DrawRequest],
    loras: LoraStack | MixedLoras,
    span: tuple[int, int],
    on_step: Callable[[int, int], None],
    room: float,
) -> Tensor:
    """Return the state of the drawn pictures, from step span[0] of span[1] on; `room` in bytes is for looking at them
    meanwhile.
    """
    model, first, (begin, steps) = conditions.drawing.model, requests[0], span
    height, width, cfg_scale = first.height, first.width, first.cfg_scale
    sigmas = model.sigmas(height // model.token_px * (width // model.token_px), steps)
    extras = Extras(tuple(conditions.tokens), conditions.channels)
    positive, negative = (
        model.condition(model.join(texts), height, width, first.distilled_guidance, extras) if texts else None
        for texts in (conditions.text, conditions.negative)
    )
    noise = _noise(conditions.drawing, requests)
    state, extensions = noise, list[Extension]()
    if first.detail:
        extensions.append(Detail(first.detail, cfg_scale, begin, steps))
    if conditions.kept is not None:
        look = partial(_look, conditions.drawing, conditions.kept, (height, width), room)
        inpaint = Inpaint(conditions.kept, noise, look, look_steps(sigmas))
        state = noise if first.strength == 1 else inpaint.noised(sigmas[begin])
        extensions.append(inpaint)
    if first.renoise:
        extensions.append(Renoise(first.renoise, [r.seed for r in requests], steps))
    if conditions.followers:
        plain = negative if first.identity_guidance else None
        extensions.append(Following(conditions.followers, sigmas, begin, plain))
    if first.identity_guidance and negative is not None and loras.changed:
        extensions.append(IdentityGuidance(loras, negative))
    with ExitStack() as installed:
        for one in conditions.installed:
            installed.enter_context(one)
        return sample(
            model.velocity, state, sigmas, positive, negative, cfg_scale, extensions, begin,
            lambda taken: on_step(taken, steps),
        )  # fmt: skip


def _look(drawing: Backbone, kept: Kept, size: tuple[int, int], room: float, state: Tensor) -> Tensor:
    """Return 1 where pictures are drawn, as states [b, …]: what they hide of what is kept is drawn, too."""
    model = drawing.model
    grid = model.unpack(state, *size)
    cells = model.unpack(kept.repaint, *size)
    rows = []
    for i, picture in enumerate(_decode(drawing, grid, room)):
        hidden = kept.hidden[i]
        if hidden is None:
            rows.append(kept.repaint[i : i + 1])
            continue
        is_hidden = hidden((np.nan_to_num(picture) * 255).round().astype(np.uint8))
        behind = kept_cells(drawing, ~is_hidden, cells.shape[1])
        rows.append(torch.maximum(kept.repaint[i : i + 1], behind.to(kept.repaint)))
    return torch.cat(rows)


def _decode(drawing: Backbone, grid: Tensor, room: float) -> npt.NDArray[np.float32]:
    """Pictures [b, h, w, 3] in [0, 1], of as many at a time as there is room for."""
    pixels = grid.shape[2] * grid.shape[3] * drawing.model.cell_px**2
    at_once = next((n for n in range(len(grid), 1, -1) if decode_bytes(n * pixels) <= room), 1)
    decoded = (drawing.model.decode(some) for some in grid.split(at_once))
    return torch.cat([(some * 0.5 + 0.5).clamp(0, 1).cpu().permute(0, 2, 3, 1).float() for some in decoded]).numpy()


def _room(backbone: Backbone, drawing: Backbone) -> float:
    """Bytes for the work beside what LoRAs and adapters keep of either."""
    return drawing.room_bytes - (0.0 if drawing is backbone else backbone.held_bytes)


def _reference_pixels(request: DrawRequest, drawing: Backbone) -> int:
    """How many pixels of pictures the model reads in the request's image sequence, at most."""
    most = drawing.spec.can.reference_px**2
    shown = [p.image.shape for r in request.active if isinstance(r, NativeReferences) for p in r.pictures]
    return sum(min(h * w, most) if most else h * w for h, w, _ in shown)


def _noise(drawing: Backbone, requests: Sequence[DrawRequest]) -> Tensor:
    """Each request's own noise as states [b, …].

    Around a landmark that is not drawn anew from pure noise it is drawn in the states' number type, as
    `FluxInpaintPipeline` draws it; the numbers are others than float32's rounded.
    """
    first = requests[0]
    kept_in = drawing.model.state_dtype
    dtype = torch.float32 if first.strength == 1 else kept_in
    rows = [drawing.model.noise(r.seed, first.height, first.width, dtype) for r in requests]
    return torch.cat(rows).to(drawing.device, kept_in)


def _finish(picture: Rgb, request: DrawRequest) -> Rgb:
    for reference in request.active:
        picture = reference.finish(picture)
    return picture
