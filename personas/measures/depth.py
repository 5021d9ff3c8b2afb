"""What of a picture is nearest to the camera: the person, and of them the head and the hands."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from personas.measures.regions import KEYPOINTS, LABELS, PictureReader, Regions
from pipelines.references.layers import Look, Seen

__all__ = ["look_with", "see_depth"]

_SKIN = LABELS.index("body_skin")
_TOP, _CHIN = KEYPOINTS.index("head_top"), KEYPOINTS.index("chin")
_HANDS = tuple(KEYPOINTS.index(name) for name in ("hand_left", "hand_right"))
_REACH = 0.45  # of a head's height around a hand's middle: palm and fingers
_SEEN = 0.5


def see_depth(regions: Regions) -> Seen:
    """Return where the person is, and where their head and bare hands are; hands only where the reader tells skin."""
    return Seen(regions.person, _head(regions), _hands(regions))


def look_with(reader: PictureReader) -> Look:
    """Return what looks at a picture uint8 [h, w, 3] with a reader."""
    return lambda picture: see_depth(reader.read([picture])[0])


def _head(regions: Regions) -> npt.NDArray[np.bool_]:
    """Face and hair down to the chin: long hair before somebody's chest hangs behind what they hold there."""
    points, head = regions.keypoints, regions.head
    if points[_CHIN, 2] < _SEEN:
        return head
    rows = np.arange(len(head))[:, None]
    return head & (rows <= points[_CHIN, 1])


def _hands(regions: Regions) -> npt.NDArray[np.bool_]:
    points, skin = regions.keypoints, regions.labels == _SKIN
    height, width = skin.shape
    tall = float(abs(points[_CHIN, 1] - points[_TOP, 1])) if min(points[_TOP, 2], points[_CHIN, 2]) >= _SEEN else 0.0
    reach = _REACH * (tall if tall >= 2 else height / 8)
    y, x = np.mgrid[:height, :width]
    near = np.zeros_like(skin)
    for hand in _HANDS:
        if points[hand, 2] >= _SEEN:
            near |= np.hypot(x - points[hand, 0], y - points[hand, 1]) <= reach
    return skin & near
