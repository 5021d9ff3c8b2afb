"""FLUX.1's tokens: 2×2 latents each."""

from __future__ import annotations

import torch
from einops import rearrange

__all__ = ["pack", "unpack"]


def pack(latents: torch.Tensor) -> torch.Tensor:
    """[b, c, h, w] to tokens of 2×2 latents [b, h/2·w/2, 4c], as `FluxPipeline._pack_latents`."""
    return rearrange(latents, "b c (h p) (w q) -> b (h w) (c p q)", p=2, q=2)


def unpack(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The inverse, for a grid of height x width tokens."""
    return rearrange(tokens, "b (h w) (c p q) -> b c (h p) (w q)", h=height, w=width, p=2, q=2)
