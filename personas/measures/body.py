"""Body proportions from keypoints and the silhouette."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from personas.measures.measure import Measure
from personas.measures.regions import KEYPOINTS, LABELS, Regions

if TYPE_CHECKING:
    from personas.measures.subject import Subject

__all__ = ["BODY_RATIOS", "BODY_SIMILARITY", "body_likeness", "body_proportions", "body_similarity", "is_seen"]

BODY_RATIOS = ("shoulders", "hips", "torso", "upper_arm", "legs", "silhouette")
_SEEN = 0.5
# How much each ratio varies from person to person; measured in head heights.
_SPREAD = np.array([0.35, 0.3, 0.2, 0.2, 0.5, 0.3])


def body_proportions(regions: Regions) -> npt.NDArray[np.float32]:
    """Widths and lengths in head heights (chin to crown), float32 [6] in the order of BODY_RATIOS; NaN if not seen.

    A ratio counts as seen where the reader is sure that both its ends are inside the picture.
    """
    points = {name: regions.keypoints[i] for i, name in enumerate(KEYPOINTS)}

    def length(a: str, b: str) -> float:
        if points[a][2] < _SEEN or points[b][2] < _SEEN:
            return float("nan")
        return float(np.hypot(*(points[a][:2] - points[b][:2])))

    head = length("head_top", "chin")
    if not head > 2:
        return np.full(len(BODY_RATIOS), np.nan, np.float32)
    ratios = [
        length("shoulder_left", "shoulder_right"),
        length("hip_left", "hip_right"),
        np.nanmean([length("shoulder_left", "hip_left"), length("shoulder_right", "hip_right")])
        if points["hip_left"][2] >= _SEEN and points["hip_right"][2] >= _SEEN else np.nan,
        length("shoulder_left", "elbow_left"),
        np.nanmean([length("hip_left", "foot_left"), length("hip_right", "foot_right")])
        if points["foot_left"][2] >= _SEEN and points["foot_right"][2] >= _SEEN else np.nan,
        _chest_width(regions, points["shoulder_left"], points["shoulder_right"], head),
    ]  # fmt: skip
    return np.asarray(np.array(ratios) / head, np.float32)


def is_seen(regions: Regions, joint: str) -> bool:
    """Return whether the reader is sure that a keypoint, one of KEYPOINTS, is inside the picture."""
    return bool(regions.keypoints[KEYPOINTS.index(joint)][2] >= _SEEN)


def _chest_width(regions: Regions, left: npt.NDArray[np.float32], right: npt.NDArray[np.float32], head: float) -> float:
    """Pixels of clothes in the row half a head under the shoulders, between the arms."""
    row = int((left[1] + right[1]) / 2 + 0.5 * head)
    if left[2] < _SEEN or right[2] < _SEEN or not 0 <= row < regions.labels.shape[0]:
        return float("nan")
    middle, reach = (left[0] + right[0]) / 2, abs(right[0] - left[0])
    columns = np.arange(regions.labels.shape[1])
    near = np.abs(columns - middle) <= reach
    return float((regions.labels[row][near] == LABELS.index("clothes")).sum()) or float("nan")


def body_similarity(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float | None:
    """exp(-mean squared difference in spreads) of the ratios that both have, in (0, 1]; None if they share none."""
    shared = np.isfinite(a) & np.isfinite(b)
    if not shared.any():
        return None
    z = (a[shared].astype(np.float64) - b[shared]) / _SPREAD[shared]
    return float(np.exp(-0.5 * np.mean(z * z)))


def body_likeness(subject: Subject) -> float | None:
    """Return a candidate's `body_similarity` to the group's typical body."""
    candidate, group = subject.candidate, subject.group
    assert candidate is not None and group is not None  # noqa: PT018
    return None if group.body is None else body_similarity(candidate.body, group.body)


BODY_SIMILARITY = Measure(
    "body_similarity", frozenset({"candidate", "group"}), body_likeness, words={"en": "body", "zh": "身材"},
    on_candidates=True,
)  # fmt: skip
