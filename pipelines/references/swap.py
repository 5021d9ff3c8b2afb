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

__all__ = ["FaceRegion", "face_region", "paste_face", "swap_landmark"]

_FACE_HEIGHT = 0.42  # of the canvas, as in a close-up portrait
_FACE_CENTRE = (0.5, 0.46)  # x, y on the canvas
_FEATHER = 0.06  # of the face's height
_GROWN = 1.12  # the region is that much larger than the ellipse of forehead, cheeks and chin

Rgb = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FaceRegion:
    """Where a face is drawn anew. `to_canvas` float64 [2, 3] takes picture pixels (x, y) to canvas pixels.

    `alpha` float32 [h, w] of the picture's size: 1 in the region, 0 outside, a smooth edge inside of it.
    """

    to_canvas: npt.NDArray[np.float64]
    alpha: npt.NDArray[np.float32]


def face_region(
    image: Rgb,
    box: tuple[float, float, float, float],
    landmarks: npt.NDArray[np.float32],
    canvas: tuple[int, int],
    more: Mask | None = None,
) -> FaceRegion:
    """The region of the face with this box (x0, y0, x1, y1) and landmarks [5, 2] (eyes, nose, mouth's corners).

    `canvas` is (height, width); `more` bool [h, w] joins the region: the hair, for a persona with other hair. Raises
    BadInput where the landmarks are no face's or the face is under 16 pixels high.
    """
    height, width = image.shape[:2]
    if more is not None and more.shape != (height, width):
        raise BadInput(f"The hair's mask is {more.shape}, the picture {(height, width)}.", "Give one of its size.")
    points = np.asarray(landmarks, np.float64)
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    down = mouth - eyes
    tall = max(float(box[3] - box[1]), 2.2 * float(np.hypot(*down)))
    if tall < 16 or np.hypot(*down) < 2:
        raise BadInput(f"The face is only {tall:.0f} pixels high.", "Use a picture in which the face is larger.")
    # The roll comes from both eyes and mouth: in a profile the eyes nearly coincide.
    across = points[1] - points[0]
    sideways = np.array([down[1], -down[0]])  # what points right when `down` points down
    direction = across / max(np.hypot(*across), 1e-6) + sideways / np.hypot(*sideways)
    angle = float(np.arctan2(direction[1], direction[0]))
    centre = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])

    scale = _FACE_HEIGHT * canvas[0] / tall
    c, s = np.cos(-angle) * scale, np.sin(-angle) * scale
    rotation = np.array([[c, -s], [s, c]])
    target = np.array([_FACE_CENTRE[0] * canvas[1], _FACE_CENTRE[1] * canvas[0]])
    to_canvas = np.hstack([rotation, (target - rotation @ centre)[:, None]])

    half_wide, half_tall = _GROWN * max(float(box[2] - box[0]), 0.7 * tall) / 2, _GROWN * tall / 2
    window = _window(centre, max(half_wide, half_tall) + 2, (height, width), more)
    y, x = np.mgrid[window]
    u = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
    v = -(x - centre[0]) * np.sin(angle) + (y - centre[1]) * np.cos(angle)
    inside: Mask = (u / half_wide) ** 2 + (v / half_tall) ** 2 <= 1
    if more is not None:
        inside |= more[window]
    # what does not fit on the canvas cannot be drawn
    for row, limit in zip(to_canvas, (canvas[1], canvas[0]), strict=True):
        place = row[0] * x + row[1] * y + row[2]
        inside &= (place >= 1) & (place <= limit - 2)
    edge = max(2.0, _FEATHER * tall)
    t = np.clip(ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1] / edge, 0, 1)
    alpha = np.zeros((height, width), np.float32)
    alpha[window] = t * t * (3 - 2 * t)
    return FaceRegion(to_canvas, alpha)


def _window(
    centre: npt.NDArray[np.float64], reach: float, size: tuple[int, int], more: Mask | None
) -> tuple[slice, slice]:
    """A part of the picture that holds the region, so that a photo of 40 megapixels costs no more than its face."""
    first, last = np.floor(centre[::-1] - reach), np.ceil(centre[::-1] + reach)
    if more is not None and more.any():
        for axis in (0, 1):
            found = np.flatnonzero(more.any(axis=1 - axis))
            first[axis], last[axis] = min(first[axis], found[0]), max(last[axis], found[-1])
    top, left = (max(0, int(f)) for f in first)
    bottom, right = (min(n, int(v) + 1) for n, v in zip(size, last, strict=True))
    return slice(top, bottom), slice(left, right)


def swap_landmark(image: Rgb, region: FaceRegion, height: int, width: int) -> Landmark:
    """The picture on the canvas, with all but the region kept. Beyond the picture's borders it is mirrored."""
    shrink = float(np.hypot(*region.to_canvas[:, 0]))
    # bilinear sampling of a picture that shrinks much would skip pixels
    smooth = image if shrink > 0.7 else cv2.GaussianBlur(image, (0, 0), 0.4 / shrink)
    canvas = cv2.warpAffine(
        smooth, region.to_canvas, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    alpha = cv2.warpAffine(region.alpha, region.to_canvas, (width, height), flags=cv2.INTER_LINEAR)
    return Landmark(np.asarray(canvas, np.uint8), np.asarray(alpha <= 0, np.bool_))


def paste_face(image: Rgb, drawn: Rgb, region: FaceRegion) -> Rgb:
    """The picture with the drawn canvas's face; bit by bit as it was wherever alpha is 0."""
    height, width = image.shape[:2]
    # `to_canvas` is what WARP_INVERSE_MAP wants: where on the drawn canvas a pixel of the picture comes from
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    back = cv2.warpAffine(drawn, region.to_canvas, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    alpha = region.alpha[..., None].astype(np.float64)
    mixed = (alpha * back + (1 - alpha) * image).round().clip(0, 255).astype(np.uint8)
    return np.where(alpha > 0, mixed, image)
