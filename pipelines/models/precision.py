"""In which precision a backbone is loaded and where its parts wait, chosen from the hardware before anything is read.

Which parts are made smaller, and which come to the device block by block, is told by `Part`: the transformer, and a
text encoder that is as large. The order of `auto` is exactness first: the plain number type (all at once, then one part
at a time), fp8, nf4 where its package is installed, and at last blocks that are brought to the device one by one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from math import inf, prod
from typing import Literal, get_args

import torch

from pipelines.errors import BadInput, ModelMissing, NotEnoughMemory
from pipelines.models.hardware import Hardware, work_bytes
from pipelines.models.headers import Header
from pipelines.models.variants import Part

__all__ = ["PRECISIONS", "LoadPlan", "Offload", "PartPlan", "Precision", "part_bytes", "plan_companion", "plan_loading"]

Precision = Literal["fp32", "fp16", "bf16", "fp8", "int8", "nf4", "gguf"]
Offload = Literal["none", "model", "group"]
PRECISIONS: tuple[str, ...] = ("auto", *get_args(Precision))
_PLAIN: Mapping[torch.dtype, Precision] = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
_DTYPES = {name: dtype for dtype, name in _PLAIN.items()}
_PACKAGES: Mapping[str, str] = {"int8": "torchao", "nf4": "bitsandbytes", "gguf": "gguf"}
_NO_LINEAR = ("embed_tokens.weight", "lm_head.weight")  # of text encoders: left plain in int8 and nf4
_NF4_BYTES = 0.5 + 4 / 64  # four bits, and a float32 of scale for 64 of them
_WORDS = {
    "none": "all of it on the device",
    "model": "one part at a time on the device, the others wait in memory",
    "group": "block by block on the device, slower",
}


@dataclass(frozen=True)
class PartPlan:
    """A part's number type, its `bytes`, and where it waits while another works: "none" stays on the device."""

    precision: Precision
    bytes: float
    offload: Offload


@dataclass(frozen=True)
class LoadPlan:
    """`precision` is the transformer's, `dtype` what is computed in; `offload` where parts wait: nowhere, in RAM by
    part, or in RAM by block.

    Bytes are estimates on the safe side, of drawing one picture; `parts` has each part's own, by their names.
    `room_bytes` of an accelerator were free for the work beside the weights when it was planned; inf: not bounded.
    """

    precision: Precision
    dtype: torch.dtype
    offload: Offload
    device_bytes: float
    ram_bytes: float
    parts: Mapping[str, PartPlan] = field(default_factory=dict)
    room_bytes: float = inf

    @property
    def trains(self) -> bool:
        """Whether a LoRA can be trained on it: gradients need weights that stay where and as they are."""
        return self.precision in ("fp32", "fp16", "bf16", "nf4") and self.offload != "group"

    def precision_of(self, part: str) -> Precision:
        """Return the number type of a part: the plain one where nothing else is planned."""
        return self.parts[part].precision if part in self.parts else _PLAIN[self.dtype]

    def describe(self) -> str:
        """Return it for logs, in English and gigabytes."""
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
        linear = len(shape) == 2 and name.endswith(".weight") and not name.endswith(_NO_LINEAR)
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
    reference_pixels: int = 0,
) -> LoadPlan:
    """The first way that fits of those that `wish` allows, to draw `pixels` in one batch; pure but for the question
    which packages are installed.

    `headers` are those of `parts` by their names; `width` is the transformer's; `dtype` is the hardware's fast one;
    `reference_pixels` are those of the references that it reads beside the batch. Raises BadInput for a wish that
    cannot be, ModelMissing for one whose package is not installed, NotEnoughMemory.
    """
    gguf = any(header.path.suffix.lower() == ".gguf" for files in headers.values() for header in files)
    cpu = hardware.device == "cpu"
    encoders = any(part.is_quantised and part.is_text_encoder for part in parts)
    work = work_bytes(width, pixels, reference_pixels)
    plans = [_plan(parts, headers, way, dtype, work, cpu) for way in _ways(wish, gguf, cpu, dtype, encoders)]
    return _first_that_fits(plans, hardware, work, name, wish, gguf)


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
    return _first_that_fits(plans, hardware, work, name, "auto", gguf=False)


