"""Buckets: pictures of many areas and aspects in one training, none enlarged, each batch of one size.

A bucket is a size whose sides are whole tokens. A picture enters every area that it is large enough for, in the shape
nearest its own, by a window that holds what must not be cut off. All is planned from sizes and boxes alone, before
anything is encoded, so that it can be shown first. (The peers: kohya-ss/sd-scripts `library/model_util.py`, NVIDIA's
aspect ratio bucketing of NovelAI; SimpleTuner and ai-toolkit repeat the set at several areas.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "Box", "Bucket", "BucketPlan", "Frame", "Measured", "Placement", "batch_of", "bucket_areas", "bucket_shapes",
    "crop_window", "histogram", "plan_buckets", "turns_of_buckets",
]  # fmt: skip

Size = tuple[int, int]
Box = tuple[int, int, int, int]

_NARROWEST = 0.5  # of a shape's shorter side to its longer one
_LEAST_FILLED = 0.85  # of its area that a shape has
_ENLARGED = 1.1  # a picture may be shown at so many times its own area: under 5% a side
_SIDE = math.sqrt(_ENLARGED)
_CROPPED = 0.08  # of a side, at most, where a shape so near is found
_JOINED = 0.2  # of a side, at most, where a bucket of too few pictures joins another
_MINIATURE_TOKENS = (36, 48, 64, 80)
_SIDES = (512, 768, 1024)  # px of the areas' squares
_COARSE = 16  # steps a side of an area's square: sizes between would only make buckets smaller


@dataclass(frozen=True)
class Measured:
    """A picture before it is placed: height and width in pixels, and boxes in them that no crop may cut."""

    height: int
    width: int
    keep: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Frame:
    """How a picture of `height` x `width` px is shown in a bucket: the `window` (x0, y0, x1, y1) of it, resized.

    `cropped` is the largest share of a side that the window leaves out; `whole` is False where no window of any shape
    held all that must be kept.
    """

    height: int
    width: int
    window: Box
    cropped: float
    whole: bool = True


@dataclass(frozen=True)
class Placement:
    """Row `row` of the pictures, as `frame` says."""

    row: int
    frame: Frame


@dataclass(frozen=True)
class Bucket:
    """All that is shown at one size; `batch` pictures fit the token budget of a step, 1 at least."""

    height: int
    width: int
    batch: int
    placements: tuple[Placement, ...]


@dataclass(frozen=True)
class BucketPlan:
    """The buckets of a training, the fullest first, and how many pictures joined another bucket than the nearest."""

    buckets: tuple[Bucket, ...]
    joined: int


def bucket_areas(token_px: int, own: Size) -> tuple[int, ...]:
    """Return the areas in px² that a family's pictures come in; `own` (height, width) is the backbone's size.

    The real families' are the squares of 512, 768 and 1024 px; the miniature's, whose tokens are 32 px, 36 to 80
    tokens. None is larger than 5/3 of the backbone's own: what a model was never taught is not learnt from a LoRA.
    """
    most = own[0] * own[1] * 5 / 3
    areas = [tokens * token_px**2 for tokens in _MINIATURE_TOKENS] if token_px == 32 else [side**2 for side in _SIDES]
    return tuple(area for area in areas if area <= most) or (own[0] * own[1],)


def bucket_shapes(token_px: int, area: int) -> tuple[Size, ...]:
    """Return the sizes (height, width) of an area in px²: for each width the tallest within it, w/h from ½ to 2.

    Sides are multiples of `token_px`, and of a sixteenth of the area's square where that is coarser.
    """
    unit = token_px * max(1, int(math.sqrt(area) / _COARSE) // token_px)
    found = []
    for width in range(unit, int(math.sqrt(area / _NARROWEST)) + 1, unit):
        height = area // width // unit * unit
        if height and _NARROWEST <= width / height <= 1 / _NARROWEST and height * width >= _LEAST_FILLED * area:
            found.append((height, width))
    return tuple(found)


def crop_window(measured: Measured, height: int, width: int) -> Box | None:
    """Return the window of a picture that fills `height` x `width`, as near its middle as its boxes allow.

    (x0, y0, x1, y1) in the picture's pixels; None where the boxes together are larger than the window.
    """
    high, wide = _window_sides(measured, height, width)
    corner = []
    for side, size, low in ((measured.width, wide, 0), (measured.height, high, 1)):
        first = min((max(0, box[low]) for box in measured.keep), default=side)
        last = max((min(side, box[low + 2]) for box in measured.keep), default=0)
        if measured.keep and last - first > size:
            return None
        start = (side - size) // 2
        if measured.keep:
            start = min(max(start, last - size), first)
        corner.append(min(max(start, 0), side - size))
    return corner[0], corner[1], corner[0] + wide, corner[1] + high


def plan_buckets(
    pictures: Sequence[Measured],
    token_px: int,
    own: Size,
    batch_size: int,
    areas: Sequence[int] = (),
    sizes: Sequence[Size] = (),
) -> BucketPlan:
    """Place pictures in buckets; none vanishes, none is enlarged by more than 5% a side.

    A step has as many tokens as `batch_size` pictures of the backbone's `own` size. `areas` in px² are the family's if
    none are given. Of a backbone that knows some `sizes` only these are used: what it was never taught costs the
    likeness (docs/measured.md); a picture that is smaller than all of them is enlarged to the nearest. A bucket with
    fewer pictures than its batch gives them to the nearest aspect that they fit.
    """
    shapes: dict[int, tuple[Size, ...]] = {}
    for size in sizes:
        shapes[size[0] * size[1]] = (*shapes.get(size[0] * size[1], ()), size)
    shapes = shapes or {area: bucket_shapes(token_px, area) for area in areas or bucket_areas(token_px, own)}
    placed: dict[Size, dict[int, Frame]] = {}
    for row, picture in enumerate(pictures):
        for frame in _frames(picture, token_px, dict(sorted(shapes.items())), known=tuple(sizes)):
            placed.setdefault((frame.height, frame.width), {})[row] = frame
    budget = batch_size * own[0] * own[1]
    joined = _join(placed, pictures, budget)
    buckets = [
        Bucket(*size, batch_of(size, budget), tuple(Placement(row, frame) for row, frame in sorted(rows.items())))
        for size, rows in placed.items()
    ]
    return BucketPlan(tuple(sorted(buckets, key=lambda b: (-len(b.placements), b.height, b.width))), joined)


def batch_of(size: Size, budget: int) -> int:
    """Return how many pictures of a size (height, width) are in a step of `budget` px², 1 at least."""
    return max(1, budget // (size[0] * size[1]))


def histogram(plan: BucketPlan) -> list[tuple[str, int, int, float]]:
    """Return for each bucket "width×height", its pictures, its batch and the share of steps that it gets."""
    total = sum(len(b.placements) for b in plan.buckets)
    return [(f"{b.width}×{b.height}", len(b.placements), b.batch, len(b.placements) / total) for b in plan.buckets]


def turns_of_buckets(counts: Sequence[int], steps: int, seed: int) -> npt.NDArray[np.int64]:
    """Return which bucket each step is of, [steps]: drawn by their numbers of pictures, the same for every resume."""
    edges = np.cumsum(np.asarray(counts, np.float64)) / sum(counts)
    drawn = np.random.default_rng([seed, 4]).random(steps)
    return np.minimum(np.searchsorted(edges, drawn, side="right"), len(counts) - 1).astype(np.int64)


def _frames(
    picture: Measured, token_px: int, shapes: Mapping[int, tuple[Size, ...]], known: tuple[Size, ...]
) -> list[Frame]:
    """Return the frame of each area that is not too large, once each; of a smaller picture the one it just fills."""
    room = picture.height * picture.width * _ENLARGED
    smallest = known or _smallest(picture, token_px)
    fitting = [some or smallest for area, some in shapes.items() if area <= room]
    found: dict[Size, Frame] = {}
    for some in fitting or ([] if known else [bucket_shapes(token_px, int(room / _ENLARGED)) or smallest]):
        ordered = sorted(some, key=lambda s: _error(picture, s))
        near = (f for s in ordered if _scale(picture, s) <= _SIDE and (f := _frame(picture, s)))
        if frame := next((f for f in near if f.cropped <= _CROPPED), None):
            found.setdefault((frame.height, frame.width), frame)
    return list(found.values()) or [_nearest(picture, [s for some in fitting for s in some], smallest)]


def _nearest(picture: Measured, known: Sequence[Size], smallest: tuple[Size, ...]) -> Frame:
    """Return the frame that cuts the least where all cut much: of what holds the boxes, else about their middle."""
    shapes = [shape for shape in known if _scale(picture, shape) <= _SIDE] or list(smallest)
    shapes.sort(key=lambda shape: (_error(picture, shape), -shape[0] * shape[1]))
    for shape in shapes:
        if frame := _frame(picture, shape):
            return frame
    high, wide = _window_sides(picture, *shapes[0])
    x = sum(box[0] + box[2] for box in picture.keep) / 2 / len(picture.keep)
    y = sum(box[1] + box[3] for box in picture.keep) / 2 / len(picture.keep)
    left = min(max(round(x - wide / 2), 0), picture.width - wide)
    top = min(max(round(y - high / 2), 0), picture.height - high)
    window = (left, top, left + wide, top + high)
    return Frame(*shapes[0], window, _cropped(picture, window), whole=False)


def _frame(picture: Measured, shape: Size) -> Frame | None:
    window = crop_window(picture, *shape)
    return None if window is None else Frame(*shape, window, _cropped(picture, window))


def _smallest(picture: Measured, token_px: int) -> tuple[Size, ...]:
    """The picture's own size in whole tokens, no narrower than 1:2, where all areas' shapes are larger."""
    height, width = min(picture.height, 2 * picture.width), min(picture.width, 2 * picture.height)
    return ((max(1, height // token_px) * token_px, max(1, width // token_px) * token_px),)


def _scale(picture: Measured, shape: Size) -> float:
    return max(shape[0] / picture.height, shape[1] / picture.width)


def _window_sides(picture: Measured, height: int, width: int) -> Size:
    scale = _scale(picture, (height, width))
    return min(picture.height, round(height / scale)), min(picture.width, round(width / scale))


def _cropped(picture: Measured, window: Box) -> float:
    return max(1 - (window[2] - window[0]) / picture.width, 1 - (window[3] - window[1]) / picture.height)


def _error(picture: Measured, shape: Size) -> float:
    return abs(math.log(shape[1] / shape[0]) - math.log(picture.width / picture.height))


def _join(placed: dict[Size, dict[int, Frame]], pictures: Sequence[Measured], budget: int) -> int:
    """Let buckets short of a batch join others, the emptiest first; one whose pictures fit nowhere stays."""
    joined, stays = 0, set[Size]()
    while short := [s for s, rows in placed.items() if len(rows) < batch_of(s, budget) and s not in stays]:
        size = min(short, key=lambda s: (len(placed[s]), s))
        moves = {row: _other(placed, size, row, pictures[row]) for row in placed[size]}
        if any(frame is None for frame in moves.values()):
            stays.add(size)
            continue
        for row, frame in moves.items():
            assert frame is not None
            joined += row not in placed[frame.height, frame.width]
            placed[frame.height, frame.width].setdefault(row, frame)
        del placed[size]
    return joined


def _other(placed: dict[Size, dict[int, Frame]], size: Size, row: int, picture: Measured) -> Frame | None:
    """Return how a picture is shown in the other bucket of the nearest aspect, by area the nearest of these."""
    room = picture.height * picture.width * _ENLARGED

    def distance(other: Size) -> tuple[float, float]:
        areas = other[0] * other[1] / (size[0] * size[1])
        return abs(math.log(other[1] / other[0]) - math.log(size[1] / size[0])), abs(math.log(areas))

    for other in sorted((s for s in placed if s != size and s[0] * s[1] <= room), key=distance):
        frame = _frame(picture, other)
        if frame and frame.cropped <= _JOINED and _scale(picture, other) <= _SIDE:
            return frame
    return None
