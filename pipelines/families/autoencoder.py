"""Pictures to latents and back by FLUX.1's VAE, which other families have, too: `AutoencoderKL`, or the small
`AutoencoderTiny` (TAEF1). FLUX.2's has statistics in place of scale and shift.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import AutoencoderKL, AutoencoderKLFlux2, AutoencoderTiny

__all__ = ["decode", "decode_latents", "encode_pictures", "encode_raw"]


@torch.no_grad()
def encode_pictures(
    vae: AutoencoderKL | AutoencoderTiny,
    pictures: npt.NDArray[np.uint8],
    device: torch.device | None = None,
    hidden: npt.NDArray[np.bool_] | None = None,
) -> torch.Tensor:
    """uint8 [n, h, w, 3] to float32 latents [n, c, h', w'] as the transformer knows them (shifted and scaled); else
    as `encode_raw`.
    """
    z = encode_raw(vae, pictures, device, hidden)
    if isinstance(vae, AutoencoderTiny):  # its latents need neither shift nor scale
        return z
    return (z - (vae.config.shift_factor or 0.0)) * float(vae.config.scaling_factor)


@torch.no_grad()
def encode_raw(
    vae: AutoencoderKL | AutoencoderKLFlux2 | AutoencoderTiny,
    pictures: npt.NDArray[np.uint8],
    device: torch.device | None = None,
    hidden: npt.NDArray[np.bool_] | None = None,
) -> torch.Tensor:
    """uint8 [n, h, w, 3] to float32 latents [n, c, h', w'] as the VAE gives them.

    The posterior's mode, so that nothing is random, and one by one: in low precision a picture's latents would
    depend on its neighbours in the batch. `device` is where it is computed, of a VAE that waits elsewhere (offload).
    Pixels that are `hidden` bool [n, h, w] are the exact middle grey.
    """
    pixels = rearrange(torch.from_numpy(pictures.copy()), "n h w c -> n c h w")
    x = pixels.to(vae.device if device is None else device, torch.float32) / 127.5 - 1
    if hidden is not None:
        x = x.masked_fill(torch.from_numpy(hidden).to(x.device)[:, None], 0.0)
    x = x.to(vae.dtype).contiguous(memory_format=torch.channels_last)
    if isinstance(vae, AutoencoderTiny):
        return torch.cat([vae.encode(one[None]).latents for one in x]).float().contiguous()
    return torch.cat([vae.encode(one[None]).latent_dist.mode() for one in x]).float().contiguous()


@torch.no_grad()
def decode_latents(vae: AutoencoderKL | AutoencoderTiny, latents: torch.Tensor) -> npt.NDArray[np.uint8]:
    """The inverse: latents [n, c, h', w'] to uint8 [n, h, w, 3]."""
    z = latents.to(vae.device, torch.float32)
    x = torch.cat([decode(vae, one[None]) for one in z]).float()
    pixels = ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return np.asarray(rearrange(pixels, "n c h w -> n h w c").cpu().numpy())


def decode(vae: AutoencoderKL | AutoencoderTiny, z: torch.Tensor) -> torch.Tensor:
    """Latents [n, c, h', w'] to pixels [n, 3, h, w], about [-1, 1], in the VAE's dtype; gradients flow."""
    if not isinstance(vae, AutoencoderTiny):
        z = z / float(vae.config.scaling_factor) + (vae.config.shift_factor or 0.0)
    return torch.as_tensor(vae.decode(z.to(vae.dtype)).sample)
