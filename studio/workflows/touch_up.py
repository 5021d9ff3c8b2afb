"""Touching up: a small face of a finished post is drawn once more, upright and larger, from its own enlarged pixels.

A face of forty pixels is a handful of latents; on a canvas of its own it is some hundred. The window, the region and
the way back are those of a swap (`pipelines.references.swap`); here it is the same person, and little noise, so that
view and expression stay. ADetailer and FaceDetailer do the same for Stable Diffusion. What comes out is taken only
where the recogniser finds the person in it as much as before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from personas.measures.face import FaceReading
from pipelines.errors import BadInput
from pipelines.finishing.finisher import Finisher
from pipelines.references.character import CharacterReference
from pipelines.references.landmark import Landmark
from pipelines.references.swap import (
    FaceRegion,
    canvas_in_picture,
    face_region,
    place_region,
    swap_landmark,
    times_enlarged,
)
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from
from studio.application import Studio
from studio.domain.capabilities import vocabulary_of
from studio.domain.finishing import TouchedFace
from studio.domain.posts import DrawnShot, PostRequest
from studio.domain.wording import tell_shot
from studio.workflows.character import trigger_of
from studio.workflows.drawing import loras_of
from studio.workflows.swap import paste_sharp

__all__ = ["FacePatch", "draw_face", "lay_face", "touch_up"]

Picture = npt.NDArray[np.uint8]

_FACE_HEIGHT = 0.3
"""Of the canvas; measured: at a swap's 0.42 the miniature draws heads smaller than those that it is to meet."""
_STRENGTH = 0.45
_MARGIN_PX = 8
_MOST_LOST = 0.02
"""Cosine to the persona that cleaner eyes and a mouth may cost; on average it grows."""
_LEAST_LARGER = 1.25
"""How many times as large as drawn a face must come to stand on the canvas to be drawn once more."""


@dataclass(frozen=True, eq=False)
class FacePatch:
    """A face that was drawn once more: what was told of it, and the canvas uint8 [h, w, 3] that it is on."""

    told: TouchedFace
    canvas: Picture


def touch_up(
    studio: Studio,
    request: PostRequest,
    post: DrawnShot,
    drawn: Picture,
    finisher: Finisher,
    character: CharacterReference | None,
) -> FacePatch | None:
    """Draw the face of a drawn post uint8 [h, w, 3] once more.

    None where there is no face or it is large enough, where a picture alone says who is shown, where the backbone
    cannot draw around anything, and where the new face is less the persona's than the old one.
    """
    if request.person_as == "reference" or not studio.backbone.spec.can.inpaint:
        return None
    face = studio.faces.read(drawn)
    if face is None:
        return None
    told = _told(studio, request, post, face, drawn)
    try:
        larger = 1 / times_enlarged(_region(told, drawn.shape[:2], _canvas(studio)))
    except BadInput:  # a face of a few pixels, or none at all
        return None
    if larger < _LEAST_LARGER:
        return None
    around = _window(studio, drawn, finisher, told)
    patch = FacePatch(told, _draw(studio, request, post, around, character, told))
    was, now = (_likeness(studio, request, picture) for picture in (around.image, patch.canvas))
    return patch if now >= max(was - _MOST_LOST, 0.0) else None


def draw_face(
    studio: Studio,
    request: PostRequest,
    post: DrawnShot,
    drawn: Picture,
    finisher: Finisher,
    character: CharacterReference | None,
    told: TouchedFace,
) -> Picture:
    """Return the canvas uint8 [h, w, 3] on which the face of a drawn post is drawn as it is told of."""
    return _draw(studio, request, post, _window(studio, drawn, finisher, told), character, told)


def lay_face(finisher: Finisher, large: Picture, patch: FacePatch) -> Picture:
    """Return a finished picture uint8 [H, W, 3] of any size with the face that was drawn once more."""
    height, width = patch.canvas.shape[:2]
    return paste_sharp(finisher, large, patch.canvas, _region(patch.told, large.shape[:2], (height, width)))


def _told(studio: Studio, request: PostRequest, post: DrawnShot, face: FaceReading, drawn: Picture) -> TouchedFace:
    height, width = drawn.shape[:2]
    x0, y0, x1, y1 = face.box
    persona = request.persona
    close = tell_shot(replace(post.shot, framing="close-up"), vocabulary_of(studio.settings))
    return TouchedFace(
        box=(x0 / width, y0 / height, x1 / width, y1 / height),
        landmarks=tuple((float(x) / width, float(y) / height) for x, y in face.landmarks),
        prompt=close.prompt(persona.subject, trigger_of(studio, request)),
        seed=post.seed,
        strength=_STRENGTH,
    )


def _canvas(studio: Studio) -> tuple[int, int]:
    return studio.backbone.spec.height, studio.backbone.spec.width


def _window(studio: Studio, drawn: Picture, finisher: Finisher, told: TouchedFace) -> Landmark:
    """The face's surroundings, enlarged, on the canvas; all but the face is kept."""
    canvas, (height, width), times = _canvas(studio), drawn.shape[:2], finisher.scale
    region = _region(told, (height, width), canvas)
    left, top, right, bottom = canvas_in_picture(region, canvas, (height, width), _MARGIN_PX)
    part = finisher.finish(drawn[top:bottom, left:right], (bottom - top) * times, (right - left) * times)
    return swap_landmark(part, place_region(region, left, top, times, part.shape[:2]), *canvas)


def _draw(
    studio: Studio,
    request: PostRequest,
    post: DrawnShot,
    around: Landmark,
    character: CharacterReference | None,
    told: TouchedFace,
) -> Picture:
    asked = request_from(
        studio.backbone.spec,
        told.prompt,
        told.seed,
        num_inference_steps=post.num_inference_steps,
        distilled_guidance=post.guidance_scale,
        cfg_scale=post.true_cfg_scale,
        identity_guidance=post.identity_guidance,
        loras=loras_of(studio, request),
        references=(around,) if character is None else (character, around),
        strength=told.strength,
    )
    (drawn,) = draw_batch(studio.backbone, [asked])
    return drawn


def _likeness(studio: Studio, request: PostRequest, canvas: Picture) -> float:
    """Cosine of the canvas's face to the persona; -1 where there is none."""
    face = studio.faces.read(canvas)
    return -1.0 if face is None else float(face.embedding @ np.asarray(request.persona.enrolment))


def _region(told: TouchedFace, size: tuple[int, int], canvas: tuple[int, int]) -> FaceRegion:
    height, width = size
    x0, y0, x1, y1 = told.box
    points = np.asarray(told.landmarks, np.float32) * np.array([width, height], np.float32)
    return face_region(size, (x0 * width, y0 * height, x1 * width, y1 * height), points, canvas, _FACE_HEIGHT)
