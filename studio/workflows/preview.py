"""Previews, before anything is kept: recipes and how near each comes to its donors; a place at several strengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from personas.donors import Donor
from personas.fusion import fuse_donors
from personas.looks import LookCategory, find_category
from personas.recipes import Recipe
from personas.shots import Shot
from pipelines.lora import Lora, read_lora
from pipelines.progress import SILENT, Progress, Stage, StageProgress, tell_steps
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import identity_request
from studio.application import Studio
from studio.domain.design import Preview, PreviewedRecipe, PreviewRequest
from studio.domain.report import PicturesDrawn, StudioStage
from studio.domain.takes import Strength, Strengths, StrengthsRequest
from studio.domain.values import FileKey
from studio.library.records import content_id
from studio.workflows import Run, run_directly
from studio.workflows.design import mean_face, trigger_of
from studio.workflows.injections import Injections
from studio.workflows.post import draw_shots

__all__ = ["preview_recipes", "preview_strengths"]

_PREVIEW = Stage(StudioStage.PREVIEW)


def preview_recipes(studio: Studio, request: PreviewRequest, run: Run, progress: Progress = SILENT) -> Preview:
    """Draw each recipe, and measure the cosine of its face to each donor's, None where no face was found.

    Everything is drawn before anything is measured: a person wants to see first.
    """
    drawings: list[list[str]] = []
    shown: list[str] = []
    progress.tell(StageProgress(_PREVIEW, 0, len(request.recipes)))
    for number, recipe in enumerate(request.recipes):
        drawn = run(f"draw-{number}", partial(_draw, studio, recipe, request.seeds, progress))
        shown += drawn
        progress.tell(PicturesDrawn(tuple(map(FileKey, shown))))
        progress.tell(StageProgress(_PREVIEW, number + 1, len(request.recipes)))
        drawings.append(drawn)
    rows = []
    for number, (recipe, drawn) in enumerate(zip(request.recipes, drawings, strict=True)):
        near = run(f"near-{number}", partial(_measure, studio, recipe, drawn, progress))
        rows.append(PreviewedRecipe(recipe=recipe, pictures=tuple(map(FileKey, drawn)), similarity=near))
    key = content_id(request.model_dump(mode="json"))
    return Preview(id=key, ceiling=studio.calibration.novelty_ceiling, recipes=tuple(rows))


def preview_strengths(studio: Studio, request: StrengthsRequest, run: Run, progress: Progress = SILENT) -> Strengths:
    """Draw one shot and seed with the scene shown ever more strongly; its scores say what it costs the person."""
    asked = request.asked
    rows: list[Strength] = []
    for scale in request.scales:

        def named(name: str, step: Callable[[], Any], scale: float = scale) -> Any:
            return run(f"{scale:g} {name}", step)

        one = asked.model_copy(update={"scale": scale, "shots": asked.shots[:1], "panels": 1})
        (post,) = draw_shots(studio, one, Injections(studio, one), named, SILENT).posts
        progress.check_cancelled()
        rows.append(Strength(scale=scale, picture=post.picture, scores=post.scores))
        progress.tell(PicturesDrawn(tuple(row.picture for row in rows)))
        progress.tell(StageProgress(Stage(StudioStage.STRENGTHS), len(rows), len(request.scales)))
    return Strengths(id=content_id(request.model_dump(mode="json")), rows=tuple(rows))


def _draw(studio: Studio, recipe: Recipe, seeds: Sequence[int], progress: Progress) -> list[str]:
    look, donors = _who(studio, recipe)
    prompt = Shot(framing="close-up", expression="smiling").prompt(look.subject, trigger_of(donors))
    loras = (Lora(fuse_donors(recipe, donors).layers),)
    requests = [identity_request(studio.backbone.spec, prompt, seed, loras=loras) for seed in seeds]

    pictures = draw_batch(studio.backbone, requests, tell_steps(progress, _PREVIEW))
    return [studio.store.put_picture(picture) for picture in pictures]


def _measure(studio: Studio, recipe: Recipe, pictures: list[str], progress: Progress) -> dict[str, float | None]:
    look, donors = _who(studio, recipe)
    found = [f.embedding for k in pictures if (f := studio.faces.read(studio.store.get_picture(k))) is not None]
    near: dict[str, float | None] = {}
    for donor in donors:
        if donor.id not in studio.donor_faces:  # a donor's face is the same in every preview
            own = Lora(read_lora(donor.lora_path, donor.family).layers)
            face = mean_face(studio, donor.name, own, look, donor.trigger, run_directly, progress)
            studio.donor_faces[donor.id] = np.asarray(face, np.float32)
        near[donor.id] = float(np.mean([e @ studio.donor_faces[donor.id] for e in found])) if found else None
    return near


def _who(studio: Studio, recipe: Recipe) -> tuple[LookCategory, list[Donor]]:
    look = find_category(recipe.category)
    return look, [donor for donor in studio.donors(look.id) if donor.id in recipe.donors]
