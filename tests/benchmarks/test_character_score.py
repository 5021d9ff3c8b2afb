"""What the scores of photos and places mean at their ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.bench import Bench
from benchmarks.character_score import _copied, _ratio, photograph_people
from benchmarks.scene_score import KINDS, places
from studio.application import Studio
from studio.settings import Settings


def unit(*parts: float) -> np.ndarray:
    vector = np.zeros(8, np.float32)
    vector[: len(parts)] = parts
    return vector / np.linalg.norm(vector)


def test_a_copied_photo_is_one_and_the_truth_is_none() -> None:
    truth, photo = [unit(1, 0.2)] * 9, [unit(1, -0.6)] * 9
    assert _copied(photo, truth, photo).value == pytest.approx(1)
    assert _copied(truth, truth, photo).value == pytest.approx(-1)
    assert _copied([*photo[:8], None], truth, photo).n == 8


def test_renders_are_one_of_what_renders_reach() -> None:
    def alike(a: object, b: object) -> float | None:
        return None if a is None or b is None else 1 - abs(float(str(a)) - float(str(b)))

    truth, photos = [0.2, 0.4, 0.3], [0.3, 0.3, 0.3]
    assert _ratio((truth, truth, photos), alike).value == pytest.approx(1)
    assert _ratio(([0.9, 0.9, None], truth, photos), alike).value == pytest.approx(0.4 / 0.9)


def test_everybody_is_photographed_as_they_shall_be_drawn() -> None:
    some = photograph_people(2)
    assert [len(own) for own in (*some.photos, *some.truth, *some.shots)] == [3, 3, 5, 5, 5, 5]
    for shots in some.shots:
        assert len({(shot.outfit, shot.outfit_colour) for shot in shots}) == 1


def test_a_place_is_the_first_of_its_candidates(tmp_path: Path) -> None:
    (place,) = places(Bench(Studio(Settings(data=tmp_path)), tmp_path), 1)
    assert np.array_equal(place.empty, place.candidates[0])
    assert 0.02 < place.hidden.mean() < 0.98
    shown = {kind: place.photo(kind) for kind in KINDS}
    assert shown["empty"][1] is None
    assert shown["person"][1] is None
    assert shown["masked"][1] is place.hidden
    assert (place.with_person != place.empty)[place.hidden].mean() > 0.5
