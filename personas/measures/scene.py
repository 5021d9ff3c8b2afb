"""Similarity of places: backgrounds compared with the people masked out.

Half of the score is what colours there are (Lab histograms' intersection), half where they are (correlation of coarse
Lab cells). Cameras move a little between posts, so cells are coarse and the best of a few small shifts counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from personas.measures.measure import Measure

if TYPE_CHECKING:
    from personas.measures.subject import Subject

__all__ = ["SCENE", "scene_shown", "scene_similarity", "to_lab"]

_BINS = 8
_CELLS = (16, 12)
_MAX_SHIFT = 1
_RANGES = ((0.0, 100.0), (-60.0, 60.0), (-60.0, 60.0))


def to_lab(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """sRGB uint8 [..., 3] to CIELAB (D65, IEC 61966-2-1 and CIE 15)."""
    c = rgb.astype(np.float64) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    matrix = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = linear @ matrix.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def scene_similarity(
    image: npt.NDArray[np.uint8],
    person: npt.NDArray[np.bool_],
    reference: npt.NDArray[np.uint8],
    reference_person: npt.NDArray[np.bool_] | None = None,
) -> float | None:
    """How alike the backgrounds of two pictures of one size are, in [0, 1]; None if no background is left.

    Both uint8 [h, w, 3] RGB; masks bool [h, w], True = person, left out in both pictures.
    """  # fmt: skip
    here = ~person
    there = here if reference_person is None else ~reference_person
    if here.mean() < 0.02 or (here & there).mean() < 0.02:
        return None
    a, b = to_lab(image), to_lab(reference)
    # The person hides the same part of the reference, or colours that stand behind would count as missing.
    colours = _histogram(a[here & there]), _histogram(b[here & there])
    overlap = float(np.minimum(*colours).sum())
    return 0.5 * overlap + 0.5 * _layout(a, here, b, there)


def _histogram(lab: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    counts, _ = np.histogramdd(lab, bins=_BINS, range=_RANGES)
    return counts / max(1.0, counts.sum())


def _layout(
    a: npt.NDArray[np.float64], a_mask: npt.NDArray[np.bool_], b: npt.NDArray[np.float64], b_mask: npt.NDArray[np.bool_]
) -> float:
    """Best correlation of the cells' colours over small shifts, clipped to [0, 1]."""
    cells_a, weight_a = _cells(a, a_mask)
    cells_b, weight_b = _cells(b, b_mask)
    best = 0.0
    for dy in range(-_MAX_SHIFT, _MAX_SHIFT + 1):
        for dx in range(-_MAX_SHIFT, _MAX_SHIFT + 1):
            moved, weight = np.roll(cells_b, (dy, dx), (0, 1)), np.roll(weight_b, (dy, dx), (0, 1))
            w = weight_a * weight
            if w.sum() < 4:
                continue
            w = (w / w.sum())[..., None]
            da, db = cells_a - (cells_a * w).sum((0, 1)), moved - (moved * w).sum((0, 1))
            norm = np.sqrt((da * da * w).sum() * (db * db * w).sum())
            if norm > 1e-6:
                best = max(best, float((da * db * w).sum() / norm))
    return min(1.0, best)


def _cells(
    lab: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean colour [16, 12, 3] and share of background [16, 12] of each cell."""
    rows = np.arange(mask.shape[0]) * _CELLS[0] // mask.shape[0]
    columns = np.arange(mask.shape[1]) * _CELLS[1] // mask.shape[1]
    index = (rows[:, None] * _CELLS[1] + columns[None]).ravel()
    count = _CELLS[0] * _CELLS[1]
    weight = np.bincount(index, mask.ravel().astype(np.float64), count)
    size = np.bincount(index, minlength=count)
    sums = np.stack([np.bincount(index, (lab[..., k] * mask).ravel(), count) for k in range(3)], axis=-1)
    means = sums / np.maximum(weight, 1)[:, None]
    return means.reshape(*_CELLS, 3), (weight / np.maximum(size, 1)).reshape(_CELLS)


def scene_shown(subject: Subject) -> float | None:
    """Return the `scene_similarity` of a post to its scene's photo."""
    picture, regions, scene = subject.picture, subject.regions, subject.scene
    assert picture is not None and regions is not None and scene is not None  # noqa: PT018
    return scene_similarity(picture, regions.person, scene.canvas, scene.person)


SCENE = Measure(
    "scene", frozenset({"picture", "regions", "scene"}), scene_shown, words={"en": "place", "zh": "地点"},
    on_posts=True, weak_below=0.4,
)  # fmt: skip
