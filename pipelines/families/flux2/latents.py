"""Pictures to FLUX.2's latents and back: patches of 2×2 latents, each channel of which is normalised by statistics
that the VAE carries (`Flux2KleinPipeline._encode_vae_image` of diffusers).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange
from safetensors import safe_open
from torch import Tensor

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderKLFlux2

from pipelines.errors import BadInput
from pipelines.families.autoencoder import encode_raw
from pipelines.families.flux2.detection import STATISTICS
from pipelines.models.headers import shards_of

__all__ = ["Statistics", "decode", "encode_pictures", "pack", "patchify", "read_statistics", "unpack", "unpatchify"]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Each channel's mean and standard deviation over pictures, float32 [1, 4c, 1, 1]."""

    mean: Tensor
    std: Tensor


def read_statistics(vae: Path, eps: float, name: str, device: torch.device) -> Statistics:
    """Read them from a VAE's files: loaded as bf16 with the rest they would be rounded.

    `eps` is the VAE's `batch_norm_eps`, `name` the model's. Raises BadInput where they are no numbers.
    """
    found: dict[str, Tensor] = {}
    for path in shards_of(vae):
        with safe_open(path, framework="pt") as file:
            found |= {key: file.get_tensor(key).float() for key in sorted({*STATISTICS} & {*file.keys()})}
    mean, var = (found[key].view(1, -1, 1, 1).to(device) for key in STATISTICS)
    for key, tensor in zip(STATISTICS, (mean, torch.sqrt(var + eps)), strict=True):
        if not bool(tensor.isfinite().all()):
            raise BadInput("model_not_finite", name=name, weight=f"vae.{key}")
    return Statistics(mean, torch.sqrt(var + eps))


@torch.no_grad()
def encode_pictures(
    vae: AutoencoderKLFlux2,
    statistics: Statistics,
    pictures: npt.NDArray[np.uint8],
    device: torch.device,
    hidden: npt.NDArray[np.bool_] | None = None,
) -> Tensor:
    """uint8 [n, h, w, 3] to float32 grids [n, 4c, h / 16, w / 16] as the transformer knows them; else as
    `pipelines.families.autoencoder.encode_raw`.
    """
    z = encode_raw(vae, pictures, device, hidden)
    return (patchify(z) - statistics.mean) / statistics.std


def decode(vae: AutoencoderKLFlux2, statistics: Statistics, grid: Tensor) -> Tensor:
    """Grids [n, 4c, h, w] to pixels [n, 3, 16 h, 16 w], about [-1, 1], in the VAE's dtype; gradients flow."""
    z = unpatchify(grid.to(torch.float32) * statistics.std + statistics.mean)
    return torch.as_tensor(vae.decode(z.to(vae.dtype)).sample)


def patchify(z: Tensor) -> Tensor:
    """[b, c, 2h, 2w] to [b, 4c, h, w], the channels in the order (c, row, column)."""
    return rearrange(z, "b c (h p) (w q) -> b (c p q) h w", p=2, q=2)


def unpatchify(grid: Tensor) -> Tensor:
    """The inverse."""
    return rearrange(grid, "b (c p q) h w -> b c (h p) (w q)", p=2, q=2)


def pack(grid: Tensor) -> Tensor:
    """[b, k, h, w] to tokens [b, h·w, k], as `Flux2KleinPipeline._pack_latents`."""
    return rearrange(grid, "b k h w -> b (h w) k")


def unpack(tokens: Tensor, height: int, width: int) -> Tensor:
    """The inverse, for a grid of height x width cells."""
    return rearrange(tokens, "b (h w) k -> b k h w", h=height, w=width)
