"""Phases of a true-size check: what is measured, and the work that is the same whatever the model."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from pipelines.backbones import Backbone
from pipelines.lora import LoraLayer
from pipelines.progress import Event
from pipelines.sampling.draw import draw
from pipelines.sampling.request import DrawRequest
from pipelines.training.lora import LoraTrainingConfig, TrainingExample, train_lora

__all__ = [
    "RANK", "SMALL", "Meter", "Row", "Scene", "Work", "draw_pictures", "make_scene", "seconds_of_step", "table_line",
]  # fmt: skip

RANK = 16


@dataclass(frozen=True)
class Work:
    """How much is drawn and trained. Pictures are `canvas_px` squares, steps are of one picture each."""

    canvas_px: int = 1024
    num_inference_steps: int = 28
    candidates: int = 4
    posts: int = 9
    batch_size: int = 1
    training_px: tuple[int, ...] = (512, 768, 1024)
    training_steps: int = 8
    gradient_checkpointing: bool = False


SMALL = Work(canvas_px=256, num_inference_steps=2, candidates=2, training_steps=1, gradient_checkpointing=True)


@dataclass(frozen=True)
class Row:
    """`each` is what one unit (a picture, a step) took, in seconds; `peak_gb` the phase's largest memory."""

    phase: str
    seconds: float
    each: float | None
    peak_gb: float


@dataclass
class Meter:
    """Measures phases on one device; on a CPU the memory is the process's, so it holds the models, too."""

    device: torch.device
    rows: list[Row] = field(default_factory=list)

    @contextmanager
    def phase(self, name: str, units: int = 0) -> Iterator[dict[str, float]]:
        """The dictionary may be given "each" where it is not just seconds / units."""
        self._reset()
        told: dict[str, float] = {}
        begin = time.perf_counter()
        yield told
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        seconds = time.perf_counter() - begin
        row = Row(name, seconds, told.get("each", seconds / units if units else None), self._peak() / 1e9)
        self.rows.append(row)
        print(table_line(row), flush=True)

    def _reset(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
        elif Path("/proc/self/clear_refs").exists():
            Path("/proc/self/clear_refs").write_text("5")  # see proc(5): resets VmHWM

    def _peak(self) -> float:
        if self.device.type == "cuda":
            return float(torch.cuda.max_memory_allocated(self.device))
        status = Path("/proc/self/status")
        if not status.exists():
            return float(psutil.Process().memory_info().rss)
        high = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(high.split()[1]) * 1024


@dataclass(frozen=True, eq=False)
class Scene:
    """A made-up place on the canvas, uint8 [h, w, 3], and its landmark, bool [h, w]."""

    image: np.ndarray[Any, np.dtype[np.uint8]]
    landmark: np.ndarray[Any, np.dtype[np.bool_]]


def make_scene(px: int) -> Scene:
    """Colour patches, and a landmark in the lower left quarter."""
    patches = np.random.default_rng(7).integers(0, 256, (8, 8, 3))
    image = np.kron(patches, np.ones((px // 8, px // 8, 1))).astype(np.uint8)
    landmark = np.zeros((px, px), np.bool_)
    landmark[px // 2 :, : px // 2] = True
    return Scene(image, landmark)


def draw_pictures(
    backbone: Backbone, requests: Sequence[DrawRequest], work: Work
) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """`draw` itself refuses pictures that are not finite."""
    pictures = [picture for _, picture in draw(backbone, requests, work.batch_size)]
    assert all(picture.shape == (work.canvas_px, work.canvas_px, 3) and picture.std() > 0 for picture in pictures)
    return pictures


def seconds_of_step(
    backbone: Backbone, picture: np.ndarray[Any, np.dtype[np.uint8]], caption: str, px: int, work: Work
) -> float:
    """Train a LoRA; return the seconds of a step: the median between the first and the last, or the only one."""
    config = LoraTrainingConfig(
        rank=RANK, steps=work.training_steps, batch_size=1, checkpoint_every=10**6, height=px, width=px,
        gradient_checkpointing=work.gradient_checkpointing,
    )  # fmt: skip
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        trained = train_lora(backbone, [TrainingExample(picture, caption)], config, Path(folder), clock)
    assert all(map(math.isfinite, trained.losses))
    layers: tuple[LoraLayer, ...] = trained.layers
    assert all(bool(layer.up.isfinite().all() and layer.down.isfinite().all()) for layer in layers)
    assert any(bool(layer.up.any()) for layer in layers)  # it starts at zero, so something was learnt
    steps = np.diff(clock.times)
    # the first step also makes the adapter and warms kernels up, the last also writes the checkpoint
    return float(np.median(steps[1:-1] if len(steps) > 2 else steps))


class _Clock:
    """When the latents were ready, and every step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def tell(self, event: Event) -> None:
        self.times.append(time.perf_counter())

    def check_cancelled(self) -> None:
        return


def table_line(row: Row) -> str:
    each = "" if row.each is None else f"{row.each:.3g}"
    return f"| {row.phase} | {row.seconds:.3g} | {each} | {row.peak_gb:.1f} |"
