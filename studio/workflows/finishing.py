"""Finishing of posts: enlarged by the upscaler, with landmark and goods laid in from their originals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from personas.shots import Shot
from pipelines.errors import BadInput
from pipelines.finishing.finisher import Finisher, check_finished_size
from pipelines.finishing.kept import KeptLayer, goods_layer, landmark_layer, lay_kept
from pipelines.references.character import CharacterReference
from studio.application import Studio
from studio.domain.finishing import FinishedPicture, FinishedWith, finishes, shown_size, touches_up
from studio.domain.posts import DrawnShot, Post, PostRequest
from studio.domain.values import FileKey
from studio.export.provenance import encode_finished
from studio.library.scenes import get_mask
from studio.workflows.injections import LANDMARK_MARGIN_PX
from studio.workflows.shown import chosen_place, goods_cutout, stand
from studio.workflows.touch_up import FacePatch, lay_face, touch_up

__all__ = ["check_finishing", "finish_picture", "finish_post", "kept_layers", "touched_face"]

Picture = npt.NDArray[np.uint8]


def check_finishing(studio: Studio, request: PostRequest, height: int, width: int) -> Finisher | None:
    """Return what posts of this size (of the drawing, in pixels) are finished with; None where they are not.

    Raises BadInput where it is asked for and there is no upscaler, or the size is none, and what loading one raises.
    """
    if not finishes(request.finish, studio.finisher is not None, height, width):
        return None
    if studio.finisher is None:
        raise BadInput("no_upscaler", backbone=studio.settings.backbone)
    check_finished_size(*shown_size(height, width, request.finish_px))
    return studio.finisher


def finish_post(
    studio: Studio, request: PostRequest, post: DrawnShot, picture: str, character: CharacterReference | None
) -> FinishedPicture | None:
    """Store a stored post's picture as it is shown large; None where posts of this set are not finished.

    `character` says who is shown where no LoRA does.
    """
    drawn = studio.store.get_picture(picture)
    height, width = drawn.shape[:2]
    finisher = check_finishing(studio, request, height, width)
    if finisher is None:
        return None
    is_touched = touches_up(request.touch_up, height, width)
    face = touch_up(studio, request, post, drawn, finisher, character) if is_touched else None
    size = shown_size(height, width, request.finish_px)
    large, told = finish_picture(studio, finisher, request, post, drawn, size, face)
    kept = FileKey(studio.store.put(encode_finished(Image.fromarray(large), picture)))
    face_picture = None if face is None else FileKey(studio.store.put_picture(face.canvas))
    return FinishedPicture(**told.model_dump(), picture=kept, face_picture=face_picture)


def touched_face(studio: Studio, post: Post) -> FacePatch | None:
    """Return the face of a finished post that was drawn once more, from the store; None where it is as drawn."""
    kept = post.finished
    if kept is None or kept.face is None or kept.face_picture is None:
        return None
    return FacePatch(kept.face, studio.store.get_picture(kept.face_picture))


def finish_picture(
    studio: Studio,
    finisher: Finisher,
    request: PostRequest,
    post: DrawnShot,
    drawn: Picture,
    size: tuple[int, int],
    face: FacePatch | None,
) -> tuple[Picture, FinishedWith]:
    """Return a post's picture uint8 [h, w, 3] at this size (height, width), and what made it."""
    large = finisher.finish(drawn, *size)
    large = large if face is None else lay_face(finisher, large, face)
    large = lay_kept(large, drawn, kept_layers(studio, request, post.shot, post.layered, drawn, size))
    told = FinishedWith(
        upscaler=finisher.name,
        sha256=finisher.sha256,
        scale=finisher.scale,
        height=size[0],
        width=size[1],
        face=None if face is None else face.told,
    )
    return large, told


def kept_layers(
    studio: Studio, request: PostRequest, shot: Shot, layered: bool, drawn: Picture, size: tuple[int, int]
) -> list[KeptLayer]:
    """Return the originals whose pixels a post keeps, back to front, at this size."""
    layers, small = list[KeptLayer](), (drawn.shape[0], drawn.shape[1])
    scene = request.scene
    if scene.landmark is not None and request.keep_landmark:
        photo, mask = studio.store.get_picture(scene.photo), get_mask(studio.library, scene.landmark)
        layer = landmark_layer(photo, mask, scene.crop_for(*small), LANDMARK_MARGIN_PX, small, size, layered)
        layers += [] if layer is None else [layer]
    if request.goods is not None and request.goods_as != "reference":
        goods = goods_cutout(studio, request.goods)
        layers.append(goods_layer(goods, stand(chosen_place(request, goods, small), shot), small, size))
    return layers
