"""How new a face must be: the ceiling that nobody chooses.

A recogniser takes two shots for one person down to some cosine. 99% of same-person pairs of people it never saw exceed
the ceiling in the pack's calibration; a new face whose cosine to a donor is below it would not pass for that donor.
"""

from __future__ import annotations

from personas.measures.face import FaceCalibration
from personas.selection import Gates

__all__ = ["default_gates"]


def default_gates(calibration: FaceCalibration) -> Gates:
    """Gates for a recogniser: novelty below its ceiling, and a face gate between strangers and the same person.

    Cosines to a centre run higher than between pairs (by about the square root of the pairs' mean), so the pairs'
    ceiling is a lenient gate for candidates: nearly every true shot passes it.
    """
    return Gates(min_face_similarity=calibration.novelty_ceiling, novelty_ceiling=calibration.novelty_ceiling)
