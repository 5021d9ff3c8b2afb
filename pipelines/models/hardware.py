"""How much memory is free, and how much the work itself takes beside a model's weights."""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch

__all__ = ["Hardware", "decode_bytes", "read_hardware", "read_machine", "step_bytes", "training_bytes", "work_bytes"]

_RESERVE = 0.5e9  # for the runtime itself: CUDA context, kernels, Python
# Peak of a step and of decoding, in bytes per pixel of the whole batch: activations of a FLUX block of width 3072
# (about 30 tensors of a token's width, 1/256 token per pixel, 2 bytes) and of the VAE's last level (128 channels, 2
# bytes, about 10 tensors). Estimates on the safe side; attention needs no square matrix.
_STEP_BYTES_PER_PIXEL_AND_WIDTH = 30 * 2 / 256
_DECODE_BYTES_PER_PIXEL = 10 * 128 * 2
# Tensors of a token's width that a block keeps for its gradient: 22 of FLUX.1's, 25 of FLUX.2-klein's (counted by
# autograd's saved tensors at their real sizes, attention's matrices left out).
_SAVED_BY_BLOCK = 26


@dataclass(frozen=True)
class Hardware:
    """Free bytes, now. `device_free` of the accelerator is the machine's own where there is none."""

    device: str
    device_free: float
    ram_free: float


def read_hardware(device: torch.device) -> Hardware:
    """Return what is free on this machine; what torch holds of a device and does not use counts as free."""
    ram = free = float(psutil.virtual_memory().available)
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        free = float(torch.cuda.mem_get_info(device)[0] + unused)
    return Hardware(device.type, free, ram)


def work_bytes(width: int, pixels: int, reference_pixels: int = 0) -> float:
    """Return the bytes of drawing `pixels` in one batch with a transformer `width` wide, above the weights.

    References, in pixels of the whole batch, are tokens of every step and are not decoded.
    """
    return max(step_bytes(width, pixels + reference_pixels), decode_bytes(pixels))


def step_bytes(width: int, pixels: int) -> float:
    """Return the bytes of a step alone, of all pixels that are tokens in it."""
    return _STEP_BYTES_PER_PIXEL_AND_WIDTH * width * pixels + _RESERVE


def decode_bytes(pixels: int) -> float:
    """Return the bytes of decoding so many pixels at once."""
    return float(_DECODE_BYTES_PER_PIXEL * pixels) + _RESERVE


def training_bytes(width: int, blocks: int, tokens: int, number_bytes: int, trained: int, checkpointing: bool) -> float:
    """Return the bytes of a training step above the frozen weights.

    `tokens` are those of the whole batch, the text's too, `number_bytes` the size of a number that is computed with and
    `trained` how many numbers are trained: float32, with their gradient and AdamW's two moments. With gradient
    `checkpointing` each block keeps what it is given, and one of them is computed anew, with its gradients.
    """
    tensors = 2 * blocks + 2 * _SAVED_BY_BLOCK if checkpointing else (blocks + 1) * _SAVED_BY_BLOCK
    return float(tensors * width * tokens * number_bytes + 16 * trained) + _RESERVE


def read_machine(device: torch.device) -> Hardware:
    """Return what would be free on this machine if nothing else ran: what a model may need at most."""
    ram = total = float(psutil.virtual_memory().total)
    if device.type == "cuda":
        total = float(torch.cuda.get_device_properties(device).total_memory)
    return Hardware(device.type, total, ram)
