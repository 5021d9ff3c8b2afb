"""What of a drawn picture a platform shows, and where its label stands: chosen by what is in the picture. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import get_args

import numpy as np
import numpy.typing as npt

from pipelines.shapes import Box
from studio.domain.bundle import Corner, Part
from studio.domain.platforms import Platform
from studio.export.provenance import LabelSize, label_size

__all__ = ["Content", "Framing", "choose_window", "frame_picture"]

Mask = npt.NDArray[np.bool_]
Rect = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""

_WEIGHTS: Mapping[Part, float] = {"face": 1000.0, "goods": 300.0, "landmark": 30.0, "person": 10.0}
_NOT_TO_LOSE: tuple[Part, ...] = ("face", "goods", "landmark")
_NOT_TO_COVER: tuple[Part, ...] = ("face", "goods")
_LOST_SHARE = 0.03  # a part of which more is away is said to be cut off
_CORNERS: tuple[Corner, ...] = tuple(corner for corner in get_args(Corner) if " " in corner)


@dataclass(frozen=True, eq=False)
class Content:
    """What is where in a picture of `height` × `width`: a mask bool [h, w] for each part that is in it."""

    height: int
    width: int
    masks: Mapping[Part, Mask] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width


@dataclass(frozen=True)
class Framing:
    """`window` is the part of the drawn picture that is shown, in pixels; `size` (height, width) what it is shown in,
    the strip under it not counted. `corner` is the label's ("" for none that is seen), `place` its left upper corner
    on the whole canvas. `covers` is what the label lies on all the same, `cut` what lies outside the window in part,
    `hidden` what the platform's own buttons lie over.
    """

    window: Rect
    size: tuple[int, int]
    canvas: tuple[int, int]
    corner: Corner = ""
    place: tuple[int, int] = (0, 0)
    covers: tuple[Part, ...] = ()
    cut: tuple[Part, ...] = ()
    hidden: tuple[Part, ...] = ()

    def size_of_whole(self, content: Content) -> tuple[int, int]:
        """Return the size (height, width) of the whole picture of which the window is as large as it is shown."""
        left, top, right, bottom = self.window
        scale = max(self.size[0] / (bottom - top), self.size[1] / (right - left))
        return round(content.height * scale), round(content.width * scale)

    def box(self, content: Content) -> Box:
        """Return the window in shares of the picture."""
        left, top, right, bottom = self.window
        return left / content.width, top / content.height, right / content.width, bottom / content.height


def frame_picture(content: Content, platform: Platform) -> Framing:
    """Return how a platform shows a picture.

    The window has the platform's shape and holds faces and goods where both find room. The label stands in the corner
    where it lies on nothing that matters; where there is none, on a strip below if the platform's row allows that.
    """
    canvas = (platform.height or content.height, platform.width or content.width)
    framing = _window(content, platform, canvas, canvas)
    if platform.label != "visible":
        return framing
    label = label_size(canvas, platform.language)
    placed = _corner(content, platform, framing, label)
    if not placed.covers or not platform.strip:
        return placed
    high = label.height + 2 * label.margin
    below = _window(content, platform, canvas, (canvas[0] - high, canvas[1]))
    place = canvas[1] - label.width - label.margin, canvas[0] - label.height - label.margin
    return Framing(**vars(below) | {"corner": "below", "place": place})


def choose_window(content: Content, ratio: float) -> Rect:
    """Return the largest window of this ratio (width over height) that loses least of what matters, else the middle.

    Only one side is free: the other one is as long as the picture's.
    """
    height, width = content.height, content.width
    wide, tall = min(width, max(1, round(height * ratio))), min(height, max(1, round(width / ratio)))
    if wide == width and tall == height:
        return 0, 0, width, height
    axis, length, whole = (0, wide, width) if wide < width else (1, tall, height)
    spare = whole - length
    costs = np.abs(np.arange(spare + 1) - spare / 2) / max(1, spare)  # of two as good, the one nearer to the middle
    for part, mask in content.masks.items():
        if total := int(mask.sum()):
            inside = np.concatenate([[0], np.cumsum(mask.sum(axis=axis))])
            costs = costs + _WEIGHTS[part] * (1 - (inside[length:] - inside[: spare + 1]) / total)
    start = int(np.argmin(np.round(costs, 6)))
    return (start, 0, start + length, height) if axis == 0 else (0, start, width, start + length)


def _window(content: Content, platform: Platform, canvas: tuple[int, int], size: tuple[int, int]) -> Framing:
    window = choose_window(content, size[1] / size[0])
    cut = tuple(part for part in _NOT_TO_LOSE if _share_in(content, part, window) < 1 - _LOST_SHARE)
    top = _drawn((0, 0, size[1], platform.free_top), window, size)
    bottom = _drawn((0, size[0] - platform.free_bottom, size[1], size[0]), window, size)
    hidden = tuple(
        part
        for part in _NOT_TO_COVER
        if part in content.masks
        and any(_share_in(content, part, rect) > _LOST_SHARE for rect in (top, bottom) if rect[3] > rect[1])
    )
    return Framing(window, size, canvas, cut=cut, hidden=hidden)


def _corner(content: Content, platform: Platform, framing: Framing, label: LabelSize) -> Framing:
    """The framing with the label where it does least harm; of corners as good, the lower right one is the usual."""
    height, width = framing.canvas
    right, bottom = width - label.width - label.margin, height - platform.free_bottom - label.height - label.margin
    left, top = label.margin, platform.free_top + label.margin
    places = {corner: (left if "left" in corner else right, top if "top" in corner else bottom) for corner in _CORNERS}

    def harm(corner: Corner) -> tuple[object, ...]:
        under = {part: _covered(content, framing, label, places[corner], part) for part in _WEIGHTS}
        # in steps of a twentieth (0 is one), so that a hair of a face does not outweigh all of the goods
        face, goods = ceil(20 * under["face"]), ceil(20 * under["goods"])
        return face, goods, round(under["landmark"], 1), round(under["person"], 1), _CORNERS.index(corner)

    best = min(_CORNERS, key=harm)
    covers = tuple(p for p in _NOT_TO_COVER if _covered(content, framing, label, places[best], p) > 0)
    return Framing(**vars(framing) | {"corner": best, "place": places[best], "covers": covers})


def _covered(content: Content, framing: Framing, label: LabelSize, place: tuple[int, int], part: Part) -> float:
    """The share of the label's ground that lies on a part."""
    mask = content.masks.get(part)
    if mask is None:
        return 0.0
    rect = (place[0], place[1], place[0] + label.width, place[1] + label.height)
    left, top, right, bottom = _drawn(rect, framing.window, framing.size)
    # a pixel more on each side: an enlarged picture is smoothed over its neighbours
    return float(mask[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1].mean())


def _drawn(rect: Rect, window: Rect, size: tuple[int, int]) -> Rect:
    """A rectangle of the canvas in pixels of the drawn picture, rounded outwards."""
    scale_x, scale_y = (window[2] - window[0]) / size[1], (window[3] - window[1]) / size[0]
    return (
        window[0] + int(rect[0] * scale_x), window[1] + int(rect[1] * scale_y),
        window[0] - int(-rect[2] * scale_x // 1), window[1] - int(-rect[3] * scale_y // 1),
    )  # fmt: skip


def _share_in(content: Content, part: Part, rect: Rect) -> float:
    """How much of a part lies in the rectangle; all of one that is not there."""
    mask = content.masks.get(part)
    total = 0 if mask is None else int(mask.sum())
    if mask is None or not total:
        return 1.0
    left, top, right, bottom = rect
    return float(mask[top:bottom, left:right].sum()) / total
