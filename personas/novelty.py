"""How new a face must be: the ceiling that nobody chooses.

A recogniser takes two shots for one person down to some cosine. 99% of same-person pairs of people it never saw exceed
the ceiling in the pack's calibration; a new face whose cosine to a donor is below it would not pass for that donor.
"""

from __future__ import annotations

import math

from personas.gates import Gates
from personas.measures.face import FaceCalibration

__all__ = ["default_gates", "early_ceiling"]

_MARGIN = 0.03  # the mean face of eight plain pictures is not quite that of the candidates


def early_ceiling(calibration: FaceCalibration, chosen: float | None = None) -> float:
    """Return the cosine that a mix's mean face on eight pictures must stay under, so that its candidates' mean face,
    which is judged by the ceiling itself when they are drawn, stays under that: what is refused, is refused early.

    `chosen` is a gate's own ceiling, None for the calibration's; one of 1 is open, and refuses nothing.
    """
    ceiling = calibration.novelty_ceiling if chosen is None else chosen
    return math.inf if ceiling >= 1 else ceiling - _MARGIN


def default_gates(calibration: FaceCalibration) -> Gates:
    """Gates for a recogniser: novelty below its ceiling, and a face gate halfway between strangers and the ceiling.

    Drawn pictures of one person agree less than those that a pack is calibrated on. The miniature's recogniser hardly
    errs (same-person pairs above .81, strangers below .43): with its ceiling as the gate a design kept 6 of 48
    candidates, with this one 31.
    """
    ceiling = calibration.novelty_ceiling
    between = (calibration.different_people + ceiling) / 2
    return Gates(min_face_similarity=min(ceiling, between), novelty_ceiling=ceiling)
