"""The main job in one go: from a look category to an exported post set."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from studio.domain.bundle import ExportRequest
from studio.domain.capabilities import usual_way
from studio.domain.design import Design, DesignRequest
from studio.domain.persona import ConsolidateRequest, Persona
from studio.domain.posts import USUAL_RETAKES, PostRequest, PostSet, plan_shots
from studio.export.manifest import Manifest, read_manifest
from studio.jobs.exports import keep_exported
from studio.jobs.open_studio import OpenStudio
from studio.library.scenes import add_scene

if TYPE_CHECKING:
    from studio.jobs.engine import Engine

__all__ = ["MainJob", "MainJobRequest", "run_main_job"]


@dataclass(frozen=True)
class MainJobRequest:
    """`photo` is any picture file of a place, `mask` an optional picture whose white part is its landmark.

    `steps` and `rounds` are those of `ConsolidateRequest`.
    """

    category: str
    seed: int
    photo: Path
    mask: Path | None
    bundle: Path
    name: str = "demo"
    platform: str = "xiaohongshu"
    posts: int = 9
    candidates: int = 48
    steps: int = 0
    rounds: int = 1


@dataclass(frozen=True, eq=False)
class MainJob:
    """Results of the stages, and how long it took in seconds."""

    design: Design
    persona: Persona
    post_set: PostSet
    manifest: Manifest
    bundle: Path
    seconds: dict[str, float]


def run_main_job(engine: Engine | OpenStudio, request: MainJobRequest) -> MainJob:
    """Every stage is a durable job: started again after a crash, it goes on where it was."""
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal clock
        seconds[stage] = time.perf_counter() - clock
        clock = time.perf_counter()

    owner = engine.studio.settings.owner
    wish = DesignRequest.make(category=request.category, seed=request.seed, owner=owner, candidates=request.candidates)
    design = engine.run(wish, Design)
    lap("design")
    training = ConsolidateRequest.make(
        design=design, name=request.name, seed=request.seed, owner=owner, steps=request.steps, rounds=request.rounds
    )
    persona = engine.run(training, Persona)
    lap("consolidate")
    scene = add_scene(engine.studio.library, request.photo, request.mask, request.photo.stem, owner)
    shots = plan_shots(request.posts, request.seed)
    way = usual_way(engine.studio.settings)
    asked = PostRequest.make(
        persona=persona, scene=scene, shots=shots, seed=request.seed, owner=owner, retakes=USUAL_RETAKES, **way
    )
    post_set = engine.run(asked, PostSet)
    lap("posts")
    export = ExportRequest.make(owner=owner, post_set=post_set, platform=request.platform)
    bundle = keep_exported(engine, export, request.bundle)
    lap("bundle")
    return MainJob(design, persona, post_set, read_manifest(bundle), bundle.resolve(), seconds)
