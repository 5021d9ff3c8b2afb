"""Explicit reference: a landmark's pixels are kept exactly, and the rest of the picture is drawn around them.

Drawing keeps the landmark's latents (`FluxInpaintPipeline`); a latent covers many pixels and the VAE loses
detail, so afterwards the real pixels are put back and the DRAWN side is bent to meet them: first by a
correction that carries the difference at the seam into the drawn side and fades (Poisson image editing, Pérez
et al. 2003, with a screening term), then, only if the seam still shows, by a feather.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg
from torch import Tensor

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.pictures import check_rgb
from pipelines.references.protocol import Conditions, Kept, Reference, Request

__all__ = [
    "SEAM_LIMIT", "Landmark", "bend_background", "check_kept", "encode_kept", "grow_mask", "keep_pixels", "kept_cells",
    "seam_ratio",
]  # fmt: skip

SEAM_LIMIT = 1.5
_AIM = 1.25  # stop a little under the limit, so that other ways to measure agree
_BAND_PX = 6
_MIN_KEPT_SHARE = 0.5
_FEATHERS_PX = (2, 3, 4, 6, 8, 12, 16, 24)

Rgb = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Landmark(Reference):
    """`image` uint8 [h, w, 3], the scene resized to the canvas; `mask` bool [h, w], True where it is kept.

    As a reference of a request it is kept by inpainting. Not `exact`: only latents are kept, and whoever asked puts the
    pixels back.
    """

    kind: ClassVar[str] = "inpaint"

    image: Rgb
    mask: Mask
    exact: bool = True

    def __post_init__(self) -> None:
        check_rgb(self.image)
        if self.mask.shape != self.image.shape[:2] or self.mask.dtype != np.bool_:
            raise BadInput("landmark_mask_size", mask=list(self.mask.shape), picture=list(self.image.shape[:2]))
        if not self.mask.any():
            raise BadInput("landmark_keeps_nothing")
        if self.mask.all() and self.exact:
            raise BadInput("landmark_keeps_everything")

    def key(self) -> Hashable:
        return ()

    @property
    def looks(self) -> bool:
        """Return whether what stands before it is looked for while it is drawn."""
        return False

    def hidden(self, picture: Rgb) -> Mask:
        """Return what of it the picture hides, bool [h, w]."""
        return np.zeros_like(self.mask)

    def check(self, request: Request) -> None:
        check_kept(self, self, request)

    def encode(self, backbone: Backbone) -> Kept:
        return encode_kept(backbone, self)

    @staticmethod
    def extend(conditions: Conditions, references: Sequence[Landmark], encoded: Sequence[Kept]) -> None:
        conditions.kept = Kept(
            torch.cat([e.pictures for e in encoded]),
            torch.cat([e.repaint for e in encoded]),
            tuple(r.hidden if r.looks else None for r in references),
        )

    def finish(self, picture: Rgb) -> Rgb:
        return keep_pixels(picture, self) if self.exact else picture


def check_kept(reference: Reference, landmark: Landmark, request: Request) -> None:
    """Raise BadInput where a landmark has another size than the request, or another reference keeps something, too."""
    if landmark.mask.shape != (request.height, request.width):
        raise BadInput(
            "landmark_of_other_size",
            landmark="×".join(map(str, landmark.mask.shape)),
            canvas=f"{request.height}×{request.width}",
        )
    if any(r.kind in ("inpaint", "fill") and r is not reference for r in request.references):
        raise BadInput("two_kept_parts")


@torch.no_grad()
def encode_kept(backbone: Backbone, landmark: Landmark) -> Kept:
    """Encode the scene (the posterior's mode, no randomness) and decide which cells are drawn, as states [1, …].

    A cell is kept if at least half of its pixels are: the rest of its pixels then come from the scene too, which keeps
    the drawn side near the seam in tune with it.
    """
    model = backbone.model
    z = model.encode_pictures(landmark.image[None])
    return Kept(model.pack(z).to(model.state_dtype), kept_cells(backbone, landmark.mask, z.shape[1]))


def kept_cells(backbone: Backbone, mask: Mask, channels: int) -> Tensor:
    """Return 1 where cells are drawn, as a state [1, …]: where less than half of a cell's pixels are in `mask`."""
    model = backbone.model
    share = torch.nn.functional.avg_pool2d(torch.from_numpy(mask).float()[None, None], model.cell_px)
    repaint = (share < _MIN_KEPT_SHARE).to(backbone.device, torch.float32)
    return model.pack(repaint.expand(1, channels, *share.shape[2:])).to(model.state_dtype)


def grow_mask(mask: Mask, margin_px: float, avoid: Mask | None = None) -> Mask:
    """The mask and what lies within `margin_px` of it, but nothing of `avoid` (a person in the scene's photo).

    A seam on a landmark's very outline is a hard edge in the scene itself, which no drawing can hide. A few pixels of
    the background around the landmark, kept with it, put the seam where it can be hidden.
    """
    grown = _distance(mask) <= margin_px
    return grown if avoid is None else mask | (grown & ~avoid)


def keep_pixels(drawn: Rgb, landmark: Landmark) -> Rgb:
    """The drawn picture with the landmark's exact pixels; its own side of the seam is bent to meet them."""
    kept, mask = landmark.image.astype(np.float64), landmark.mask
    smooth = drawn.astype(np.float64)
    smooth += _membrane(kept - smooth, mask, length_px=max(6.0, min(mask.shape) / 16))
    best = _compose(smooth, landmark)
    least = seam_ratio(best, mask)
    distance, nearest = ndimage.distance_transform_edt(~mask, return_indices=True)
    extended = kept[nearest[0], nearest[1]]
    for feather in _FEATHERS_PX:
        if least <= _AIM:
            break
        t = np.clip((distance - 1) / feather, 0, 1)[..., None]
        share = t * t * (3 - 2 * t)  # level at both ends: the landmark's colour leaves the seam without a step
        result = _compose(share * smooth + (1 - share) * extended, landmark)
        if (ratio := seam_ratio(result, mask)) < least:
            best, least = result, ratio
    return best


def bend_background(drawn: Rgb, photo: Rgb, fixed: Mask, walls: Mask) -> Floats:
    """The drawn picture [h, w, 3] with what is neither `fixed` nor behind `walls` bent to meet the photo's pixels that
    are fixed; its correction fades with the distance and does not go through walls (a person).
    """
    smooth = drawn.astype(np.float64)
    if fixed.any():
        smooth += _membrane(photo - smooth, fixed & ~walls, max(6.0, min(fixed.shape) / 16), walls)
    return smooth


def seam_ratio(image: Rgb, mask: Mask) -> float:
    """How much the seam shows: the mean step across the mask's outline over the mean step beside it; 1 is invisible.

    The worst of three outlines: the mask's own and those 1 and 2 px outside it, so that a step moved a pixel further
    out is still a step. A step is the mean absolute difference of two neighbours over the channels; "beside" are
    neighbours on the same side of the outline, within 6 px of it. Half a grey level is added to both means, so that
    flat areas of one colour give 1 and not 0/0.
    """
    picture = image.astype(np.float64)
    steps = [np.abs(np.diff(picture, axis=axis)).mean(axis=2) for axis in (0, 1)]
    distance = _distance(mask)
    return max(_outline_ratio(steps, distance <= offset) for offset in (0, 1, 2))


def _outline_ratio(steps: Sequence[Floats], mask: Mask) -> float:
    near = (_distance(mask) <= _BAND_PX) & (_distance(~mask) <= _BAND_PX)
    across: list[Floats] = []
    beside: list[Floats] = []
    for axis, step in enumerate(steps):
        first, second = _pairs(mask, axis)
        near_first, near_second = _pairs(near, axis)
        across.append(step[first != second])
        beside.append(step[(first == second) & near_first & near_second])
    seam, around = np.concatenate(across), np.concatenate(beside)
    if seam.size == 0 or around.size == 0:
        return 0.0  # no outline: nothing to see
    return float((seam.mean() + 0.5) / (around.mean() + 0.5))


def _compose(picture: Floats, landmark: Landmark) -> Rgb:
    rounded = np.clip(picture.round(), 0, 255).astype(np.uint8)
    rounded[landmark.mask] = landmark.image[landmark.mask]
    return rounded


def _distance(mask: Mask) -> Floats:
    """Distance in px of each pixel outside `mask` to it; 0 inside."""
    distance: Floats = ndimage.distance_transform_edt(~mask)
    return distance


def _pairs(values: Mask, axis: int) -> tuple[Mask, Mask]:
    """All neighbours along an axis, as (first, second)."""
    return (values[:-1], values[1:]) if axis == 0 else (values[:, :-1], values[:, 1:])


def _membrane(difference: Floats, mask: Mask, length_px: float, walls: Mask | None = None) -> Floats:
    """Solve s·c − Δc = 0 outside the mask with c = `difference` [h, w, 3] on it; c is 0 inside.

    The screening s grows from 0 at the mask to 1/length² at two lengths: near the seam c is nearly harmonic and so
    leaves it gently, further out it fades. Only a band of six lengths is solved, beyond which c is under 1%. The
    picture's borders and `walls` let nothing through; c is 0 there.
    """
    distance = _distance(mask)
    open_ = np.ones_like(mask) if walls is None else mask | ~walls
    band = ~mask & open_ & (distance <= 6 * length_px)
    number = np.full(mask.shape, -1)
    number[band] = np.arange(band.sum())
    size = int(band.sum())
    diagonal = np.minimum(distance[band] / (2 * length_px), 1) / length_px**2
    right = np.zeros((size, 3))
    rows: list[npt.NDArray[np.int64]] = []
    columns: list[npt.NDArray[np.int64]] = []
    height, width = mask.shape
    ys, xs = np.nonzero(band)
    for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        y, x = ys + dy, xs + dx
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        inside[inside] = open_[y[inside], x[inside]]
        diagonal[inside] += 1
        y, x, own = y[inside], x[inside], np.flatnonzero(inside)
        fixed = mask[y, x]
        np.add.at(right, own[fixed], difference[y[fixed], x[fixed]])
        free = band[y, x]
        rows.append(own[free])
        columns.append(number[y[free], x[free]])
    row, column = np.concatenate(rows), np.concatenate(columns)
    laplacian = sparse.csr_matrix((np.full(len(row), -1.0), (row, column)), shape=(size, size))
    system = laplacian + sparse.diags(diagonal)
    correction = np.zeros((*mask.shape, 3))
    for channel in range(3):
        correction[band, channel] = cg(system, right[:, channel], rtol=1e-4, maxiter=500)[0]
    return correction
