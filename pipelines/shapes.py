"""Shapes of pictures: ratios of width to height that platforms take, the canvases that are drawn in them, and crops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

__all__ = ["SHAPES", "Box", "CanvasShape", "Shape", "canvas_size", "crop_pixels", "nearest_shape", "shape_ratio"]

Shape = Literal["3:4", "4:5", "1:1", "9:16", "1.91:1"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
CanvasShape = Literal["", Shape]
"""What a picture is drawn for; "": the model's own size."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom in shares of a picture."""


def shape_ratio(shape: Shape) -> float:
    """Return width over height."""
    wide, tall = shape.split(":")
    return float(wide) / float(tall)


def nearest_shape(height: float, width: float) -> Shape:
    """Return the shape whose ratio differs least, as a factor, from that of a picture of this size."""
    return min(SHAPES, key=lambda shape: abs(math.log(width / height / shape_ratio(shape))))


def canvas_size(
    shape: CanvasShape, usual: tuple[int, int], sizes: Sequence[tuple[int, int]], unit: int
) -> tuple[int, int]:
    """Return the size (height, width) in pixels that a picture for a shape is drawn in; "" is the `usual` one.

    Of `sizes`, those that a model can draw, it is the one of which a crop to the shape leaves most. A model without
    such a list draws any: as many pixels as the usual size has, in multiples of `unit`. A size that has the shape
    already stays as it is.
    """
    if not shape or _share_left(usual, shape_ratio(shape)) > 0.99:
        return usual
    if sizes:
        return max(sizes, key=lambda size: (round(_share_left(size, shape_ratio(shape)), 6), size == usual))
    height = math.sqrt(usual[0] * usual[1] / shape_ratio(shape))
    width = height * shape_ratio(shape)
    return max(1, round(height / unit)) * unit, max(1, round(width / unit)) * unit


def crop_pixels(box: Box, height: int, width: int) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom in whole pixels of a picture of this size; at least one pixel each way."""
    left, right = _side(box[0], box[2], width)
    top, bottom = _side(box[1], box[3], height)
    return left, top, right, bottom


def _side(begin: float, end: float, length: int) -> tuple[int, int]:
    first = min(round(begin * length), length - 1)
    return first, max(first + 1, min(round(end * length), length))


def _share_left(size: tuple[int, int], ratio: float) -> float:
    own = size[1] / size[0]
    return min(own, ratio) / max(own, ratio)
