"""Implicit reference: an IP-Adapter adds what it reads from a picture in the transformer's double blocks.

In each block the picture's tokens are attended to by the image's own queries and the result is added after the
feed-forward part, times the block's scale (arXiv:2308.06721 §3.2; diffusers' FluxIPAdapterAttnProcessor). FLUX.1-dev
has 19 double blocks; which of them carry a place and which a person is a matter of measuring (`make ip-adapter-sweep`).
A block of scale 0 keeps its plain attention, so that 0 everywhere is the model without an adapter, bit by bit.

diffusers' pipelines would repeat one picture's embeddings over a batch. Here the tokens are handed to the blocks
themselves: every picture of a batch has its own reference.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxTransformer2DModel
from diffusers.utils.torch_utils import get_module_execution_device

from pipelines.adapters.ip_adapter import IpAdapter, encode_pictures
from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.references.redux import check_picture

__all__ = ["MAX_SCALE", "IpAdapterReference", "adapter_on", "block_scales", "model_with_adapter"]

MAX_SCALE = 2.0
_SPAN = re.compile(r"(\d+)(?:-(\d+))?(?:=(.+))?$")


@dataclass(frozen=True, eq=False)
class IpAdapterReference:
    """`images`, each uint8 [h, w, 3] with people filled in already (`fill_foreground`); `scales` in [0, 2].

    One scale for each double block. The tokens of several images stand side by side in one attention.
    """

    images: tuple[npt.NDArray[np.uint8], ...]
    scales: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.images:
            raise BadInput("There is no reference among the references.", "Name one, or leave them out.")
        for image in self.images:
            check_picture(image)
        _check_scales(self.scales)

    @property
    def on(self) -> bool:
        return any(scale > 0 for scale in self.scales)


def block_scales(blocks: str, scale: float, count: int) -> tuple[float, ...]:
    """One scale for each of `count` double blocks, from words such as "0-4,9=0.5".

    Named blocks get `scale` or their own after "=", the others 0; "" names all. Raises BadInput.
    """
    _check_scales((scale,))
    if not blocks.strip():
        return (scale,) * count
    scales = [0.0] * count
    for part in blocks.split(","):
        match = _SPAN.match(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if match is None or not first <= last < count:
            raise BadInput(
                f"{part.strip()!r} names no blocks of this model, which has {count}.",
                f"Write them as 0-{count - 1} or 3,5=0.5, from 0 to {count - 1}.",
            )
        scales[first : last + 1] = [scale if match[3] is None else _number(match[3])] * (last - first + 1)
    _check_scales(scales)
    return tuple(scales)


@contextmanager
def adapter_on(transformer: FluxTransformer2DModel, adapter: IpAdapter, scales: Sequence[float]) -> Iterator[None]:
    """While open, blocks whose scale is not 0 also read `ip_hidden_states` [[b, m, n, c]]; then all is as before.

    Raises BadInput where `scales` are not one for each double block.
    """
    blocks = transformer.transformer_blocks
    if len(scales) != len(blocks):
        raise BadInput(
            f"{len(scales)} scales cannot be put on {len(blocks)} double blocks.", "Give one for each, or one for all."
        )
    _check_scales(scales)
    device = get_module_execution_device(transformer)  # not where it waits, if it is offloaded
    chosen = [(b.attn, p, s) for b, p, s in zip(blocks, adapter.processors, scales, strict=True) if s > 0]
    before = [attention.processor for attention, _, _ in chosen]
    try:
        for attention, processor, scale in chosen:
            processor.scale = [scale]
            attention.set_processor(processor.to(device))
        yield
    finally:
        for (attention, _, _), processor in zip(chosen, before, strict=True):
            attention.set_processor(processor)


@contextmanager
def model_with_adapter(
    transformer: FluxTransformer2DModel, backbone: Backbone, references: Sequence[IpAdapterReference | None]
) -> Iterator[dict[str, list[torch.Tensor]]]:
    """Put the backbone's adapter on what draws, for a batch; yields what the transformer's attention is called with.

    `references` are one for each picture, all with the same scales and number of images. Both sides of classifier-free
    guidance see them, so that guidance pushes towards the words alone. Without any that is on, nothing is touched.
    """
    tokens: dict[IpAdapterReference, torch.Tensor] = {}
    batch = [r for r in references if r is not None and r.on]
    if not batch:
        yield {}
        return
    adapter = backbone.ip_adapter
    for reference in batch:
        if reference not in tokens:
            tokens[reference] = encode_pictures(adapter, reference.images)
    with adapter_on(transformer, adapter, batch[0].scales):
        yield {"ip_hidden_states": [torch.cat([tokens[r] for r in batch])]}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _check_scales(scales: Sequence[float]) -> None:
    for scale in scales:
        if not 0 <= scale <= MAX_SCALE:  # false for NaN too
            raise BadInput(f"The IP-Adapter's scale is {scale}.", f"Choose a number from 0 (off) to {MAX_SCALE:g}.")
