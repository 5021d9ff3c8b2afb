"""Does it run at the real size? `python -m benchmarks.full_size --out out` (`make full-size`).

Builds FLUX.1-dev, FLUX.2-klein-4B and Z-Image at their real dimensions with Gaussian weights and runs what the studio
runs, through the same code: a fusion of LoRAs, candidates, training steps, and posts with each reference. All numbers
must be finite. Pictures of such weights show nothing; seconds and memory are real. On a machine without a large enough
GPU the transformers have fewer blocks (`benchmarks.full_size_models`, `.full_size_families`), and pictures are small.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.full_size_families import (
    KLEIN,
    KLEIN_SLICE,
    Z_IMAGE,
    Z_IMAGE_SLICE,
    Makers,
    klein_parts,
    write_folder,
    z_image_parts,
)
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
from benchmarks.full_size_phases import (
    RANK,
    SMALL,
    Meter,
    Row,
    Scene,
    Work,
    draw_pictures,
    make_scene,
    seconds_of_step,
    table_line,
)
from benchmarks.full_size_ways import run_folder
from personas.shots import vary_shots
from pipelines.backbones import Backbone, best_device, encode_prompt, fast_dtype
from pipelines.lora import Lora, concatenate
from pipelines.models.hardware import read_hardware
from pipelines.references.fill import FillReference
from pipelines.references.ip_adapter import IpAdapterReference
from pipelines.references.landmark import Landmark
from pipelines.references.native import NativeReferences
from pipelines.references.protocol import Reference as DrawnReference
from pipelines.references.redux import ReduxReference
from pipelines.sampling.request import request_from
from studio.application import software_versions

_WHOLE_BYTES = 45e9  # 34 GB of bf16 weights, and the largest picture's activations
_ROOMY_BYTES = 110e9  # trains at 1024² without gradient checkpointing
_DONORS = 6
# What a CPU does in minutes of a family: less is drawn, and text is read at a quarter of its length.
_FEW = replace(SMALL, canvas_px=128, candidates=1, posts=1, training_px=(128,), training_steps=2)
_FEW_SETTINGS = {"max_sequence_length": 128}

FLUX1 = "FLUX.1-dev"
# A model to its parts and what is said of them: whole, and where there is no large GPU.
FAMILIES: dict[str, tuple[tuple[Makers, str], tuple[Makers, str]]] = {
    "FLUX.2-klein-base-4B": (
        (klein_parts(KLEIN), "5 double, 20 single, 3072 wide; Qwen3 whole"),
        (
            klein_parts(KLEIN_SLICE),
            "1 double, 1 single, 3072 wide; Qwen3 of 27 layers, 2560 wide, a quarter of its heads and feed-forward, "
            "which reads 128 tokens",
        ),
    ),
    "Z-Image": (
        (z_image_parts(Z_IMAGE), "30 layers and 4 refiners, 3840 wide; Qwen3 whole"),
        (
            z_image_parts(Z_IMAGE_SLICE),
            "2 layers and 2 refiners, 3840 wide; Qwen3 of 3 layers, 2560 wide, which reads 128 tokens",
        ),
    ),
}


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
    files = [random_lora(backbone.model, RANK, seed) for seed in range(_DONORS)]
    weights = np.random.default_rng(0).dirichlet(np.full(_DONORS, 4.0))
    with meter.phase(f"fuse {_DONORS} LoRAs of rank {RANK}"):
        fused = concatenate(files, [float(w) for w in weights / np.linalg.norm(weights)])
    files.clear()
    assert all(layer.rank == _DONORS * RANK for layer in fused)
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
        pictures = draw_pictures(backbone, [replace(r, loras=(lora,)) for r in requests[: work.candidates]], work)
    stack.clear()
    del stack, fused, lora
    for px in work.training_px:
        with meter.phase(f"persona training at {px}²") as told:
            told["each"] = seconds_of_step(backbone, pictures[0], prompts[0], px, work)
    scene = make_scene(work.canvas_px)
    for name, reference in REFERENCES.items():
        if reference.companion not in ("", *backbone.companions) and not _has_room(backbone):
            print(f"| {name}: left out, a second transformer has no room here | | | |", flush=True)
            continue
        reference.build(backbone, size)
        posts = [replace(request, references=reference.make(scene, size)) for request in requests[: work.posts]]
        with meter.phase(f"{work.posts} posts, {name}", work.posts):
            drawn = draw_pictures(backbone, posts, work)
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


def hardware(device: torch.device) -> str:
    """The GPU's name, or the CPU's and its cores."""
    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        return f"{facts.name}, {facts.total_memory / 1e9:.0f} GB"
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def write_report(rows: list[Row], facts: dict[str, str], out: Path, name: str = "full-size") -> Path:
    """NAME.json and the table for docs/full-size.md."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps({"facts": facts, "rows": [asdict(r) for r in rows]}, indent=1) + "\n")
    lines = [f"- {name}: {value}" for name, value in facts.items()]
    lines += ["", "| phase | seconds | each | peak GB |", "|---|---:|---:|---:|", *map(table_line, rows)]
    path = out / f"{name}.md"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _flux1(out: Path, note: str, device: torch.device, dtype: torch.dtype, free: float) -> Path:
    whole = device.type == "cuda" and free >= _WHOLE_BYTES
    size, work = (DEV, Work(gradient_checkpointing=free < _ROOMY_BYTES)) if whole else (SLICE, SMALL)
    blocks = f"{size.double_blocks} double, {size.single_blocks} single, {size.heads * size.head_width} wide"
    facts = _facts(blocks, work, device, dtype, note)
    return write_report(run(size, work, device, dtype), facts, out)


