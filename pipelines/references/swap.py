"""Face swap: the face region of an existing picture is drawn anew with a LoRA; everything outside stays as it was.

The face is first laid upright and in a portrait's place on the canvas (a similarity transform of its five landmarks),
because that is how a face LoRA draws best. There only its region is repainted, from the picture's own noised latents
(SDEdit, arXiv:2108.01073), so that pose, light and neck still fit. The result goes back through the inverse transform
under a feathered alpha that is 0 outside the region.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pipelines.errors import BadInput
from pipelines.references.landmark import Landmark

__all__ = [
    "FACE_HEIGHT", "FaceRegion", "canvas_in_picture", "crop_canvas", "face_region", "grow_region", "paste_face",
    "place_region", "resize_canvas", "swap_landmark", "times_enlarged", "view_head",
]  # fmt: skip

FACE_HEIGHT = 0.42
"""How high a face stands on the canvas, as a share of it: as in a close-up portrait."""
_FACE_CENTRE = (0.5, 0.46)  # x, y on the canvas
_FEATHER = 0.06  # of the face's height
_GROWN = 1.12  # the region is that much larger than the ellipse of forehead, cheeks and chin

_WIDE = 0.5  # of a face's size on the canvas, so that long hair is in sight

Rgb = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FaceRegion:
    """Where a face is drawn anew. `to_canvas` float64 [2, 3] takes picture pixels (x, y) to canvas pixels.

    `alpha` float32 [h, w] of the picture's size: 1 in the region, 0 outside, with a smooth edge `edge_px` wide.
    """

    to_canvas: npt.NDArray[np.float64]
    alpha: npt.NDArray[np.float32]
    edge_px: float


def face_region(
    size: tuple[int, int],
    box: tuple[float, float, float, float],
    landmarks: npt.NDArray[np.float32],
    canvas: tuple[int, int],
    height_share: float = FACE_HEIGHT,
) -> FaceRegion:
    """The region of the face with this box (x0, y0, x1, y1) and landmarks [5, 2] (eyes, nose, mouth's corners).

    `size` of the picture and `canvas` are (height, width); the face takes `height_share` of the canvas's height. Raises
    BadInput where the landmarks are no face's or the face is under 16 pixels high.
    """
    points = np.asarray(landmarks, np.float64)
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    down = mouth - eyes
    tall = max(float(box[3] - box[1]), 2.2 * float(np.hypot(*down)))
    if tall < 16 or np.hypot(*down) < 2:
        raise BadInput("face_too_small", height=tall)
    # The roll comes from both eyes and mouth: in a profile the eyes nearly coincide.
    across = points[1] - points[0]
    sideways = np.array([down[1], -down[0]])  # what points right when `down` points down
    direction = across / max(np.hypot(*across), 1e-6) + sideways / np.hypot(*sideways)
    angle = float(np.arctan2(direction[1], direction[0]))
    centre = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])

    scale = height_share * canvas[0] / tall
    c, s = np.cos(-angle) * scale, np.sin(-angle) * scale
    rotation = np.array([[c, -s], [s, c]])
    target = np.array([_FACE_CENTRE[0] * canvas[1], _FACE_CENTRE[1] * canvas[0]])
    to_canvas = np.hstack([rotation, (target - rotation @ centre)[:, None]])

    half_wide, half_tall = _GROWN * max(float(box[2] - box[0]), 0.7 * tall) / 2, _GROWN * tall / 2
    reach = max(half_wide, half_tall) + 2
    top, left = (max(0, int(v)) for v in centre[::-1] - reach)
    window = slice(top, min(size[0], int(centre[1] + reach))), slice(left, min(size[1], int(centre[0] + reach)))
    y, x = np.mgrid[window]
    u = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
    v = -(x - centre[0]) * np.sin(angle) + (y - centre[1]) * np.cos(angle)
    inside = np.zeros(size, np.bool_)
    inside[window] = (u / half_wide) ** 2 + (v / half_tall) ** 2 <= 1
    edge = max(2.0, _FEATHER * tall)
    return FaceRegion(to_canvas, _feather(inside, edge), edge)


def grow_region(region: FaceRegion, more: Mask) -> FaceRegion:
    """The region joined by `more` bool [H, W] on the canvas: the hair, for a persona with other hair.

    The smooth edge lies around it, not on it, or a rim of the old hair would be left.
    """
    height, width = region.alpha.shape
    grown = cv2.warpAffine(
        more.astype(np.float32), region.to_canvas, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    hair = grown >= 0.5
    near = ndimage.distance_transform_edt(~hair) <= region.edge_px if hair.any() else hair
    inside = (region.alpha > 0) | near
    return FaceRegion(region.to_canvas, _feather(inside, region.edge_px), region.edge_px)


def _feather(inside: Mask, edge: float) -> npt.NDArray[np.float32]:
    """0 outside, smoothly up to 1 at `edge` pixels inside; not from the picture's own borders, where nothing ends."""
    alpha = np.zeros(inside.shape, np.float32)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return alpha
    # a photo of 40 megapixels should cost no more than its face
    window = tuple(slice(max(0, f[0] - 1), f[-1] + 2) for f in (rows, columns))
    t = np.clip(ndimage.distance_transform_edt(inside[window]) / edge, 0, 1)
    alpha[window] = t * t * (3 - 2 * t)
    return alpha


def times_enlarged(region: FaceRegion) -> float:
    """Return how many times as large as on the canvas the face is in the picture."""
    return 1 / float(np.hypot(*region.to_canvas[:, 0]))


def resize_canvas(region: FaceRegion, before: tuple[int, int], after: tuple[int, int]) -> FaceRegion:
    """The region for its canvas at another size; both are (height, width)."""
    times = np.array([after[1] / before[1], after[0] / before[0]])
    to_canvas = region.to_canvas * times[:, None]
    to_canvas[:, 2] += (times - 1) / 2  # a pixel's middle is not its corner
    return FaceRegion(to_canvas, region.alpha, region.edge_px)


def crop_canvas(region: FaceRegion, canvas: Rgb, margin_px: int = 12) -> tuple[FaceRegion, Rgb]:
    """The part of the drawn canvas that is laid into the picture, with what is around it, and the region for it."""
    rows, columns = np.flatnonzero(region.alpha.any(axis=1)), np.flatnonzero(region.alpha.any(axis=0))
    if not len(rows):
        return region, canvas
    corners = np.array([(x, y, 1.0) for x in (columns[0], columns[-1]) for y in (rows[0], rows[-1])])
    there = corners @ region.to_canvas.T
    height, width = canvas.shape[:2]
    least_side = 2 * margin_px
    left, top = (
        max(0, min(int(low) - margin_px, most))
        for low, most in zip(there.min(axis=0), (width - least_side, height - least_side), strict=True)
    )
    right, bottom = (int(v) + 1 + margin_px for v in there.max(axis=0))
    to_canvas = region.to_canvas.copy()
    to_canvas[:, 2] -= left, top
    return FaceRegion(to_canvas, region.alpha, region.edge_px), canvas[top:bottom, left:right]


def canvas_in_picture(
    region: FaceRegion, canvas: tuple[int, int], size: tuple[int, int], margin_px: int
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what the canvas shows of the picture, in its pixels; sizes are (height, width)."""
    back = cv2.invertAffineTransform(region.to_canvas)
    corners = np.array([(x, y, 1.0) for x in (0, canvas[1]) for y in (0, canvas[0])]) @ back.T
    left, top = (max(0, int(v) - margin_px) for v in corners.min(axis=0))
    right, bottom = (int(v) + 1 + margin_px for v in corners.max(axis=0))
    return left, top, min(right, size[1]), min(bottom, size[0])


def place_region(region: FaceRegion, left: int, top: int, times: int, size: tuple[int, int]) -> FaceRegion:
    """The region in a part of the picture from (left, top) on, enlarged some times, to `size` (height, width)."""
    rows, columns = size[0] // times, size[1] // times
    alpha = cv2.resize(
        region.alpha[top : top + rows, left : left + columns], size[::-1], interpolation=cv2.INTER_LINEAR
    )
    to_canvas = region.to_canvas / np.array([times, times, 1.0])
    middle = (1 / times - 1) / 2  # a pixel's middle is not its corner
    to_canvas[:, 2] += region.to_canvas[:, :2] @ np.array([left + middle, top + middle])
    return FaceRegion(to_canvas, np.asarray(alpha, np.float32), region.edge_px * times)


def swap_landmark(image: Rgb, region: FaceRegion, height: int, width: int) -> Landmark:
    """The picture on the canvas, with all but the region kept. Beyond the picture's borders it is mirrored."""
    canvas = _warp(image, region.to_canvas, height, width)
    alpha = cv2.warpAffine(region.alpha, region.to_canvas, (width, height), flags=cv2.INTER_LINEAR)
    alpha[[0, -1]] = alpha[:, [0, -1]] = 0  # what reaches over the canvas's edge cannot be drawn
    return Landmark(canvas, np.asarray(alpha <= 0, np.bool_))


def paste_face(image: Rgb, drawn: Rgb, region: FaceRegion) -> Rgb:
    """The picture with the drawn canvas's face; bit by bit as it was wherever alpha is 0."""
    height, width = image.shape[:2]
    # `to_canvas` is what WARP_INVERSE_MAP wants: where on the drawn canvas a pixel of the picture comes from
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    back = cv2.warpAffine(drawn, region.to_canvas, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    alpha = region.alpha[..., None].astype(np.float64)
    mixed = (alpha * back + (1 - alpha) * image).round().clip(0, 255).astype(np.uint8)
    return np.where(alpha > 0, mixed, image)


def view_head(image: Rgb, region: FaceRegion, height: int, width: int) -> tuple[Rgb, Mask, Mask]:
    """The upright head and what is around it, [height, width, 3]; where the picture is, and where it is drawn anew
    without any of the old, both bool [height, width].
    """
    # about the canvas's middle
    middle = np.array([width / 2, height / 2])
    wide = region.to_canvas * _WIDE
    wide[:, 2] += middle * (1 - _WIDE)
    there = cv2.warpAffine(np.ones(image.shape[:2], np.float32), wide, (width, height), flags=cv2.INTER_LINEAR)
    alpha = cv2.warpAffine(region.alpha, wide, (width, height), flags=cv2.INTER_LINEAR)
    view = _warp(image, wide, height, width)
    return view, np.asarray(there > 0.99, np.bool_), np.asarray(alpha > 0.99, np.bool_)


def _warp(image: Rgb, to_view: npt.NDArray[np.float64], height: int, width: int) -> Rgb:
    """The picture in another frame; beyond its borders it is mirrored."""
    shrink = float(np.hypot(*to_view[:, 0]))
    # bilinear sampling of a picture that shrinks much would skip pixels
    smooth = image if shrink > 0.7 else cv2.GaussianBlur(image, (0, 0), 0.4 / shrink)
    flags, border = cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101
    return np.asarray(cv2.warpAffine(smooth, to_view, (width, height), flags=flags, borderMode=border), np.uint8)
