"""Regions of a person that a character adapter reads: the reader's labels, cut by its keypoints.

Labels know skin, face, hair, clothes and goods. What is clothes or skin is the torso down to the hips, then the legs,
and the shoes from just above the feet on (docs: Visual Persona, arXiv:2503.15406, cuts people into the same parts).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from personas.measures.regions import KEYPOINTS, LABELS, PERSON, Regions

__all__ = ["PARTS", "body_regions", "grow"]

PARTS = ("face", "hair", "torso", "legs", "shoes", "goods")
Mask = npt.NDArray[np.bool_]

_SEEN = 0.5  # probability of a keypoint
_SHOE = 0.1  # head heights from the ankle up to a shoe's upper edge
_MARGIN = 0.02  # of a part's longer side, by which its mask is grown


def body_regions(regions: Regions) -> tuple[Mask, dict[str, Mask]]:
    """Return where the person is, bool [h, w], and where each part that is seen is (`PARTS`), by its name.

    Parts reach a little over their edges (2 % of their longer side), never into each other. A keypoint that is not seen
    cuts nothing: where no hips are seen all clothes are the torso's, where no feet are seen there are no shoes.
    """
    labels, points = regions.labels, regions.keypoints
    rows = np.arange(labels.shape[0])[:, None]
    worn = np.isin(labels, [LABELS.index("clothes"), LABELS.index("body_skin")])
    hips = _height(points, "hip_left", "hip_right")
    feet = _height(points, "foot_left", "foot_right")
    tall = abs(points[KEYPOINTS.index("chin"), 1] - points[KEYPOINTS.index("head_top"), 1])
    below = np.zeros_like(worn) if hips is None else worn & (rows >= hips)
    shoes = np.zeros_like(worn) if feet is None or hips is None else below & (rows >= feet - _SHOE * tall)
    found = {
        "face": labels == LABELS.index("face"), "hair": labels == LABELS.index("hair"), "torso": worn & ~below,
        "legs": below & ~shoes, "shoes": shoes, "goods": labels == LABELS.index("goods"),
    }  # fmt: skip
    parts = {name: mask for name, mask in found.items() if mask.any()}
    every = np.isin(labels, PERSON)
    grown = {name: mask | (grow(mask, _reach(mask)) & ~every) for name, mask in parts.items()}
    return every, grown


def grow(mask: Mask, pixels: int) -> Mask:
    """Return a mask that reaches so many pixels farther each way, or less far where `pixels` is negative."""
    if pixels == 0:
        return mask
    change = ndimage.binary_dilation if pixels > 0 else ndimage.binary_erosion
    return np.asarray(change(mask, iterations=abs(pixels)), np.bool_)


def _height(points: npt.NDArray[np.float32], *names: str) -> float | None:
    """How far down these keypoints are, None where none of them is seen."""
    rows = points[[KEYPOINTS.index(name) for name in names]]
    seen = rows[rows[:, 2] > _SEEN]
    return float(seen[:, 1].mean()) if len(seen) else None


def _reach(mask: Mask) -> int:
    return round(_MARGIN * max(mask.any(axis=0).sum(), mask.any(axis=1).sum()))