def _family(model: str, out: Path, note: str, device: torch.device, dtype: torch.dtype, free: float) -> Path:
    """Write the folder, load it as any folder is, and run its phases."""
    whole = device.type == "cuda" and free >= _WHOLE_BYTES
    parts, blocks = FAMILIES[model][0 if whole else 1]
    work = Work(gradient_checkpointing=free < _ROOMY_BYTES) if whole else _FEW
    facts = _facts(blocks, work, device, dtype, note)
    meter = Meter(device)
    with tempfile.TemporaryDirectory() as scratch:
        with meter.phase(f"write {model}"):
            folder = write_folder(Path(scratch) / model, parts, device, {} if whole else _FEW_SETTINGS)
        rows = run_folder(folder, work, meter, dtype)
    return write_report(rows, facts, out, f"full-size-{model}")


def _facts(blocks: str, work: Work, device: torch.device, dtype: torch.dtype, note: str) -> dict[str, str]:
    versions = software_versions()
    facts = {
        "hardware": hardware(device),
        "versions": ", ".join(
            f"{name} {versions[name]}" for name in ("python", "torch", "diffusers", "transformers", "peft")
        ),
        "date": datetime.date.today().isoformat(),
        "blocks": blocks,
        "numbers": f"{str(dtype).removeprefix('torch.')}, {torch.get_num_threads()} threads",
        "pictures": f"{work.canvas_px}², {work.num_inference_steps} steps, batches of {work.batch_size}",
        "training": f"batch 1, rank {RANK}, gradient checkpointing {'on' if work.gradient_checkpointing else 'off'}",
    } | ({"note": note} if note else {})
    print("\n".join(f"- {name}: {value}" for name, value in facts.items()), flush=True)
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--models", nargs="+", choices=(FLUX1, *FAMILIES), default=[FLUX1, *FAMILIES])
    parser.add_argument("--note", default="", help="What else the reader of the table should know.")
    args = parser.parse_args()
    device = best_device()
    dtype, free = fast_dtype(device), read_hardware(device).device_free
    for model in args.models:
        if model == FLUX1:
            path = _flux1(args.out, args.note, device, dtype, free)
        else:
            path = _family(model, args.out, args.note, device, dtype, free)
        print(f"The table is in {path.resolve()}", flush=True)
        gc.collect()  # hooks and modules refer to each other: the next model needs the memory


if __name__ == "__main__":
    main()
