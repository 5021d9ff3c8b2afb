"""What is where in a drawn post: faces as found, goods and landmark where they were put, the person as read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from personas.measures.regions import LABELS, Regions
from personas.shots import Shot
from pipelines.pictures import fit_mask
from pipelines.references.cutout import Cutout, Place, fit_box
from pipelines.references.goods import place_goods
from studio.application import Studio
from studio.domain.bundle import Part
from studio.domain.posts import PostRequest
from studio.domain.scene import Goods
from studio.library.scenes import get_mask

__all__ = ["chosen_place", "goods_cutout", "parts_of", "stand"]

Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_PLACES = {"close-up": Place(0.8, 1.0, 0.3), "half-body": Place(0.82, 1.0, 0.28), "full-body": Place(0.84, 0.97, 0.16)}


def goods_cutout(studio: Studio, goods: Goods) -> Cutout:
    """Return a set's product as it was cut out."""
    return Cutout(studio.store.get_picture(goods.picture), get_mask(studio.library, goods.mask))


def chosen_place(request: PostRequest, goods: Cutout, size: tuple[int, int]) -> Place | None:
    """Return where the product stands in all pictures of this size (height, width); None: each shot's framing says."""
    if request.goods_box is not None:
        return fit_box(goods, request.goods_box, size)
    return None if request.goods is None else request.goods.place


def stand(place: Place | None, shot: Shot) -> Place:
    """Return where the product stands in a shot."""
    return place or _PLACES[shot.framing]


def parts_of(studio: Studio, request: PostRequest, shot: Shot, picture: Picture) -> dict[Part, Mask]:
    """Return a mask bool [h, w] of every part that is in the picture uint8 [h, w, 3] of a set."""
    (regions,) = studio.regions.read([picture])
    found: Mapping[Part, Mask] = {
        "face": _faces(studio, picture, regions),
        "goods": _goods(studio, request, shot, picture, regions),
        "landmark": _landmark(studio, request, picture),
        "person": regions.person,
    }
    return {part: mask for part, mask in found.items() if mask.any()}


def _faces(studio: Studio, picture: Picture, regions: Regions) -> Mask:
    height, width = picture.shape[:2]
    mask = regions.labels == LABELS.index("face")
    for face in studio.faces.faces(picture):
        left, top, right, bottom = (round(side) for side in face.box)
        mask[max(0, top) : min(height, bottom), max(0, left) : min(width, right)] = True
    return mask


def _goods(studio: Studio, request: PostRequest, shot: Shot, picture: Picture, regions: Regions) -> Mask:
    """What the person holds, and the product where its pixels were put."""
    mask = regions.labels == LABELS.index("goods")
    if request.goods is not None and request.goods_as != "reference":
        goods = goods_cutout(studio, request.goods)
        place = stand(chosen_place(request, goods, (picture.shape[0], picture.shape[1])), shot)
        mask = mask | place_goods(goods, place, picture).mask
    return mask


def _landmark(studio: Studio, request: PostRequest, picture: Picture) -> Mask:
    height, width = picture.shape[:2]
    if request.scene.landmark is None or not request.keep_landmark:
        return np.zeros((height, width), np.bool_)
    mask = get_mask(studio.library, request.scene.landmark)
    return fit_mask(mask, height, width, request.scene.crop_for(height, width))
