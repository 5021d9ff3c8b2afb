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

__all__ = ["HAIR_SIMILARITY", "HairReading", "hair_likeness", "hair_similarity", "read_hair"]

HAIR = LABELS.index("hair")
_MIN_PIXELS = 20


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
