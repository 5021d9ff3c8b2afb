"""Reference by FLUX.1-Kontext: a picture's own latents stand in the image sequence, behind the noise.

As `FluxKontextPipeline` of diffusers: their position ids are those of a picture of their size with 1 in the first
channel (arXiv:2506.15742 §3), and what the transformer says about them is thrown away. That pipeline keeps no landmark;
here the tokens are put in front of the transformer, whichever pipeline calls it, so that inpainting goes with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.families.flux1.latents import encode_pictures, pack
from pipelines.hooks import hooked

__all__ = ["Context", "ContextReference", "encode_context", "model_in_context"]


@dataclass(frozen=True, eq=False)
class ContextReference:
    """`image` uint8 [h, w, 3], in the size in which it is read; Kontext was trained on about one megapixel."""

    image: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8 or 0 in self.image.shape:
            raise BadInput(
                f"The reference picture has shape {self.image.shape}.", "Give an RGB picture, uint8 [h, w, 3]."
            )


@dataclass(frozen=True, eq=False)
class Context:
    """`tokens` [b, m, 4c] of the reference pictures, and their position `ids` [m, 3]."""

    tokens: Tensor
    ids: Tensor


@torch.no_grad()
def encode_context(backbone: Backbone, references: Sequence[ContextReference]) -> Context:
    """The references of a batch, all of one size. Raises BadInput where that is no whole number of tokens."""
    height, width = references[0].image.shape[:2]
    unit = 2 * backbone.cell_px
    if height % unit or width % unit:
        raise BadInput(
            f"A reference picture of {height}×{width} cannot be read by {backbone.spec.id}.",
            f"Resize it to multiples of {unit}.",
        )
    z = encode_pictures(backbone.vae, np.stack([r.image for r in references]), backbone.device)
    rows, columns = torch.arange(height // unit), torch.arange(width // unit)
    ids = torch.cartesian_prod(torch.ones(1, dtype=torch.long), rows, columns)
    return Context(pack(z).to(backbone.dtype), ids.to(backbone.device, backbone.dtype))


@contextmanager
def model_in_context(transformer: nn.Module, context: Context | None) -> Iterator[None]:
    """While open, every call of the transformer sees the context and answers for the rest; None changes nothing."""
    if context is None:
        yield
        return
    own = 0

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        nonlocal own
        noise, ids = kwargs["hidden_states"], kwargs["img_ids"]
        own = noise.shape[1]
        kwargs["hidden_states"] = torch.cat([noise, context.tokens.to(noise)], dim=1)
        kwargs["img_ids"] = torch.cat([ids, context.ids.to(ids)])
        return args, kwargs

    def after(_: nn.Module, __: tuple[Any, ...], ___: dict[str, Any], output: tuple[Tensor]) -> tuple[Tensor]:
        return (output[0][:, :own],)

    with hooked(transformer, before, after):
        yield
