"""How much memory a model needs, measured on its files before anything is loaded, and where it can be put."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import psutil
import torch

from pipelines.errors import BadInput, NotEnoughMemory

__all__ = ["Hardware", "MemoryPlan", "count_parameters", "plan_memory", "read_hardware"]

_RESERVE = 0.5e9  # for the runtime itself: CUDA context, kernels, Python
# Peak of a step and of decoding, in bytes per pixel of the whole batch: activations of a FLUX block of width 3072
# (about 30 tensors of a token's width, 1/256 token per pixel, 2 bytes) and of the VAE's last level (128 channels, 2
# bytes, about 10 tensors). Estimates on the safe side; attention needs no square matrix.
_STEP_BYTES_PER_PIXEL_AND_WIDTH = 30 * 2 / 256
_DECODE_BYTES_PER_PIXEL = 10 * 128 * 2
_PARTS = ("transformer", "text_encoder", "text_encoder_2", "vae")


@dataclass(frozen=True)
class Hardware:
    """Free bytes, now. `device_free` of the accelerator is the machine's own where there is none."""

    device: str
    device_free: float
    ram_free: float


@dataclass(frozen=True)
class MemoryPlan:
    """`offload` False: all parts stay on the device; True: only the part at work does, the others wait in RAM."""

    offload: bool
    device_bytes: float
    ram_bytes: float

    def describe(self) -> str:
        """For a person, in gigabytes."""
        how = "one part at a time" if self.offload else "all of it at once"
        return f"about {self.device_bytes / 1e9:.1f} GB on the device ({how}), {self.ram_bytes / 1e9:.1f} GB of memory"


def read_hardware(device: torch.device) -> Hardware:
    """What is free on this machine."""
    ram = float(psutil.virtual_memory().available)
    free = float(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else ram
    return Hardware(device.type, free, ram)


def count_parameters(folder: Path) -> dict[str, int]:
    """Parameters of every part of a diffusers folder, from the headers of its safetensors files.

    Raises BadInput for a file that is cut short.
    """
    return {part: sum(_numel(path) for path in _weights(folder / part)) for part in _PARTS if (folder / part).is_dir()}


def plan_memory(
    parameters: Mapping[str, int], bytes_each: int, width: int, pixels: int, hardware: Hardware, name: str = "The model"
) -> MemoryPlan:
    """Where a model of these parts goes, to draw `pixels` in one batch; `width` is the transformer's.

    Raises NotEnoughMemory, with advice, where it fits in no way.
    """
    total, largest = sum(parameters.values()) * bytes_each, max(parameters.values()) * bytes_each
    work = max(_STEP_BYTES_PER_PIXEL_AND_WIDTH * width, _DECODE_BYTES_PER_PIXEL) * pixels + _RESERVE
    if hardware.device == "cpu":
        plans = [MemoryPlan(False, total + work, total + work)]
    else:
        plans = [MemoryPlan(False, total + work, largest), MemoryPlan(True, largest + work, float(total))]
    for plan in plans:
        if plan.device_bytes <= hardware.device_free and plan.ram_bytes <= hardware.ram_free:
            return plan
    least = plans[-1]
    raise NotEnoughMemory(
        f"{name} needs {least.describe()}; free are {hardware.device_free / 1e9:.1f} GB and "
        f"{hardware.ram_free / 1e9:.1f} GB.",
        "Close other programs, draw fewer or smaller pictures at once, or choose a smaller model.",
    )


def _weights(folder: Path) -> list[Path]:
    """What diffusers and transformers load: the shards of the index, else the one file."""
    for index in folder.glob("*.safetensors.index.json"):
        names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        return [folder / name for name in sorted(set(names))]
    return [p for n in ("diffusion_pytorch_model", "model") if (p := folder / f"{n}.safetensors").is_file()]


def _numel(path: Path) -> int:
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(size))
        end = max((entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0)
        if path.stat().st_size < 8 + size + end:
            raise ValueError(f"{8 + size + end} bytes are announced, {path.stat().st_size} are there")
    except (OSError, ValueError, struct.error, KeyError) as error:
        raise BadInput(
            f"{path.parent.name}/{path.name} is missing, damaged or cut short ({error}).", "Fetch it again."
        ) from error
    return sum(prod(entry["shape"]) for key, entry in header.items() if key != "__metadata__")
