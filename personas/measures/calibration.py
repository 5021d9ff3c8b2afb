"""Meaning of a recogniser's cosines: thresholds, ROC and match rate, from faces whose owners are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personas.measures.face import FaceCalibration
from pipelines.errors import NotEnough

__all__ = ["FaceStatistics", "face_statistics"]

_FALSE_ACCEPTS = (1e-1, 1e-2, 1e-3)
_MIN_PEOPLE, _MIN_SHOTS = 3, 2


@dataclass(frozen=True)
class FaceStatistics:
    """`roc`: (false accept rate, threshold, true accept rate), for rates that so many pairs can show.

    `match_rate`: (τ, R(τ)), the share of pictures whose cosine to the normalised mean of their owner's other
    pictures is at least τ (the Phota protocol).
    """

    calibration: FaceCalibration
    roc: tuple[tuple[float, float, float], ...]
    match_rate: tuple[tuple[float, float], ...]


def face_statistics(
    embeddings: NDArray[np.float32], owner: NDArray[np.int64], pack_sha256: str, seed: int = 0
) -> FaceStatistics:
    """Return statistics of a pack's unit embeddings [n, d] whose rows belong to `owner` [n].

    Raises NotEnough under 3 people of 2 pictures.
    """
    people, counts = np.unique(owner, return_counts=True)
    if len(people) < _MIN_PEOPLE or counts.min() < _MIN_SHOTS:
        raise NotEnough(
            "calibration_people_too_few",
            people=len(people),
            least=int(counts.min()) if len(counts) else 0,
            min_people=_MIN_PEOPLE,
            min_faces=_MIN_SHOTS,
        )
    cosines = embeddings.astype(np.float64) @ embeddings.T
    upper = np.triu(np.ones(cosines.shape, bool), 1)
    same_owner = owner[:, None] == owner[None]
    same, different = np.sort(cosines[upper & same_owner]), np.sort(cosines[upper & ~same_owner])
    # The area under the ROC curve is the chance that a same pair exceeds a different one (Mann-Whitney).
    auc = float(np.searchsorted(different, same).mean() / len(different))
    threshold = float(np.quantile(different, 1 - 1e-3))
    calibration = FaceCalibration(
        novelty_ceiling=float(np.quantile(same, 0.01)), different_people=threshold, same_person_mean=float(same.mean()),
        auc=auc, true_accept_at_1e3=float((same > threshold).mean()), people=len(people),
        shots=round(float(counts.mean())), seed=seed, pack_sha256=pack_sha256,
    )  # fmt: skip
    rates = [rate for rate in _FALSE_ACCEPTS if rate * len(different) >= 1]
    cuts = [(rate, float(np.quantile(different, 1 - rate))) for rate in rates]
    return FaceStatistics(
        calibration,
        tuple((rate, cut, float((same > cut).mean())) for rate, cut in cuts),
        _match_rate(embeddings, owner),
    )


def _match_rate(embeddings: NDArray[np.float32], owner: NDArray[np.int64]) -> tuple[tuple[float, float], ...]:
    own = []
    for row, who in zip(embeddings.astype(np.float64), owner, strict=True):
        others = embeddings[owner == who].astype(np.float64).sum(axis=0) - row
        own.append(float(row @ others / max(float(np.linalg.norm(others)), 1e-12)))
    return tuple((float(t), float((np.array(own) >= t).mean())) for t in np.linspace(0.1, 0.9, 9).round(1))
