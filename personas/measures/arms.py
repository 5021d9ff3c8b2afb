"""What the arms do, by where shoulders, elbows and hands are: one of POSES, or nothing where it is not sure.

On 200 renders it is right in every pose that it tells; how often it agrees with a person on drawn posts stands in
docs/measures.md.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["read_pose"]

_TOP, _CHIN = 5, 6  # places in KEYPOINTS
_ARMS = ((8, 10, 12, -1), (9, 11, 13, 1))  # shoulder, elbow, hand; which way is outwards in the picture
_SEEN = 0.5
_RAISED = (-0.05, 0.15)  # of the hand over the shoulder, in head heights: between the two it is not sure
_BENT = (0.25, 0.33)  # of the elbow beside the hand


def read_pose(keypoints: npt.NDArray[np.float32]) -> dict[str, str]:
    """Return {"pose": one of POSES}; {} where an arm is not seen, or it is not sure. `keypoints` [20, 3] as of Regions.

    One arm decides: the other may hold something.
    """
    tall = float(abs(keypoints[_CHIN, 1] - keypoints[_TOP, 1]))
    joints = [keypoints[list(arm[:3])] for arm in _ARMS]
    if tall < 2 or any(points[:, 2].min() < _SEEN for points in joints):
        return {}
    raised = [float(points[0, 1] - points[2, 1]) / tall for points in joints]
    if max(raised) > _RAISED[1]:
        return {"pose": "waving"}
    if max(raised) > _RAISED[0]:
        return {}
    # a hand over its elbow holds something up
    bent = [
        outwards * float(points[1, 0] - points[2, 0]) / tall
        for (*_, outwards), points in zip(_ARMS, joints, strict=True)
        if points[2, 1] > points[1, 1]
    ]
    most = max(bent, default=0.0)
    if most > _BENT[1]:
        return {"pose": "hand on hip"}
    return {} if most > _BENT[0] else {"pose": "relaxed"}
