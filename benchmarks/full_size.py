"""Does it run at the real size? `python -m benchmarks.full_size --out out` (`make full-size`).

Builds FLUX.1-dev at its real dimensions with Gaussian weights (`benchmarks.full_size_models`) and runs what the studio
runs, through the same code: a fusion of six LoRAs, candidates, training steps, and nine posts with each reference. All
numbers must be finite. Pictures of such weights show nothing; seconds and memory are real. On a machine without a large
enough GPU the transformer has two double and two single blocks, and pictures are small.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from benchmarks.full_size_models import (
    DEV,
    SLICE,
    Dimensions,
    add_companion,
    add_ip_adapter,
    add_redux,
    build_backbone,
    companion_bytes,
    random_lora,
)
from personas.shots import vary_shots
from pipelines.backbones import Backbone, best_device, encode_prompt, fast_dtype
from pipelines.lora import Lora, LoraLayer, concatenate
from pipelines.models.hardware import read_hardware
from pipelines.progress import Event
from pipelines.references.fill import FillReference
from pipelines.references.ip_adapter import IpAdapterReference
from pipelines.references.landmark import Landmark
from pipelines.references.native import NativeReferences
from pipelines.references.protocol import Reference as DrawnReference
from pipelines.references.redux import ReduxReference
from pipelines.sampling.draw import draw
from pipelines.sampling.request import DrawRequest, request_from
from pipelines.training.lora import LoraTrainingConfig, TrainingExample, train_lora
from studio.application import software_versions

_WHOLE_BYTES = 45e9  # 34 GB of bf16 weights, and the largest picture's activations
_ROOMY_BYTES = 110e9  # trains at 1024² without gradient checkpointing
_DONORS, _RANK = 6, 16


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
        print(_line(row), flush=True)

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


@dataclass(frozen=True)
class Reference:
    """A way to inject a place: `build` gives the backbone what it needs, `make` the references of a post's request."""

    make: Callable[[Scene, Dimensions], tuple[DrawnReference, ...]]
    build: Callable[[Backbone, Dimensions], None] = lambda backbone, size: None
    companion: str = ""


def _landmark(scene: Scene) -> Landmark:
    return Landmark(scene.image, scene.landmark)


def _adapter(scene: Scene, size: Dimensions) -> IpAdapterReference:
    return IpAdapterReference((scene.image,), (0.7,) * size.double_blocks)


# One entry a way to inject a place; a new way is one more entry.
REFERENCES: dict[str, Reference] = {
    "no reference": Reference(lambda scene, size: ()),
    "Redux, 729 tokens": Reference(lambda scene, size: (ReduxReference(scene.image),), add_redux),
    "Redux, 81 tokens": Reference(lambda scene, size: (ReduxReference(scene.image, pool=3),)),
    "IP-Adapter in all blocks": Reference(lambda scene, size: (_adapter(scene, size),), add_ip_adapter),
    "landmark": Reference(lambda scene, size: (_landmark(scene),)),
    "landmark and Redux, 81 tokens": Reference(
        lambda scene, size: (ReduxReference(scene.image, pool=3), _landmark(scene))
    ),
    "landmark and IP-Adapter": Reference(lambda scene, size: (_adapter(scene, size), _landmark(scene))),
    "landmark by Fill": Reference(
        lambda scene, size: (FillReference(_landmark(scene)),),
        lambda backbone, size: add_companion(backbone, size, "fill"),
        "fill",
    ),
    "landmark by Fill and Redux, 81 tokens": Reference(
        lambda scene, size: (ReduxReference(scene.image, pool=3), FillReference(_landmark(scene))),
        companion="fill",
    ),
    "Kontext": Reference(
        lambda scene, size: (NativeReferences.show(scene.image, 1.0),),
        lambda backbone, size: add_companion(backbone, size, "kontext"),
        "kontext",
    ),
}


