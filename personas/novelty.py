"""How new a face must be: the ceiling that nobody chooses.

A recogniser takes two shots for one person down to some cosine. 99% of same-person pairs of people it never saw exceed
the ceiling in the pack's calibration; a new face whose cosine to a donor is below it would not pass for that donor.
"""

from __future__ import annotations

from personas.gates import Gates
from personas.measures.face import FaceCalibration

__all__ = ["default_gates"]


def default_gates(calibration: FaceCalibration) -> Gates:
    """Gates for a recogniser: novelty below its ceiling, and a face gate halfway between strangers and the ceiling.

    Drawn pictures of one person agree less than those that a pack is calibrated on. The miniature's recogniser hardly
    errs (same-person pairs above .81, strangers below .43): with its ceiling as the gate a design kept 6 of 48
    candidates, with this one 31.
    """
    ceiling = calibration.novelty_ceiling
    between = (calibration.different_people + ceiling) / 2
    return Gates(min_face_similarity=min(ceiling, between), novelty_ceiling=ceiling)
