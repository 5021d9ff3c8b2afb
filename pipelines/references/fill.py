"""Explicit reference by FLUX.1-Fill: the transformer itself sees what is kept, in channels beside its noise.

As `FluxFillPipeline` of diffusers: [noise ; the masked picture's latents ; the mask] along the channels, the mask's
pixels folded into channels. That pipeline draws the masked picture's latents at random from the VAE's posterior; here
they are the posterior's mode.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange
from torch import Tensor

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.families.spec import BackboneSpec
from pipelines.references.landmark import Landmark, check_kept
from pipelines.references.protocol import Conditions, Reference, Request

__all__ = ["FillReference"]


@dataclass(frozen=True, eq=False)
class FillReference(Reference):
    """A landmark that FLUX.1-Fill draws around."""

    kind: ClassVar[str] = "fill"
    families: ClassVar[tuple[str, ...]] = ("flux1",)

    landmark: Landmark

    def key(self) -> Hashable:
        return ()

    def check(self, request: Request) -> None:
        check_kept(self, self.landmark, request)
        if request.strength < 1:
            raise BadInput("fill_needs_full_strength", strength=request.strength)
        if any(r.kind == "references" and r.key() is not None for r in request.references):
            raise BadInput("fill_and_kontext")
        if any(r.kind == "ip-adapter" and r.key() is not None for r in request.references):
            raise BadInput("fill_and_ip_adapter")

    def drawn_by(self, spec: BackboneSpec) -> str:
        return "fill"

    @torch.no_grad()
    def encode(self, backbone: Backbone) -> Tensor:
        """[1, n, 4c + 4·cell²]: per token the latents of the picture with grey where it is drawn, and the mask, 1
        there."""
        model, cell = backbone.model, backbone.model.cell_px
        drawn = ~self.landmark.mask[None]
        z = model.encode_pictures(self.landmark.image[None], hidden=drawn)
        mask = rearrange(torch.from_numpy(drawn).to(z), "b (h p) (w q) -> b (p q) h w", p=cell, q=cell)
        return torch.cat([model.pack(z), model.pack(mask)], dim=2).to(model.dtype)

    @staticmethod
    def extend(conditions: Conditions, references: Sequence[FillReference], encoded: Sequence[Tensor]) -> None:
        conditions.channels = torch.cat(list(encoded))

    def finish(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return self.landmark.finish(picture)
