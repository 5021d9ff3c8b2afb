"""Goods: a cut-out product is placed on the canvas, and its pixels are kept exactly, as a landmark's are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipelines.errors import BadInput
from pipelines.references.cutout import Cutout, Place, resize_cutout, resize_softly
from pipelines.references.landmark import Landmark
from pipelines.references.layers import GoodsPixels

__all__ = ["box_of_goods", "goods_pixels", "place_goods"]

Rgb = npt.NDArray[np.uint8]


def box_of_goods(goods: Cutout, place: Place, height: int, width: int) -> tuple[int, int, int, int]:
    """Return left, top, width and height of the product in pixels of a canvas; it may reach over the canvas's edge."""
    scale = place.height * height / goods.mask.shape[0]
    wide, tall = max(1, round(goods.mask.shape[1] * scale)), max(1, round(place.height * height))
    return round(place.x * width - wide / 2), round(place.y * height) - tall, wide, tall


def place_goods(goods: Cutout, place: Place, canvas: Rgb, landmark: Landmark | None = None) -> Landmark:
    """The canvas uint8 [h, w, 3] with the product on it, kept together with a landmark that was there before.

    What reaches over the canvas's edge is cut off. Raises BadInput where nothing of it is left.
    """
    height, width = canvas.shape[:2]
    left, top, *wanted = box_of_goods(goods, place, height, width)
    size = wanted[0], wanted[1]
    sized = resize_cutout(goods, size)
    y0, y1, x0, x1 = max(0, top), min(height, top + size[1]), max(0, left), min(width, left + size[0])
    inside = (slice(y0, y1), slice(x0, x1))
    part = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    shown = sized.mask[part] if y1 > y0 and x1 > x0 else np.zeros((0, 0), np.bool_)
    if not shown.any():
        raise BadInput("goods_outside")
    image = canvas.copy() if landmark is None else landmark.image.copy()
    mask = np.zeros((height, width), np.bool_) if landmark is None else landmark.mask.copy()
    image[inside][shown] = sized.image[part][shown]
    mask[inside] |= shown
    return Landmark(image, mask)


def goods_pixels(goods: Cutout, place: Place, size: tuple[int, int]) -> GoodsPixels:
    """The product where it stands on a canvas of `size` (height, width), with a soft outline.

    What reaches over the canvas's edge is cut off.
    """
    left, top, wide, tall = box_of_goods(goods, place, *size)
    colour, alpha = resize_softly(goods, (wide, tall))
    image, share = np.zeros((*size, 3), np.uint8), np.zeros(size, np.float32)
    inside = np.s_[max(0, top) : max(0, min(size[0], top + tall)), max(0, left) : max(0, min(size[1], left + wide))]
    part = np.s_[
        max(0, -top) : max(0, -top) + share[inside].shape[0], max(0, -left) : max(0, -left) + share[inside].shape[1]
    ]
    image[inside], share[inside] = colour[part], alpha[part]
    return GoodsPixels(image, share)