def _first_that_fits(
    plans: Sequence[LoadPlan], hardware: Hardware, work: float, name: str, wish: str, gguf: bool
) -> LoadPlan:
    for plan in plans:
        if plan.device_bytes <= hardware.device_free and plan.ram_bytes <= hardware.ram_free:
            if hardware.device == "cpu":
                return plan
            return replace(plan, room_bytes=hardware.device_free - (plan.device_bytes - work))
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


@dataclass(frozen=True)
class _Way:
    """`encoders` is the number type of text encoders that can be made smaller; None: the plain one."""

    precision: Precision
    offload: Offload
    encoders: Precision | None = None


def _ways(wish: str, gguf: bool, cpu: bool, dtype: torch.dtype, encoders: bool) -> list[_Way]:
    """From the most exact way to the smallest; `encoders`: there are text encoders that can be made smaller."""
    if wish not in PRECISIONS:
        raise BadInput("precision_unknown", precision=wish, known=list(PRECISIONS))
    whole: tuple[Offload, ...] = ("none",) if cpu else ("none", "model")
    if gguf:
        if wish not in ("auto", "gguf"):
            raise BadInput("precision_of_gguf", precision=wish)
        _need_package("gguf")
        kinds: tuple[Precision | None, ...] = (None, "fp8") if encoders else (None,)
        return [_Way("gguf", offload, kind) for kind in kinds for offload in whole]
    if wish == "gguf":
        raise BadInput("precision_gguf_without_file")
    plain = _PLAIN[dtype]
    if wish == "auto":
        small: list[Precision] = ["nf4"] if _installed("nf4") and not cpu else []
        ways = [_Way(kind, offload, kind) for kind in (plain, "fp8", *small) for offload in whole]
        return ways if cpu else [*ways, _Way("fp8", "group", "fp8"), _Way(plain, "group")]
    _need_package(wish)
    if wish == "nf4" and cpu:
        raise BadInput("precision_needs_gpu", precision=wish)
    precision: Precision = wish  # type: ignore[assignment]
    by_block: tuple[Offload, ...] = () if cpu or wish in ("int8", "nf4") else ("group",)
    return [_Way(precision, offload, precision) for offload in (*whole, *by_block)]


def _plan(
    parts: Sequence[Part], headers: Mapping[str, Sequence[Header]], way: _Way, dtype: torch.dtype, work: float,
    cpu: bool,
) -> LoadPlan:  # fmt: skip
    compute = _DTYPES.get(way.precision, torch.bfloat16 if way.precision == "int8" else dtype)
    planned = {part.name: _plan_part(part, headers[part.name], way, compute) for part in parts}
    sizes = {name: each.bytes for name, each in planned.items()}
    total, largest = sum(sizes.values()), max(sizes.values())
    # fp8 is cast from the plain weights once these are in memory, part after part
    cast = {
        name: part_bytes(headers[name], _PLAIN[compute], compute.itemsize, "") - each.bytes
        for name, each in planned.items()
        if each.precision == "fp8"
    }
    loading = total + max(cast.values(), default=0.0)

    def plan(device: float, ram: float) -> LoadPlan:
        return LoadPlan(way.precision, compute, way.offload, device, ram, planned)

    if cpu:
        return plan(*(max(total + work, loading),) * 2)
    if way.offload == "none":
        first = cast.pop("transformer", 0.0) + sizes["transformer"]  # it is on the device before the others are read
        return plan(total + work, max(first, total - sizes["transformer"] + max(cast.values(), default=0.0)))
    if way.offload == "model":
        return plan(largest + work, loading)
    stays = sum(each.bytes for each in planned.values() if each.offload == "none")
    blocks = max(part.group_share * sizes[part.name] for part in parts if part.is_large)
    return plan(stays + blocks + work, loading)


def _plan_part(part: Part, header: Sequence[Header], way: _Way, compute: torch.dtype) -> PartPlan:
    plain = _PLAIN[compute]
    wanted = way.encoders or plain if part.is_text_encoder else way.precision
    precision = wanted if part.is_quantised else plain
    size = part_bytes(header, precision, compute.itemsize, part.uncast)
    by_block = way.offload == "group" and part.is_large  # small parts stay on the device
    return PartPlan(precision, size, way.offload if by_block or way.offload == "model" else "none")


def _installed(precision: str) -> bool:
    return find_spec(_PACKAGES[precision]) is not None


def _need_package(precision: str) -> None:
    if precision in _PACKAGES and not _installed(precision):
        package = _PACKAGES[precision]
        raise ModelMissing("precision_package_missing", precision=precision, package=package)