def run(size: Dimensions, work: Work, device: torch.device, dtype: torch.dtype) -> list[Row]:
    """Every phase once. Raises AssertionError or BadInput where a number is not finite."""
    meter = Meter(device)
    with meter.phase("build FLUX.1-dev"):
        backbone = build_backbone(size, device, dtype)
    files = [random_lora(backbone.transformer, _RANK, seed) for seed in range(_DONORS)]
    weights = np.random.default_rng(0).dirichlet(np.full(_DONORS, 4.0))
    with meter.phase(f"fuse {_DONORS} LoRAs of rank {_RANK}"):
        fused = concatenate(files, [float(w) for w in weights / np.linalg.norm(weights)])
    files.clear()
    assert all(layer.rank == _DONORS * _RANK for layer in fused)
    shots = vary_shots(max(work.candidates, work.posts), 1)
    prompts = [shot.prompt("young woman", "prsn") for shot in shots]
    requests = [
        request_from(backbone.spec, prompt, seed, height=work.canvas_px, width=work.canvas_px,
                     num_inference_steps=work.num_inference_steps)
        for seed, prompt in enumerate(prompts)
    ]  # fmt: skip
    stack, lora = backbone.lora_stack, Lora(fused, 0.8)
    with meter.phase("put the fused LoRA on the weights"):
        stack.set([(fused, 1.0)])
    with meter.phase("change its strength"):
        stack.set([(fused, 0.8)])
    assert all(bool(parameter.isfinite().all()) for parameter in backbone.transformer.parameters())
    with meter.phase("encode the prompts", len(prompts)):
        for prompt in prompts:
            encode_prompt(backbone, prompt)
    with meter.phase(f"{work.candidates} candidates", work.candidates):
        pictures = _draw(backbone, [replace(r, loras=(lora,)) for r in requests[: work.candidates]], work)
    stack.clear()
    del stack, fused, lora
    for px in work.training_px:
        with meter.phase(f"persona training at {px}²") as told:
            told["each"] = _train(backbone, pictures[0], prompts[0], px, work)
    scene = make_scene(work.canvas_px)
    for name, reference in REFERENCES.items():
        if reference.companion not in ("", *backbone.companions) and not _has_room(backbone):
            print(f"| {name}: left out, a second transformer has no room here | | | |", flush=True)
            continue
        reference.build(backbone, size)
        posts = [replace(request, references=reference.make(scene, size)) for request in requests[: work.posts]]
        with meter.phase(f"{work.posts} posts, {name}", work.posts):
            drawn = _draw(backbone, posts, work)
        if any(r.kind in ("inpaint", "fill") for r in posts[0].references):
            assert all(np.array_equal(p[scene.landmark], scene.image[scene.landmark]) for p in drawn)
    return meter.rows


def _has_room(backbone: Backbone) -> bool:
    """For a companion's transformer, where the one before is let go first."""
    backbone.companions.clear()
    if backbone.device.type == "cuda":
        torch.cuda.empty_cache()
    free = read_hardware(backbone.device).device_free
    return free > 1.2 * companion_bytes(backbone)


def make_scene(px: int) -> Scene:
    """Colour patches, and a landmark in the lower left quarter."""
    patches = np.random.default_rng(7).integers(0, 256, (8, 8, 3))
    image = np.kron(patches, np.ones((px // 8, px // 8, 1))).astype(np.uint8)
    landmark = np.zeros((px, px), np.bool_)
    landmark[px // 2 :, : px // 2] = True
    return Scene(image, landmark)


def _draw(backbone: Backbone, requests: list[DrawRequest], work: Work) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """`draw` itself refuses pictures that are not finite."""
    pictures = [picture for _, picture in draw(backbone, requests, work.batch_size)]
    assert all(picture.shape == (work.canvas_px, work.canvas_px, 3) and picture.std() > 0 for picture in pictures)
    return pictures


def _train(
    backbone: Backbone, picture: np.ndarray[Any, np.dtype[np.uint8]], caption: str, px: int, work: Work
) -> float:
    """Seconds of a step: the median of those between the first and the last, or the only one."""
    config = LoraTrainingConfig(
        rank=_RANK, steps=work.training_steps, batch_size=1, checkpoint_every=10**6, height=px, width=px,
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


def hardware(device: torch.device) -> str:
    """The GPU's name, or the CPU's and its cores."""
    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        return f"{facts.name}, {facts.total_memory / 1e9:.0f} GB"
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def write_report(rows: list[Row], facts: dict[str, str], out: Path) -> Path:
    """full-size.json and the table for docs/full-size.md."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "full-size.json").write_text(
        json.dumps({"facts": facts, "rows": [asdict(r) for r in rows]}, indent=1) + "\n"
    )
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    lines += ["", "| phase | seconds | each | peak GB |", "|---|---:|---:|---:|", *map(_line, rows)]
    path = out / "full-size.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _line(row: Row) -> str:
    each = "" if row.each is None else f"{row.each:.3g}"
    return f"| {row.phase} | {row.seconds:.3g} | {each} | {row.peak_gb:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--note", default="", help="What else the reader of the table should know.")
    args = parser.parse_args()
    device = best_device()
    dtype, free = fast_dtype(device), read_hardware(device).device_free
    whole = device.type == "cuda" and free >= _WHOLE_BYTES
    size, work = (DEV, Work(gradient_checkpointing=free < _ROOMY_BYTES)) if whole else (SLICE, SMALL)
    versions = software_versions()
    facts = {
        "hardware": hardware(device),
        "versions": ", ".join(
            f"{name} {versions[name]}" for name in ("python", "torch", "diffusers", "transformers", "peft")
        ),
        "date": datetime.date.today().isoformat(),
        "blocks": f"{size.double_blocks} double, {size.single_blocks} single, {size.heads * size.head_width} wide",
        "numbers": f"{str(dtype).removeprefix('torch.')}, {torch.get_num_threads()} threads",
        "pictures": f"{work.canvas_px}², {work.num_inference_steps} steps, batches of {work.batch_size}",
        "training": f"batch 1, rank {_RANK}, gradient checkpointing {'on' if work.gradient_checkpointing else 'off'}",
    } | ({"note": args.note} if args.note else {})
    print("\n".join(f"- {name}: {value}" for name, value in facts.items()), flush=True)
    print(f"The table is in {write_report(run(size, work, device, dtype), facts, args.out).resolve()}")


if __name__ == "__main__":
    main()
