"""The gates that follow from a recogniser's calibration."""

import pytest

from personas.measures.face import FaceCalibration
from personas.novelty import default_gates


def _calibration(different_people: float, novelty_ceiling: float) -> FaceCalibration:
    return FaceCalibration(
        novelty_ceiling=novelty_ceiling, different_people=different_people, same_person_mean=0.9, auc=1,
        true_accept_at_1e3=1, people=48, shots=8, seed=0, pack_sha256="0" * 64,
    )  # fmt: skip


def test_the_face_gate_lies_between_strangers_and_the_ceiling() -> None:
    gates = default_gates(_calibration(0.4, 0.8))
    assert gates["min_face_similarity"] == pytest.approx(0.6)
    assert gates["novelty_ceiling"] == 0.8


def test_a_recogniser_that_errs_keeps_its_lenient_gate() -> None:
    assert default_gates(_calibration(0.5, 0.3))["min_face_similarity"] == 0.3
