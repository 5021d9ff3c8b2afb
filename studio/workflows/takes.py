"""New takes of one post of a set: the same shot drawn again, or a painted region of it drawn anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.errors import BadInput
from pipelines.families.companions import drawing_spec
from pipelines.masks import check_mask_size
from pipelines.pictures import fit_mask
from pipelines.progress import SILENT, Progress, Stage, StageProgress, tell_steps
from pipelines.references.landmark import Landmark
from pipelines.references.layers import KeptLayers, front_of
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from
from studio.application import Studio
from studio.domain.posts import DrawnShot, Fix, PostRequest
from studio.domain.report import StudioStage
from studio.domain.takes import FixRequest, FixTake, VaryRequest, VaryTake
from studio.domain.values import FileKey
from studio.export.bundle import pixels_sha256
from studio.library.records import content_id
from studio.library.scenes import get_mask
from studio.workflows import Run
from studio.workflows.drawing import loras_of
from studio.workflows.injections import Injections
from studio.workflows.post import draw_shots, finish_step, score_post

__all__ = ["fix_post", "fix_region", "vary_post"]

Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def vary_post(studio: Studio, request: VaryRequest, run: Run, progress: Progress = SILENT) -> VaryTake:
    """Draw and score new takes with all that the set was asked for."""
    asked = request.asked
    given = (request.given.picture, request.given.prompt) if request.given else None
    drawn = draw_shots(studio, asked, Injections(studio, asked), run, progress, given)
    post_set, number = request.post_set.id, request.number
    key = content_id({"pictures": drawn.pictures, "set": post_set, "slot": number, "seed": asked.seed})
    return VaryTake(id=key, post_set=post_set, number=number, posts=drawn.of(key), batches=drawn.batches)


def fix_post(studio: Studio, request: FixRequest, run: Run, progress: Progress = SILENT) -> FixTake:
    """Draw the painted region of a post anew. Raises what `fix_region` raises."""
    asked, post = request.asked, request.shown
    injections = Injections(studio, asked)
    progress.check_cancelled()
    stage = Stage(StudioStage.POSTS)
    progress.tell(StageProgress(stage, 0, 1))
    before = studio.store.get_picture(post.picture)
    fix = Fix(
        mask=request.mask,
        seed=request.seed,
        strength=request.strength,
        parent=pixels_sha256(before),
        reader_sha256=injections.reader_sha256 if post.layered else "",
    )

    def draw() -> str:
        on_step = tell_steps(progress, stage)
        return studio.store.put_picture(fix_region(studio, asked, injections, before, post, fix, on_step))

    picture = run("fix", draw)
    scores = run("score", lambda: score_post(studio, asked, post.shot, picture, injections))
    finished = finish_step(studio, asked, post, picture, run, "finish", injections)
    progress.tell(StageProgress(stage, 1, 1))
    fixed = post.model_copy(
        update={"picture": FileKey(picture), "scores": scores, "fixes": (*post.fixes, fix), "finished": finished}
    )
    post_set, number = request.post_set.id, request.number
    key = content_id({"picture": picture, "set": post_set, "slot": number, "fix": fix.model_dump(mode="json")})
    return FixTake(id=key, post_set=post_set, number=number, posts=(fixed,))


def fix_region(
    studio: Studio,
    asked: PostRequest,
    injections: Injections,
    before: Picture,
    post: DrawnShot,
    fix: Fix,
    on_step: Any = lambda done, total: None,
) -> Picture:
    """The picture uint8 [h, w, 3] with the region of `fix` drawn by what says who is shown and the post's own prompt.

    Outside of the region, and on a landmark's or goods' exact pixels, it stays bit by bit as it was. A fix of a layered
    post draws over them, too, and lays them in again behind the person who came out. Raises BadInput where nothing is
    left to draw.
    """
    kept = injections.landmark(post.shot)
    layers = kept if fix.reader_sha256 and isinstance(kept, KeptLayers) else None
    painted = _region(studio, before, kept, fix.mask, layers is not None)
    spec = drawing_spec(studio.backbone.spec, injections.companion)
    request = request_from(
        spec,
        post.prompt,
        fix.seed,
        num_inference_steps=post.num_inference_steps,
        distilled_guidance=post.guidance_scale,
        cfg_scale=post.true_cfg_scale,
        identity_guidance=post.identity_guidance,
        loras=loras_of(studio, asked),
        references=injections.beside(Landmark(before, ~painted), post.shot),
        height=before.shape[0],
        width=before.shape[1],
        detail=asked.detail,
        renoise=asked.renoise,
        strength=1.0 if asked.keep == "fill" else fix.strength,
    )
    (drawn,) = draw_batch(studio.backbone, [request], on_step)
    if layers is None:
        return drawn
    # around the region the goods' shadow is there already, and what is drawn goes on with it
    laid = replace(layers, shadow=False).finish(drawn)
    return np.where(painted[..., None], laid, before)


def _region(studio: Studio, before: Picture, kept: Landmark | None, key: str, layered: bool) -> Mask:
    """Return what is drawn anew, bool [h, w]: what was painted, without the kept pixels that are seen if not `layered`.

    Raises BadInput where only those were painted.
    """
    height, width = before.shape[:2]
    drawn = get_mask(studio.library, key)
    check_mask_size("", (drawn.shape[0], drawn.shape[1]), (height, width))
    painted = fit_mask(drawn, height, width)
    free = painted if kept is None else painted & (~kept.mask | front_of(before, kept.image, kept.mask))
    cell = studio.backbone.model.cell_px
    whole = free[: height // cell * cell, : width // cell * cell]
    shares = whole.reshape(height // cell, cell, width // cell, cell).mean(axis=(1, 3))
    if not (shares > 0.5).any():
        raise BadInput("painted_too_little")
    painted = painted if layered else free
    if painted.all():
        raise BadInput("painted_whole_picture")
    return painted
