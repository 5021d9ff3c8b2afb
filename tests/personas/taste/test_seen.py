"""What of the vocabulary a picture shows: by its shot's words and by its pixels."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from personas.shots import WORDS, Shot
from personas.taste.attributes import load_attributes
from personas.taste.seen import PIXELS, SEEN, as_features, pixels_of, words_of


def flat(*rgb: int) -> dict[str, float]:
    return pixels_of(np.full((64, 48, 3), rgb, np.uint8))


def test_every_attribute_that_is_seen_is_one_of_the_vocabulary() -> None:
    assert set(SEEN) <= set(load_attributes().by_id)
    assert len(set(SEEN)) == len(SEEN)
    assert set(flat(1, 2, 3)) == set(PIXELS)


def test_a_shots_words_show_their_attributes_and_groups() -> None:
    shown = words_of(asdict(Shot(setting="beach", outfit="suit", outfit_colour="black")))
    assert [shown[one] for one in ("setting.beach", "setting.outdoors", "setting.indoors")] == [1, 1, 0]
    assert [shown[one] for one in ("outfit.suit", "outfit.formal", "outfit_colour.dark")] == [1, 1, 1]
    assert "tone.dark" not in shown
    assert "outfit.suit" not in words_of(asdict(Shot(outfit="a paper hat")))  # what that is, no list says


def test_pixels_say_how_bright_warm_and_coloured() -> None:
    assert flat(240, 240, 240)["tone.bright"] > 0.9 > 0.1 > flat(20, 20, 20)["tone.bright"]
    assert flat(250, 180, 90)["tone.warm"] > 0.9 > 0.1 > flat(60, 90, 220)["tone.warm"]
    assert flat(230, 30, 30)["tone.vivid"] > 0.9 > 0.1 > flat(120, 120, 120)["tone.vivid"]
    for name, rgb in {
        "red": (200, 30, 30),
        "green": (40, 150, 60),
        "blue": (50, 110, 180),
        "white": (250, 250, 250),
        "black": (10, 10, 10),
    }.items():
        palette = {one: value for one, value in flat(*rgb).items() if one.startswith("palette.")}
        assert max(palette, key=lambda one: palette[one]) == f"palette.{name}"
        assert palette[f"palette.{name}"] == 1


def test_opposite_ends_sum_to_one() -> None:
    for high, low in (
        ("tone.bright", "tone.dark"),
        ("tone.warm", "tone.cool"),
        ("composition.busy", "composition.simple"),
    ):
        shown = flat(90, 140, 60)
        assert shown[high] + shown[low] == pytest.approx(1)


def test_what_is_not_known_of_a_picture_is_as_usual() -> None:
    rows = as_features([{SEEN[0]: 1.0}, {SEEN[0]: 0.0}, {}])
    assert rows.shape == (3, len(SEEN))
    assert rows[:, 0].tolist() == [1.0, 0.0, 0.5]
    assert as_features([]).shape == (0, len(SEEN))
    assert set(WORDS) >= {one.partition(".")[0] for one in SEEN} - {"tone", "palette", "composition"}
