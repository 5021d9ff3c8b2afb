"""Previews, before anything is kept: recipes and how near each comes to its donors; a place at several strengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from personas.donors import Donor
from personas.fusion import fuse_donors, mix_donors
from personas.looks import LookCategory, find_category
from personas.novelty import early_ceiling
from personas.recipes import Recipe
from personas.shots import Shot
from pipelines.progress import SILENT, Progress, Stage, StageProgress, tell_steps
from pipelines.sampling.draw import draw_in_parts
from pipelines.sampling.request import identity_request, plan_batches
from studio.application import Studio
from studio.domain.design import Preview, PreviewedRecipe, PreviewRequest
from studio.domain.report import MixesShown, PicturesDrawn, StudioStage
from studio.domain.takes import Strength, Strengths, StrengthsRequest
from studio.domain.values import FileKey
from studio.library.records import content_id
from studio.workflows import Run
from studio.workflows.faces import FACE_PICTURES, donor_face, mix_face, mix_similarity, trigger_of
from studio.workflows.injections import Injections
from studio.workflows.post import draw_shots

__all__ = ["preview_recipes", "preview_strengths"]

_PREVIEW = Stage(StudioStage.PREVIEW)


def preview_recipes(studio: Studio, request: PreviewRequest, run: Run, progress: Progress = SILENT) -> Preview:
    """Draw each recipe, and measure the cosine of its mean face to each donor's as a design does before it draws its
    candidates; None where no face was found.

    Everything is drawn, and shown, before anything is measured: a person wants to see first.
    """
    rows: list[PreviewedRecipe] = []
    progress.tell(StageProgress(_PREVIEW, 0, len(request.recipes)))
    at_once = max(1, studio.settings.batch_size // len(request.seeds))
    for begin in range(0, len(request.recipes), at_once):
        some = request.recipes[begin : begin + at_once]
        drawn = run(f"draw from {begin}", partial(_draw, studio, some, request.seeds, progress))
        rows += [
            PreviewedRecipe(recipe=recipe, pictures=tuple(map(FileKey, keys)), similarity={})
            for recipe, keys in zip(some, drawn, strict=True)
        ]
        progress.tell(MixesShown(tuple(rows)))
        progress.tell(StageProgress(_PREVIEW, len(rows), len(request.recipes)))
    for number, row in enumerate(rows):
        near = run(f"near-{number}", partial(_measure, studio, row.recipe, progress))
        rows[number] = row.model_copy(update={"similarity": near})
        progress.tell(MixesShown(tuple(rows)))
    key = content_id(request.model_dump(mode="json"))
    ceiling = early_ceiling(studio.calibration)
    return Preview(id=key, ceiling=ceiling, pictures=FACE_PICTURES, recipes=tuple(rows))


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


def _draw(studio: Studio, recipes: Sequence[Recipe], seeds: Sequence[int], progress: Progress) -> list[list[str]]:
    """Draw some recipes together, each with every seed; keys of the pictures by recipe."""
    everybody = [donor for recipe in recipes for donor in _who(studio, recipe)[1]]
    requests = []
    for recipe, mix in zip(recipes, mix_donors(recipes, everybody), strict=True):
        look, donors = _who(studio, recipe)
        prompt = Shot(framing="close-up", expression="smiling").prompt(look.subject, trigger_of(donors))
        spec = studio.backbone.spec
        requests += [identity_request(spec, prompt, seed, loras=mix, mixed=True) for seed in seeds]
    keys = [""] * len(requests)
    for batch in plan_batches(requests, len(requests)):
        pictures = draw_in_parts(studio.backbone, [requests[i] for i in batch], tell_steps(progress, _PREVIEW))
        for i, picture in zip(batch, pictures, strict=True):
            keys[i] = studio.store.put_picture(picture)
    return [keys[k : k + len(seeds)] for k in range(0, len(keys), len(seeds))]


def _measure(studio: Studio, recipe: Recipe, progress: Progress) -> dict[str, float | None]:
    look, donors = _who(studio, recipe)
    own = mix_face(studio, fuse_donors(recipe, donors), donors, look, progress)
    if own is None:
        return dict.fromkeys(donor.id for donor in donors)
    return {**mix_similarity(own, {donor.id: donor_face(studio, donor, look, progress) for donor in donors})}


def _who(studio: Studio, recipe: Recipe) -> tuple[LookCategory, list[Donor]]:
    look = find_category(recipe.category)
    return look, [donor for donor in studio.donors(look.id) if donor.id in recipe.donors]
