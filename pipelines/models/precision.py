"""In which precision a backbone is loaded and where its parts wait, chosen from the hardware before anything is read.

Which parts are made smaller, and which come to the device block by block, is told by `Part`. The order of
`auto` is exactness first: the plain number type (all at once, then one part at a time), fp8, nf4 where its package is
installed, and at last blocks that are brought to the device one by one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from typing import Literal, get_args

import torch

from pipelines.errors import BadInput, ModelMissing, NotEnoughMemory
from pipelines.models.hardware import Hardware, work_bytes
from pipelines.models.headers import Header
from pipelines.models.variants import Part

__all__ = ["PRECISIONS", "LoadPlan", "Offload", "Precision", "part_bytes", "plan_companion", "plan_loading"]

Precision = Literal["fp32", "fp16", "bf16", "fp8", "int8", "nf4", "gguf"]
Offload = Literal["none", "model", "group"]
PRECISIONS: tuple[str, ...] = ("auto", *get_args(Precision))
_PLAIN: Mapping[torch.dtype, Precision] = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
_DTYPES = {name: dtype for dtype, name in _PLAIN.items()}
_PACKAGES: Mapping[str, str] = {"int8": "torchao", "nf4": "bitsandbytes", "gguf": "gguf"}
_NF4_BYTES = 0.5 + 4 / 64  # four bits, and a float32 of scale for 64 of them
_GROUP_SHARE = 0.12  # two blocks of 57 on the device, the next on its way, and what stands outside the blocks
_WORDS = {
    "none": "all of it on the device",
    "model": "one part at a time on the device, the others wait in memory",
    "group": "block by block on the device, slower",
}


@dataclass(frozen=True)
class LoadPlan:
    """`dtype` is what is computed in; `offload` where parts wait: nowhere, in RAM by part, or in RAM by block.

    Bytes are estimates on the safe side, of drawing one batch.
    """

    precision: Precision
    dtype: torch.dtype
    offload: Offload
    device_bytes: float
    ram_bytes: float

    @property
    def trains(self) -> bool:
        """Whether a LoRA can be trained on it: gradients need weights that stay where and as they are."""
        return self.precision in ("fp32", "fp16", "bf16", "nf4") and self.offload != "group"

    def describe(self) -> str:
        """For a person, in gigabytes."""
        return (
            f"{self.precision}, {_WORDS[self.offload]}: about {self.device_bytes / 1e9:.1f} GB on the device and "
            f"{self.ram_bytes / 1e9:.1f} GB of memory"
        )


def part_bytes(header: Sequence[Header], precision: Precision, plain_bytes: int, uncast: str) -> float:
    """Return a loaded part's size; `plain_bytes` is the size of a number that is computed with, `uncast` a
    pattern of the parameters that fp8 leaves as they are (`Part.uncast`).
    """
    if precision == "gguf":
        return float(sum(h.stored_bytes for h in header))
    total = 0.0
    for name, shape in ((n, s) for h in header for n, s in h.shapes.items()):
        linear = len(shape) == 2 and name.endswith(".weight")
        each = float(plain_bytes)
        if precision == "fp8" and not (uncast and re.search(uncast, name)):
            each = 1.0
        elif precision == "int8" and linear:
            each = 1.0 + 4 / shape[1]  # a scale for each row
        elif precision == "nf4" and linear:
            each = _NF4_BYTES
        total += each * prod(shape)
    return total


def plan_loading(
    parts: Sequence[Part],
    headers: Mapping[str, Sequence[Header]],
    width: int,
    pixels: int,
    hardware: Hardware,
    dtype: torch.dtype,
    wish: str = "auto",
    name: str = "The model",
) -> LoadPlan:
    """The first way that fits of those that `wish` allows, to draw `pixels` in one batch; pure but for the question
    which packages are installed.

    `headers` are those of `parts` by their names; `width` is the transformer's; `dtype` is the
    hardware's fast one. Raises BadInput for a wish that cannot be, ModelMissing for one whose package is not installed,
    NotEnoughMemory.
    """
    gguf = any(header.path.suffix.lower() == ".gguf" for files in headers.values() for header in files)
    ways = _ways(wish, gguf, hardware.device == "cpu", dtype)
    work = work_bytes(width, pixels)
    plans = [
        _plan(parts, headers, precision, offload, dtype, work, hardware.device == "cpu") for precision, offload in ways
    ]
    return _first_that_fits(plans, hardware, name, wish, gguf)


def plan_companion(
    part: Part,
    headers: Sequence[Header],
    loaded: Mapping[str, float],
    work: float,
    hardware: Hardware,
    dtype: torch.dtype,
    name: str,
    trains: bool,
) -> LoadPlan:
    """Where a companion's transformer goes, and the parts of a backbone, `loaded` in these bytes, beside it.

    It is loaded in the plain `dtype`; where a LoRA is to be trained on it, in four bits where that does not fit and
    can be. All at once, or one at a time; `work` is what drawing takes above them. Raises NotEnoughMemory.
    """
    cpu, plain = hardware.device == "cpu", _PLAIN[dtype]
    ways: list[Precision] = [plain, "nf4"] if trains and not cpu and _installed("nf4") else [plain]
    plans = []
    for precision in ways:
        companion = part_bytes(headers, precision, dtype.itemsize, part.uncast)
        total, largest = sum(loaded.values()) + companion, max(companion, *loaded.values())
        if cpu:
            plans.append(LoadPlan(precision, dtype, "none", total + work, total + work))
        else:
            plans.append(LoadPlan(precision, dtype, "none", total + work, largest))
            plans.append(LoadPlan(precision, dtype, "model", largest + work, total))
    return _first_that_fits(plans, hardware, name, "auto", gguf=False)


def _first_that_fits(plans: Sequence[LoadPlan], hardware: Hardware, name: str, wish: str, gguf: bool) -> LoadPlan:
    for plan in plans:
        if plan.device_bytes <= hardware.device_free and plan.ram_bytes <= hardware.ram_free:
            return plan
    least = min(plans, key=lambda plan: (plan.device_bytes, plan.ram_bytes))
    fields = {
        "model": name,
        "precision": least.precision,
        "device_gb": least.device_bytes / 1e9,
        "ram_gb": least.ram_bytes / 1e9,
        "free_device_gb": hardware.device_free / 1e9,
        "free_ram_gb": hardware.ram_free / 1e9,
    }
    if gguf:
        raise NotEnoughMemory("no_memory_for_gguf", **fields)
    if wish != "auto":
        raise NotEnoughMemory("no_memory_for_precision", **fields)
    raise NotEnoughMemory("no_memory_for_model", **fields)


def _ways(wish: str, gguf: bool, cpu: bool, dtype: torch.dtype) -> list[tuple[Precision, Offload]]:
    if wish not in PRECISIONS:
        raise BadInput("precision_unknown", precision=wish, known=list(PRECISIONS))
    if gguf:
        if wish not in ("auto", "gguf"):
            raise BadInput("precision_of_gguf", precision=wish)
        _need_package("gguf")
        return [("gguf", "none")] if cpu else [("gguf", "none"), ("gguf", "model")]
    if wish == "gguf":
        raise BadInput("precision_gguf_without_file")
    plain = _PLAIN[dtype]
    if wish == "auto":
        if cpu:
            return [(plain, "none"), ("fp8", "none")]
        small: list[tuple[Precision, Offload]] = [("nf4", "none"), ("nf4", "model")] if _installed("nf4") else []
        return [
            (plain, "none"), (plain, "model"), ("fp8", "none"), ("fp8", "model"), *small, ("fp8", "group"),
            (plain, "group"),
        ]  # fmt: skip
    _need_package(wish)
    if wish == "nf4" and cpu:
        raise BadInput("precision_needs_gpu", precision=wish)
    precision: Precision = wish  # type: ignore[assignment]
    if cpu:
        return [(precision, "none")]
    offloads: tuple[Offload, ...] = ("none", "model") if wish in ("int8", "nf4") else ("none", "model", "group")
    return [(precision, offload) for offload in offloads]


def _plan(
    parts: Sequence[Part], headers: Mapping[str, Sequence[Header]], precision: Precision, offload: Offload,
    dtype: torch.dtype, work: float, cpu: bool,
) -> LoadPlan:  # fmt: skip
    compute = _DTYPES.get(precision, torch.bfloat16 if precision == "int8" else dtype)
    each = compute.itemsize
    plain: Precision = _PLAIN[compute]
    small = {part.name: part.uncast for part in parts if part.is_quantised}
    sizes = {n: part_bytes(h, precision if n in small else plain, each, small.get(n, "")) for n, h in headers.items()}
    total, largest = sum(sizes.values()), max(sizes.values())
    quantised = sum(sizes[name] for name in small)
    # fp8 is cast from the plain weights once these are in memory
    whole = quantised
    if precision == "fp8":
        whole = sum(part_bytes(headers[name], plain, each, "") for name in small)
    loading = total - quantised + whole
    if cpu:
        return LoadPlan(precision, compute, offload, *(max(total + work, loading),) * 2)
    if offload == "none":
        return LoadPlan(precision, compute, offload, total + work, max(whole, total - quantised))
    if offload == "model":
        return LoadPlan(precision, compute, offload, largest + work, loading)
    # small parts stay on the device; large ones come block by block
    large = {part.name for part in parts if part.is_large}
    stays = sum(size for name, size in sizes.items() if name not in large)
    blocks = _GROUP_SHARE * max(sizes[name] for name in large)
    return LoadPlan(precision, compute, offload, stays + blocks + work, loading)


def _installed(precision: str) -> bool:
    return find_spec(_PACKAGES[precision]) is not None


def _need_package(precision: str) -> None:
    if precision in _PACKAGES and not _installed(precision):
        package = _PACKAGES[precision]
        raise ModelMissing("precision_package_missing", precision=precision, package=package)
