"""Explicit reference by FLUX.1-Fill: the transformer itself sees what is kept, in channels beside its noise.

As `FluxFillPipeline` of diffusers: [noise ; the masked picture's latents ; the mask] along the channels, the mask's
pixels folded into channels. That pipeline draws the masked picture's latents at random from the VAE's posterior, and it
has neither negative prompts nor latents of ours; so its input is packed here (the posterior's mode) and put in front of
the transformer, whichever pipeline calls it. Redux tokens and guidance against a negative prompt go with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from pipelines.backbones import Backbone
from pipelines.families.flux1.latents import encode_pictures, pack
from pipelines.hooks import hooked
from pipelines.references.landmark import Landmark

__all__ = ["encode_kept", "filled_model"]


@torch.no_grad()
def encode_kept(backbone: Backbone, landmarks: Sequence[Landmark]) -> Tensor:
    """[b, n, 4c + 4·cell²]: per token the latents of the picture with grey where it is drawn, and the mask, 1 there."""
    cell = backbone.cell_px
    drawn = ~np.stack([mark.mask for mark in landmarks])
    z = encode_pictures(backbone.vae, np.stack([mark.image for mark in landmarks]), backbone.device, hidden=drawn)
    mask = rearrange(torch.from_numpy(drawn).to(z), "b (h p) (w q) -> b (p q) h w", p=cell, q=cell)
    return torch.cat([pack(z), pack(mask)], dim=2).to(backbone.dtype)


@contextmanager
def filled_model(transformer: nn.Module, kept: Tensor | None) -> Iterator[None]:
    """While open, every call of the transformer sees `kept` [b, n, k] behind its channels; None changes nothing."""
    if kept is None:
        yield
        return

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        kwargs["hidden_states"] = torch.cat([kwargs["hidden_states"], kept.to(kwargs["hidden_states"])], dim=2)
        return args, kwargs

    with hooked(transformer, before):
        yield
