"""Reference by FLUX.1-Kontext: a picture's own latents stand in the image sequence, behind the noise.

As `FluxKontextPipeline` of diffusers: their position ids are those of a picture of their size with 1 in the first
channel (arXiv:2506.15742 §3), and what the transformer says about them is thrown away. A landmark can be kept beside it
by inpainting.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.families.model import ReferenceTokens
from pipelines.pictures import check_rgb
from pipelines.references.protocol import Conditions, Reference, Request

__all__ = ["ContextReference"]


@dataclass(frozen=True, eq=False)
class ContextReference(Reference):
    """`image` uint8 [h, w, 3], in the size in which it is read; Kontext was trained on about one megapixel."""

    kind: ClassVar[str] = "kontext"
    families: ClassVar[tuple[str, ...]] = ("flux1",)
    companion: ClassVar[str] = "kontext"

    image: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        check_rgb(self.image)

    @classmethod
    def show(cls, image: npt.NDArray[np.uint8], scale: float) -> ContextReference:
        """Show the picture, at any scale: Kontext is shown a picture or not."""
        return cls(image)

    def key(self) -> Hashable:
        return self.image.shape

    def check(self, request: Request) -> None:
        if sum(isinstance(r, ContextReference) for r in request.references) > 1:
            raise BadInput("two_kontext_references")

    def encode(self, backbone: Backbone) -> ReferenceTokens:
        """Raises BadInput where the picture is no whole number of tokens."""
        (height, width), unit = self.image.shape[:2], backbone.model.token_px
        if height % unit or width % unit:
            raise BadInput("size_not_readable", height=height, width=width, model=backbone.spec.id, unit=unit)
        return backbone.model.encode_reference(self.image[None], 0)

    @staticmethod
    def extend(
        conditions: Conditions, references: Sequence[ContextReference], encoded: Sequence[ReferenceTokens]
    ) -> None:
        conditions.tokens.append(ReferenceTokens(torch.cat([e.tokens for e in encoded]), encoded[0].ids))
