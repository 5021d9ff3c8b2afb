"""Does the post show the product? Its pixels compared where it was put, or where the picture looks most like it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from personas.measures.measure import Measure
from pipelines.references.cutout import Cutout, Place, resize_cutout

if TYPE_CHECKING:
    from personas.measures.subject import Subject

__all__ = ["GOODS", "goods_shown", "goods_similarity"]

_WORK_HEIGHT = 192  # a product is searched for at this size
_PLAIN = 10.0  # levels that a product's pixels deviate by from their mean, at least, to be told from an even surface
_HEIGHTS = tuple(float(v) for v in np.geomspace(0.1, 0.9, 30))  # of the canvas, 8% apart

Rgb = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def goods_similarity(picture: Rgb, goods: Cutout, place: Place | None = None) -> float | None:
    """How much a picture uint8 [h, w, 3] shows the product, in [0, 1]; without a `place`, at its best one. None where
    a product of one colour is searched for: a white bottle is, pixel by pixel, on every white wall.

    1 - Σ|picture - product|² / Σ|m - product|² over the product's pixels, m the picture's mean colour: 1 are the
    product's exact pixels, 0 is no nearer to it than a blank wall. Where it is searched for, m is the product's own
    mean colour if that is nearer: its pattern has to be there, and not only its colour. Upright products of a tenth of
    the picture's height or more are searched for; one that is turned, hidden in part or lit otherwise counts for less.
    """
    mean = picture.reshape(-1, 3).mean(axis=0).astype(np.float32)
    if place is not None:
        from pipelines.references.goods import place_goods  # brings torch, which a page does without

        wanted = place_goods(goods, place, np.zeros_like(picture))
        product = wanted.image[wanted.mask].astype(np.float32)
        return _explained(float(((picture[wanted.mask] - product) ** 2).sum()), product, mean)
    if _pattern(goods.image[goods.mask].astype(np.float32)) < _PLAIN**2 * 3 * int(goods.mask.sum()):
        return None
    scale = _WORK_HEIGHT / picture.shape[0]
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.float32)
    return max(_best(small, goods, share, mean) for share in _HEIGHTS)


def _best(picture: Floats, goods: Cutout, share: float, mean: Floats) -> float:
    """Return the best of all places of the product at one height in the picture; 0 if there is none."""
    height = max(1, round(share * picture.shape[0]))
    width = max(1, round(goods.mask.shape[1] * height / goods.mask.shape[0]))
    if width > picture.shape[1]:
        return 0.0
    shown = resize_cutout(goods, (width, height))
    if not shown.mask.any():
        return 0.0
    product, mask = shown.image.astype(np.float32), np.repeat(shown.mask[..., None], 3, axis=2).astype(np.float32)
    errors = cv2.matchTemplate(picture, product, cv2.TM_SQDIFF, mask=mask)
    pixels = product[shown.mask]
    return _explained(float(errors.min()), pixels, min(mean, pixels.mean(axis=0), key=partial(_error_of, pixels)))


def _explained(error: float, product: Floats, colour: Floats) -> float:
    # half a grey level a value, so that a product of that colour is no 0/0
    return float(np.clip(1 - error / (_error_of(product, colour) + 0.25 * product.size), 0, 1))


def _error_of(product: Floats, colour: Floats) -> float:
    return float(((product - colour) ** 2).sum())


def _pattern(product: Floats) -> float:
    return _error_of(product, product.mean(axis=0))


def goods_shown(subject: Subject) -> float | None:
    """Return the `goods_similarity` of a post to the product that it was asked to show."""
    picture, goods = subject.picture, subject.goods
    assert picture is not None and goods is not None  # noqa: PT018
    return goods_similarity(picture, goods.cutout, goods.place)


GOODS = Measure(
    "goods", frozenset({"picture", "shot", "goods"}), goods_shown, words={"en": "goods", "zh": "商品"},
    on_posts=True, weak_below=0.6,
)  # fmt: skip
