"""More candidates like one that somebody likes, for the board of the same design."""

from __future__ import annotations

import numpy as np

from personas.fusion import fuse_donors
from pipelines.lora import Lora, check_fits
from pipelines.progress import SILENT, Progress, Stage
from studio.application import Studio
from studio.domain.design import Design
from studio.domain.measured import write_measures
from studio.domain.more import MoreCandidates, MoreRequest
from studio.domain.report import StudioStage
from studio.domain.values import FileKey
from studio.library.records import content_id
from studio.workflows import Run
from studio.workflows.candidates import draw_candidates

__all__ = ["draw_more"]


def draw_more(studio: Studio, request: MoreRequest, run: Run, progress: Progress = SILENT) -> MoreCandidates:
    """Draw and measure them; nothing is judged: the board does it with all others. Raises StudioError."""
    design, count = request.design, request.count
    donors = studio.donors(design.recipe.category)
    fused = fuse_donors(design.recipe, donors)
    family = next(donor.family for donor in donors if donor.id in design.recipe.donors)
    check_fits(fused.layers, studio.backbone.model, family=family)
    shots, prompts = [design.shots[request.number]] * count, [design.prompts[request.number]] * count
    seeds = _other_seeds(design, request)
    drawn = draw_candidates(
        studio, run, Stage(StudioStage.CANDIDATES), Lora(fused.layers), prompts, seeds, shots, progress
    )  # fmt: skip
    return MoreCandidates(
        id=content_id({"design": design.id, "pictures": drawn.pictures}),
        design=design.id,
        shots=drawn.shots,
        prompts=drawn.prompts,
        seeds=drawn.seeds,
        pictures=tuple(map(FileKey, drawn.pictures)),
        measures=studio.store.put_json(write_measures(drawn.measures)),
    )


def _other_seeds(design: Design, request: MoreRequest) -> list[int]:
    """Return seeds that no candidate of the design has, and that another request's seed does not give."""
    rng = np.random.default_rng([request.seed, request.number, 3])
    seeds: list[int] = []
    while len(seeds) < request.count:
        seed = int(rng.integers(0, 2**32))
        if seed not in design.seeds and seed not in seeds:
            seeds.append(seed)
    return seeds
