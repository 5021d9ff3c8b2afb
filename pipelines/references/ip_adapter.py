"""Implicit reference: an IP-Adapter adds what it reads from a picture in the transformer's double blocks.

FLUX.1-dev has 19 double blocks; which of them carry a place and which a person is a matter of measuring
(`make ip-adapter-sweep`). A block of scale 0 keeps its attention as it is, so that 0 everywhere is the model without an
adapter, bit by bit. Several adapters add up.

diffusers' pipelines would repeat one picture's embeddings over a batch. Here every picture of a batch has its own
reference.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers.utils.torch_utils import get_module_execution_device

from pipelines.adapters.attention import AddedAttention, attention_added
from pipelines.adapters.ip_adapter import IpAdapter, adapter_of, encode_pictures
from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.pictures import check_rgb
from pipelines.references.protocol import Conditions, Reference

__all__ = ["MAX_SCALE", "IpAdapterReference", "block_count", "block_scales"]

MAX_SCALE = 2.0
_SPAN = re.compile(r"(\d+)(?:-(\d+))?(?:=(.+))?$")


@dataclass(frozen=True, eq=False)
class IpAdapterReference(Reference):
    """`images`, each uint8 [h, w, 3] with people filled in already (`fill_foreground`); `scales` in [0, 2].

    One scale for each double block. The tokens of several images stand side by side in one attention. `folder` is the
    adapter's; None: the backbone's own.
    """

    kind: ClassVar[str] = "ip-adapter"
    families: ClassVar[tuple[str, ...]] = ("flux1",)

    images: tuple[npt.NDArray[np.uint8], ...]
    scales: tuple[float, ...]
    folder: Path | None = None

    def __post_init__(self) -> None:
        if not self.images:
            raise BadInput("references_empty")
        for image in self.images:
            check_rgb(image)
        _check_scales(self.scales)

    @property
    def on(self) -> bool:
        return any(scale > 0 for scale in self.scales)

    def key(self) -> Hashable | None:
        return (len(self.images), self.scales, self.folder) if self.on else None

    def encode(self, backbone: Backbone) -> tuple[IpAdapter, torch.Tensor]:
        """The adapter, and the tokens [1, m, n, c] that it makes of the images."""
        adapter = adapter_of(backbone, self.folder)
        return adapter, encode_pictures(adapter, self.images)

    @staticmethod
    def extend(
        conditions: Conditions,
        references: Sequence[IpAdapterReference],
        encoded: Sequence[tuple[IpAdapter, torch.Tensor]],
    ) -> None:
        """Both sides of classifier-free guidance see the tokens, so that guidance pushes towards the words alone.

        Raises BadInput where the scales are not one for each double block.
        """
        transformer, scales, adapter = conditions.drawing.transformer, references[0].scales, encoded[0][0]
        attentions = [block.attn for block in transformer.transformer_blocks]
        if len(scales) != len(attentions):
            raise BadInput("scales_not_one_a_block", scales=len(scales), blocks=len(attentions))
        device = get_module_execution_device(transformer)  # not where it waits, if it is offloaded
        tokens = torch.cat([t for _, t in encoded])
        added: list[AddedAttention | None] = []
        for processor, scale in zip(adapter.processors, scales, strict=True):
            own = processor.to(device) if scale > 0 else None
            added.append(None if own is None else AddedAttention(tokens, own.to_k_ip[0], own.to_v_ip[0], scale))
        conditions.installed.append(attention_added(attentions, added))


def block_count(backbone: Backbone) -> int:
    """Return how many double blocks the backbone has. Raises BadInput where no IP-Adapter is for its family."""
    if backbone.model.family not in IpAdapterReference.families:
        raise BadInput("reference_not_for_family", kind=IpAdapterReference.kind, model=backbone.spec.id)
    return len(backbone.transformer.transformer_blocks)


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
            raise BadInput("blocks_invalid", blocks=part.strip(), count=count, last=count - 1)
        scales[first : last + 1] = [scale if match[3] is None else _number(match[3])] * (last - first + 1)
    _check_scales(scales)
    return tuple(scales)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _check_scales(scales: Sequence[float]) -> None:
    for scale in scales:
        if not 0 <= scale <= MAX_SCALE:  # false for NaN too
            raise BadInput("ip_adapter_scale_out_of_range", scale=scale, most=MAX_SCALE)
