"""Phases of a family whose folder is loaded as any folder is: what its model can do, the studio's way."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.full_size_models import random_lora
from benchmarks.full_size_phases import RANK, Meter, Row, Scene, Work, draw_pictures, make_scene, seconds_of_step
from personas.shots import vary_shots
from pipelines.backbones import Backbone, encode_prompt, load_backbone, resolve_backbone
from pipelines.lora import Lora, LoraLayer, LoraMetadata, check_fits, concatenate, read_lora, write_lora
from pipelines.references.landmark import Landmark
from pipelines.references.native import NativeReferences, ReferencePicture
from pipelines.references.protocol import Reference
from pipelines.sampling.request import DrawRequest, request_from

__all__ = ["run_folder"]

_DONORS = 3


def run_folder(folder: Path, work: Work, meter: Meter, dtype: torch.dtype) -> list[Row]:
    """Every phase once. Raises AssertionError or BadInput where a number is not finite or a landmark is not kept."""
    with meter.phase("load"):
        backbone = load_backbone(resolve_backbone(folder), meter.device, dtype)
    print(f"- loaded: {backbone.plan.describe()}", flush=True)
    files = [random_lora(backbone.model, RANK, seed) for seed in range(_DONORS)]
    fused = concatenate(files, [1 / _DONORS**0.5] * _DONORS)
    files.clear()
    requests = _requests(backbone, work)
    with meter.phase("put the fused LoRA on the weights"):
        backbone.lora_stack.set([(fused, 1.0)])
    backbone.lora_stack.clear()
    with meter.phase("encode the prompts", len(requests)):
        for request in requests:
            encode_prompt(backbone, request.prompt)
    with meter.phase(f"{work.candidates} candidates", work.candidates):
        with_loras = [replace(r, loras=(Lora(fused, 0.8),)) for r in requests[: work.candidates]]
        pictures = draw_pictures(backbone, with_loras, work)
    scene = make_scene(work.canvas_px)
    for name, references in _ways(backbone, scene).items():
        posts = [replace(request, references=references) for request in requests[: work.posts]]
        with meter.phase(f"{work.posts} posts, {name}", work.posts):
            drawn = draw_pictures(backbone, posts, work)
        if any(isinstance(reference, Landmark) for reference in references):
            assert all(np.array_equal(p[scene.landmark], scene.image[scene.landmark]) for p in drawn)
    for px in work.training_px:
        with meter.phase(f"persona training at {px}²") as told:
            told["each"] = seconds_of_step(backbone, pictures[0], requests[0].prompt, px, work)
    with meter.phase("save the LoRA, read it again, draw with both", 2):
        _save_and_reload(backbone, fused, requests[0], work)
    return meter.rows


def _requests(backbone: Backbone, work: Work) -> list[DrawRequest]:
    """Without CFG, as a distilled model is drawn: one pass a step."""
    count = max(work.candidates, work.posts)
    return [
        request_from(
            backbone.spec, shot.prompt("young woman", "prsn"), seed, height=work.canvas_px, width=work.canvas_px,
            num_inference_steps=work.num_inference_steps, cfg_scale=1.0,
        )
        for seed, shot in enumerate(vary_shots(count, 1))
    ]  # fmt: skip


def _ways(backbone: Backbone, scene: Scene) -> dict[str, tuple[Reference, ...]]:
    """Scene, person and goods are read by the model where it reads pictures; a landmark is kept by any."""
    landmark = Landmark(scene.image, scene.landmark)
    ways: dict[str, tuple[Reference, ...]] = {"no reference": (), "landmark": (landmark,)}
    if backbone.spec.can.references_max:
        place = ReferencePicture("scene", scene.image)
        person, goods = ReferencePicture("person", scene.image[::-1]), ReferencePicture("goods", scene.image[:, ::-1])
        ways["scene, person and goods as references"] = (NativeReferences((place, person, goods)),)
        ways["landmark, and the scene as a reference"] = (NativeReferences((place,)), landmark)
    return ways


def _save_and_reload(backbone: Backbone, layers: Sequence[LoraLayer], request: DrawRequest, work: Work) -> None:
    """Check that what was written changes the picture as what is in memory does; a file has 16 bits a number."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "persona.safetensors"
        write_lora(path, layers, LoraMetadata("Random", "prsn", family=backbone.spec.family))
        again = read_lora(path).layers
    assert check_fits(again, backbone.model).left_out == ()
    assert {layer.module for layer in again} == {layer.module for layer in layers}
    both = [replace(request, loras=(Lora(tuple(one)),)) for one in (layers, again)]
    mine, theirs = (draw_pictures(backbone, [one], work)[0].astype(int) for one in both)
    assert np.abs(mine - theirs).mean() < 1
