"""Choosing the backbone: what each takes of this machine's memory, and whether one could be loaded at all.

Both want torch, which the pages' process never imports: it asks a process of its own (`ask_apart`).
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from pipelines.errors import BadInput, ModelMissing, NotEnoughMemory, StudioError
from studio.application import Studio
from studio.domain.choice import BackboneChoice
from studio.settings import Settings

if TYPE_CHECKING:
    from pipelines.families.spec import BackboneSpec

__all__ = ["Memory", "MemoryPlan", "ask_apart", "check_loadable", "choose_backbone", "plan_memory"]

_PLAIN = {"torch.float32": "fp32", "torch.float16": "fp16", "torch.bfloat16": "bf16"}
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class MemoryPlan:
    """What one precision takes, in bytes, on the device and of memory; `fits`: of all that this machine has."""

    precision: str
    offload: str
    device_bytes: float
    ram_bytes: float
    fits: bool
    trains: bool


@dataclass(frozen=True)
class Memory:
    """The plans of one backbone, and `automatic`: the precision that the studio would take, "" where none fits."""

    device: str
    device_bytes: float
    ram_bytes: float
    automatic: str
    plans: tuple[MemoryPlan, ...]


def plan_memory(settings: Settings, choices: Sequence[BackboneChoice]) -> dict[str, Memory]:
    """Return the memory of each backbone that can be loaded, by its name in the settings."""
    found: dict[str, Memory] = {}
    for choice in choices:
        try:
            found[choice.backbone] = _plan(settings.model_copy(update=choice.model_dump()))
        except StudioError:
            continue  # who lists it says why
    return found


def check_loadable(settings: Settings) -> None:
    """Raise BadInput, ModelMissing or NotEnoughMemory where the settings' backbone cannot be loaded on this machine."""
    from pipelines.backbones import best_device, fast_dtype, plan_backbone
    from pipelines.models.hardware import read_machine

    device = best_device()
    plan_backbone(_spec(settings), fast_dtype(device), read_machine(device), precision=settings.precision)


def choose_backbone(studio: Studio, choice: BackboneChoice, check: Callable[[Settings], None] = check_loadable) -> None:
    """Draw with this backbone from the next job on. What runs or waits goes on with the one that it was asked for with.

    Raises what `check` raises, and BadInput where the environment or an option says what is drawn with.
    """
    if studio.backbone_is_given:
        raise BadInput("backbone_is_given", backbone=studio.settings.backbone)
    check(studio.settings.model_copy(update=choice.model_dump()))
    studio.saved.choose(choice)


def ask_apart(function: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Call it in a process of its own, which ends afterwards; raises what it raises. Takes seconds."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **named).result()


def _spec(settings: Settings) -> BackboneSpec:
    from pipelines.backbones import resolve_backbone

    return resolve_backbone(settings.backbone, settings.base, settings.models)


def _plan(settings: Settings) -> Memory:
    from pipelines.backbones import best_device, fast_dtype, plan_backbone
    from pipelines.models.hardware import read_machine

    device = best_device()
    machine, dtype, spec = read_machine(device), fast_dtype(device), _spec(settings)

    def plans() -> Iterator[MemoryPlan]:
        for precision in (_PLAIN[str(dtype)], "fp8", "int8", "nf4", "gguf"):
            try:
                plan = plan_backbone(spec, dtype, machine, precision=precision)
            except NotEnoughMemory as error:
                needed = (1e9 * error.fields["device_gb"], 1e9 * error.fields["ram_gb"])
                yield MemoryPlan(precision, "none", *needed, fits=False, trains=False)
            except (BadInput, ModelMissing):
                continue  # not this number type here: another kind of file, or a package that is not installed
            else:
                yield MemoryPlan(
                    plan.precision, plan.offload, plan.device_bytes, plan.ram_bytes, fits=True, trains=plan.trains
                )

    try:
        automatic = str(plan_backbone(spec, dtype, machine).precision)
    except NotEnoughMemory:
        automatic = ""
    return Memory(machine.device, machine.device_free, machine.ram_free, automatic, tuple(plans()))
