"""Hair: its share, length and colour from the region, and an embedding of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from personas.measures.measure import Measure
from personas.measures.regions import KEYPOINTS, LABELS, Regions
from personas.measures.scene import to_lab

if TYPE_CHECKING:
    from personas.measures.subject import Subject

__all__ = ["HAIR", "HAIR_SIMILARITY", "HairReading", "hair_likeness", "hair_similarity", "old_hair_left", "read_hair"]

HAIR = LABELS.index("hair")
_MIN_PIXELS = 20
_EDGE, _AROUND = 0.012, 0.015  # of the picture's height
# CIE76 distances: nearer than the first to what it was, a pixel is old; where the new hair is nearer than the second to
# what was there, nobody can tell
_SAME, _ALIKE = 25.0, 15.0


@dataclass(frozen=True, eq=False)
class HairReading:
    """`share` of the picture; `length` from the crown down in head heights; `lab` the mean CIELAB colour [3];
    `embedding` float32 [32] of length 1."""

    share: float
    length: float
    lab: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]


def read_hair(image: npt.NDArray[np.uint8], regions: Regions) -> HairReading | None:
    """None where there is (nearly) no hair: a shaved head, or nobody."""
    mask = regions.labels == HAIR
    if mask.sum() < _MIN_PIXELS:
        return None
    top, chin = (regions.keypoints[KEYPOINTS.index(n)][:2] for n in ("head_top", "chin"))
    head = max(4.0, float(np.hypot(*(chin - top))))
    rows = np.flatnonzero(mask.any(axis=1))
    return HairReading(
        share=float(mask.mean()),
        length=float((rows[-1] - rows[0]) / head),
        lab=np.asarray(to_lab(image[mask][None])[0].mean(axis=0), np.float32),
        embedding=regions.hair_embedding,
    )


def old_hair_left(
    before: npt.NDArray[np.uint8],
    after: npt.NDArray[np.uint8],
    old: npt.NDArray[np.bool_],
    new: npt.NDArray[np.bool_],
) -> float | None:
    """Return at which share of the old hair's edge it still is to be seen, in [0, 1], after the head was drawn anew: a
    halo.

    Both pictures uint8 [h, w, 3] RGB; bool [h, w]: `old` is where the hair was, `new` where it is and surely was drawn
    anew. A pixel is old hair where it is near to what it was, and farther from the new hair and from what surrounds the
    old hair: a short cut shows the wall. None where there was (nearly) no hair.
    """
    from scipy import ndimage  # the command line reads this table before it loads anything

    edge = old & ~ndimage.binary_erosion(old, iterations=max(1, round(_EDGE * len(old))), border_value=1)
    if edge.sum() < _MIN_PIXELS:
        return None
    lab = to_lab(before)
    was, now = lab[edge], to_lab(after[edge])
    change = np.linalg.norm(now - was, axis=-1)
    left = (change < _SAME) & (change <= np.linalg.norm(now - _around(lab, old)[edge], axis=-1))
    if new.sum() >= _MIN_PIXELS:
        colour = np.median(to_lab(after[new]), axis=0)
        left &= (change < np.linalg.norm(now - colour, axis=-1)) & (np.linalg.norm(was - colour, axis=-1) > _ALIKE)
    return float(left.mean())


def _around(lab: npt.NDArray[np.float64], hair: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The colours [h, w, 3] of what surrounds the hair, near each pixel."""
    from scipy import ndimage  # the command line reads this table before it loads anything

    sigma = _AROUND * len(hair)
    weight = ndimage.gaussian_filter((~hair).astype(np.float64), sigma)
    sums = ndimage.gaussian_filter(np.where(hair[..., None], 0.0, lab), (sigma, sigma, 0))
    return np.asarray(sums / np.maximum(weight, 1e-6)[..., None], np.float64)


def hair_similarity(a: HairReading, b: HairReading) -> float:
    """Cosine of the embeddings, in [-1, 1]; the reader trains them to agree in any light."""
    return float(np.dot(a.embedding.astype(np.float64), b.embedding))


def hair_likeness(subject: Subject) -> float | None:
    """Return a candidate's `hair_similarity` to the group's mean hair; None where either has none."""
    candidate, group = subject.candidate, subject.group
    assert candidate is not None and group is not None  # noqa: PT018
    return None if candidate.hair is None or group.hair is None else hair_similarity(candidate.hair, group.hair)


HAIR_SIMILARITY = Measure(
    "hair_similarity", frozenset({"candidate", "group"}), hair_likeness, words={"en": "hair", "zh": "头发"},
    low=-1, on_candidates=True,
)  # fmt: skip
