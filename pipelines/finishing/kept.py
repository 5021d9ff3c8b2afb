"""Kept pixels at the size that they have: a landmark and goods laid into the finished picture from their originals.

A drawn picture holds them at its own size, where a label's letters are a pixel high. Here the same parts are taken from
the uploads once more, in the same place. What the drawing laid over them (a person, fingers) stays over them: there the
drawn pixels are others than the original's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pipelines.pictures import fit_mask, fit_to_canvas
from pipelines.references.cutout import Cutout, Place, resize_softly
from pipelines.references.goods import box_of_goods, place_goods
from pipelines.references.landmark import Landmark, grow_mask
from pipelines.shapes import Box

__all__ = ["KeptLayer", "goods_layer", "landmark_layer", "lay_kept"]

_SAME = 3  # grey levels by which a kept pixel may differ and still be kept
_LEAST_SHOWN = 0.1

Rgb = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Share = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class KeptLayer:
    """One original at the finished size: `image` uint8 [H, W, 3], and its `share` float32 [H, W] of each pixel.

    `drawn` is the same as the drawn picture [h, w] holds it. `ends` says that there is nothing of the original beyond
    its outline, `behind` that a person may stand before it: who hides its margin hides what fades beyond it.
    """

    image: Rgb
    share: Share
    drawn: Landmark
    ends: bool = False
    behind: bool = False


def landmark_layer(
    photo: Rgb,
    mask: Mask,
    crop: Box | None,
    margin_px: float,
    drawn: tuple[int, int],
    size: tuple[int, int],
    behind: bool = False,
) -> KeptLayer | None:
    """A scene's landmark with `margin_px` drawn pixels around it; sizes are (height, width). None where nothing is left
    in the crop.
    """
    height, width = size
    small = fit_mask(mask, *drawn, crop)
    if not small.any():
        return None
    scale = height / drawn[0]
    large = fit_mask(mask, height, width, crop)
    far = cv2.distanceTransform((~large).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # the drawing meets the photo at the margin: there the one fades into the other, over two drawn pixels
    share = np.clip((margin_px + 1 - far / scale) / 2, 0, 1).astype(np.float32)
    kept = Landmark(fit_to_canvas(photo, *drawn, crop), grow_mask(small, margin_px), exact=False)
    return KeptLayer(fit_to_canvas(photo, height, width, crop), share, kept, behind=behind)


def goods_layer(goods: Cutout, place: Place, drawn: tuple[int, int], size: tuple[int, int]) -> KeptLayer:
    """Goods where they stand in the drawn picture; sizes are (height, width)."""
    left, top, wide, tall = box_of_goods(goods, place, *drawn)
    down, across = size[0] / drawn[0], size[1] / drawn[1]
    x0, y0 = round(left * across), round(top * down)
    wanted = max(1, round((left + wide) * across) - x0), max(1, round((top + tall) * down) - y0)
    colour, alpha = resize_softly(goods, wanted)
    image, share = np.zeros((*size, 3), np.uint8), np.zeros(size, np.float32)
    inside = np.s_[max(0, y0) : max(0, min(size[0], y0 + wanted[1])), max(0, x0) : max(0, min(size[1], x0 + wanted[0]))]
    part = np.s_[max(0, -y0) : max(0, -y0) + share[inside].shape[0], max(0, -x0) : max(0, -x0) + share[inside].shape[1]]
    image[inside], share[inside] = colour[part], alpha[part]
    kept = place_goods(goods, place, np.zeros((*drawn, 3), np.uint8))
    return KeptLayer(image, share, kept, ends=True)


def lay_kept(finished: Rgb, drawn: Rgb, layers: Sequence[KeptLayer]) -> Rgb:
    """Lay the layers onto the finished picture uint8 [H, W, 3] where the drawn one [h, w, 3] shows them, one after the
    other.
    """
    for layer in layers:
        hidden = _hidden(drawn, layer.drawn)
        if hidden[layer.drawn.mask].mean() > 1 - _LEAST_SHOWN:
            continue  # this picture shows nothing of it
        if layer.behind:
            nearest = ndimage.distance_transform_edt(~layer.drawn.mask, return_distances=False, return_indices=True)
            hidden = hidden[nearest[0], nearest[1]]
        height, width = finished.shape[:2]
        covered = cv2.resize(hidden.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        share = (layer.share * (1 - covered))[..., None]
        under = _without(finished, layer, covered) if layer.ends else finished
        finished = (share * layer.image + (1 - share) * under).round().astype(np.uint8)
    return finished


def _hidden(drawn: Rgb, kept: Landmark) -> Mask:
    """Where something else is seen in front of what is kept, bool [h, w]; single pixels are not."""
    off = np.abs(drawn.astype(np.int16) - kept.image).max(axis=2) > _SAME
    return cv2.medianBlur((kept.mask & off).astype(np.uint8), 3) > 0


def _without(finished: Rgb, layer: KeptLayer, covered: Share) -> Rgb:
    """The finished picture without the enlarged goods around their own sharp outline: the background is drawn up to it.

    Enlarged pixels are coarser than the outline and would stand out around it as a rim.
    """
    height, width = finished.shape[:2]
    wide = cv2.dilate(layer.drawn.mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    there = cv2.resize(wide, (width, height), interpolation=cv2.INTER_NEAREST) > 0
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    reach = 2
    window = np.s_[max(0, rows[0] - reach) : rows[-1] + 1 + reach, max(0, columns[0] - reach) : columns[-1] + 1 + reach]
    part, over = finished[window], there[window]
    if over.all():
        return finished
    nearest = ndimage.distance_transform_edt(over, return_distances=False, return_indices=True)
    rim = over & (layer.share[window] < 1) & (covered[window] == 0)
    result = finished.copy()
    result[window][rim] = part[nearest[0], nearest[1]][rim]
    return result
