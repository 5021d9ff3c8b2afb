"""Goods, cut out of their photo and sized; nothing here needs torch, so that a page can check an upload at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipelines.errors import BadInput

__all__ = [
    "Cutout",
    "Place",
    "cut_out",
    "find_subject",
    "fit_box",
    "on_plain",
    "reaches_edge",
    "resize_cutout",
    "resize_softly",
]

_WORK_SIDE = 512  # the outline is found at this size: GrabCut is slow, and products have no finer outlines
_BORDER = 0.02
_MIN_SHARE, _MAX_SHARE = 0.01, 0.95
_PLAIN_LEVELS, _PLAIN_SHARE = 10, 0.3  # how far a plain background's colours lie apart; how much of the edges it is
_EDGE_SHARE = 0.02

Rgb = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Share = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Cutout:
    """`image` uint8 [h, w, 3], `mask` bool [h, w] of the product, both cropped to it."""

    image: Rgb
    mask: Mask


@dataclass(frozen=True)
class Place:
    """Where a product stands: `x`, `y` its foot's middle and `height` its size, as shares of the canvas."""

    x: float
    y: float
    height: float

    def __post_init__(self) -> None:
        if not (0 <= self.x <= 1 and 0 <= self.y <= 1 and 0.02 <= self.height <= 1):
            raise BadInput("goods_place_invalid", x=self.x, y=self.y, height=self.height)


def cut_out(image: Rgb, alpha: Mask | None = None, find: Callable[[Rgb], Share] | None = None) -> Cutout:
    """The product of a photo uint8 [h, w, 3]: where `alpha` bool [h, w] says so, else what `find` finds (how much each
    pixel is of it, float32 [h, w]), else whatever is not the background.

    The background is what the photo's border is made of (GrabCut, Rother et al. 2004). Raises BadInput where no
    product is found, or nothing but product.
    """
    mask = find_subject(image, alpha, find)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return Cutout(np.ascontiguousarray(image[window]), np.ascontiguousarray(mask[window]))


def find_subject(image: Rgb, alpha: Mask | None = None, find: Callable[[Rgb], Share] | None = None) -> Mask:
    """Return where the subject of a photo is, bool [h, w], as `cut_out` finds it. Raises as it does."""
    mask = alpha
    if mask is None and find is not None:
        found = _large_parts((find(image) >= 0.5).astype(np.uint8)) > 0
        mask = found if _MIN_SHARE <= float(found.mean()) <= _MAX_SHARE else None  # it saw nothing: by colour, then
    if mask is None:
        mask = _foreground(image)
    share = float(mask.mean())
    if not _MIN_SHARE <= share <= (1.0 if alpha is not None else _MAX_SHARE):
        raise BadInput("goods_not_cut_out")
    return mask


def _foreground(image: Rgb) -> Mask:
    height, width = image.shape[:2]
    scale = min(1.0, _WORK_SIDE / max(height, width))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    h, w = small.shape[:2]
    edge = max(2, round(_BORDER * max(h, w)))
    labels = np.full((h, w), cv2.GC_BGD, np.uint8)
    labels[edge : h - edge, edge : w - edge] = cv2.GC_PR_FGD
    if small.reshape(-1, 3).std(axis=0).max() < 1:  # one colour: GrabCut's mixtures would not fit
        return np.zeros((height, width), np.bool_)
    # GrabCut starts its mixtures from OpenCV's global generator
    cv2.setRNGSeed(0)
    cv2.grabCut(small[:, :, ::-1].copy(), labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    found = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    found = _large_parts(found)
    outline, _ = cv2.findContours(found, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(found, outline, -1, 1, cv2.FILLED)  # labels and highlights inside are part of the product
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR) > 0


def _large_parts(found: Rgb) -> Rgb:
    """Return what was found without specks: those of the background are no part of the product; a second shoe is."""
    count, parts, sizes, _ = cv2.connectedComponentsWithStats(found)
    if count <= 1:
        return found
    large = 1 + np.flatnonzero(sizes[1:, cv2.CC_STAT_AREA] >= 0.1 * sizes[1:, cv2.CC_STAT_AREA].max())
    return np.isin(parts, large).astype(np.uint8)


def fit_box(goods: Cutout, box: tuple[float, float, float, float], canvas: tuple[int, int]) -> Place:
    """Where the product stands to be as large as the box (left, top, right, bottom, in shares of the canvas) lets it.

    It stands on the box's lower edge, in its middle. `canvas` is (height, width). Raises BadInput for what is no box.
    """
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise BadInput("goods_box_invalid", box=[left, top, right, bottom])
    tall, wide = goods.mask.shape
    height = min(bottom - top, (right - left) * canvas[1] * tall / wide / canvas[0])
    return Place((left + right) / 2, bottom, height)


def resize_cutout(goods: Cutout, size: tuple[int, int]) -> Cutout:
    """The product at another size (width, height) in pixels; nothing of its background comes in at the outline."""
    colour, alpha = resize_softly(goods, size)
    return Cutout(colour, alpha >= 0.5)


def resize_softly(goods: Cutout, size: tuple[int, int]) -> tuple[Rgb, npt.NDArray[np.float32]]:
    """The same with a soft outline: colours uint8 [h, w, 3] and how much of each pixel is product, float32 [h, w]."""
    shrink = cv2.INTER_AREA if size[1] < goods.mask.shape[0] else cv2.INTER_LANCZOS4
    weight = goods.mask.astype(np.float32)
    alpha = np.clip(cv2.resize(weight, size, interpolation=shrink), 0, 1)
    colour = (
        cv2.resize(goods.image * weight[..., None], size, interpolation=shrink) / np.maximum(alpha, 1e-3)[..., None]
    )
    return colour.round().clip(0, 255).astype(np.uint8), alpha


def on_plain(image: Rgb) -> Mask | None:
    """Return where the subject of a photo before one plain colour is, bool [h, w], also where it reaches the photo's
    edges; None where the edges show no such colour, or nothing is left before it.

    The background is what has that colour and hangs together with the edges.
    """
    height, width = image.shape[:2]
    edge = max(2, round(_BORDER * max(height, width)))
    at_edge = np.ones((height, width), np.bool_)
    at_edge[edge : height - edge, edge : width - edge] = False
    colours = image[at_edge].astype(np.int16)
    _, bins, counts = np.unique(colours // 16, axis=0, return_inverse=True, return_counts=True)
    plain = np.median(colours[bins.ravel() == counts.argmax()], axis=0)
    alike = (np.abs(image.astype(np.int16) - plain).max(axis=2) <= _PLAIN_LEVELS).astype(np.uint8)
    if float(alike[at_edge].mean()) < _PLAIN_SHARE:
        return None
    _, parts = cv2.connectedComponents(alike, connectivity=4)
    outside = np.isin(parts, np.unique(parts[at_edge & (alike > 0)]))
    found = _large_parts(cv2.morphologyEx((~outside).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))) > 0
    return found if _MIN_SHARE <= float(found.mean()) <= _MAX_SHARE else None


def reaches_edge(mask: Mask) -> bool:
    """Return whether what was found by colour, bool [h, w], goes on behind the edges, which it takes for background."""
    height, width = mask.shape
    first = max(2, round(_BORDER * max(height, width))) + 1 + max(height, width) // 100
    ring = np.zeros((height, width), np.bool_)
    ring[first : height - first, first : width - first] = True
    ring[first + 2 : height - first - 2, first + 2 : width - first - 2] = False
    return bool(mask[ring].mean() > _EDGE_SHARE)
