"""Guidance moves open fields towards a taste, by the odds that it says, and nothing else."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from personas.shots import WORDS, vary_shots
from personas.taste.guidance import OPEN_FIELDS, Guided, guide_shots, temperature

LIKED = {
    "setting.beach": 1.0,
    "expression.smiling": 0.5,
    "outfit_colour.black": -1.0,
    "mood.cosy": 1.0,
    "tone.warm": 0.5,
}
SHOTS = vary_shots(9, 3)
ALL = [OPEN_FIELDS] * 9


def guided(shots: int = 2000, seed: int = 1, adventurous: float = 0.3, **weights: float) -> Guided:
    told = {name.replace("__", "."): weight for name, weight in weights.items()}
    return guide_shots(vary_shots(shots, 5), [OPEN_FIELDS] * shots, told, seed, adventurous=adventurous)


def test_where_nothing_is_open_nothing_moves() -> None:
    found = guide_shots(SHOTS, [()] * 9, LIKED, 1, knows=lambda words: True)
    assert found == Guided(SHOTS)
    assert all(one is other for one, other in zip(found.shots, SHOTS, strict=True))


def test_a_taste_that_knows_nothing_of_a_field_leaves_it() -> None:
    assert guide_shots(SHOTS, ALL, {}, 1, knows=lambda words: True) == Guided(SHOTS)
    found = guide_shots(SHOTS, ALL, LIKED, 1)
    leaning = {"light"}  # LIKED has warm tones
    for field in set(WORDS) - {"setting", "expression", "outfit_colour"} - leaning:
        assert [getattr(s, field) for s in found.shots] == [getattr(s, field) for s in SHOTS]


def test_what_no_word_says_is_reached_by_words_that_lean_that_way() -> None:
    for found in (guided(adventurous=0.2, tone__dark=-1.0), guided(adventurous=0.2, tone__bright=1.0)):
        counted = Counter(shot.light for shot in found.shots)
        assert counted["day"] > counted["dusk"] > counted["night"]
        assert counted["night"] > 0  # a lean leaves nothing out
    found = guided(adventurous=0.2, tone__dark=-1.0)
    assert {choice.field for choice in found.choices} == {"light", "outfit_colour", "setting"}
    assert all(choice.attributes == ("tone.dark",) for choice in found.choices if choice.word == "day")
    assert guided(palette__green=1.0).shots != vary_shots(2000, 5)


def test_what_was_said_stays() -> None:
    open_fields = [("setting",) if n % 2 else ("expression",) for n in range(9)]
    found = guide_shots(SHOTS, open_fields, LIKED, 1)
    for shot, before, names in zip(found.shots, SHOTS, open_fields, strict=True):
        for field in set(WORDS) - set(names):
            assert getattr(shot, field) == getattr(before, field)
    assert {choice.field for choice in found.choices} == {"setting", "expression"}


def test_words_are_sampled_by_the_formula() -> None:
    found = guided(setting__beach=1.0, setting__gym=0.5, adventurous=0.6)
    tau = 0.12 * 12**0.6
    shares = dict.fromkeys(WORDS["setting"], 1.0) | {"beach": math.exp(1 / tau), "gym": math.exp(0.5 / tau)}
    total = sum(shares.values())
    drawn = Counter(shot.setting for shot in found.shots)
    for word, share in shares.items():
        p = share / total
        assert drawn[word] / 2000 == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 2000))
    beach = next(choice for choice in found.choices if choice.word == "beach")
    assert beach.probability == pytest.approx(shares["beach"] / total)
    assert beach.attributes == ("setting.beach",)


def test_what_is_disliked_is_not_drawn_however_adventurous() -> None:
    found = guided(adventurous=1.0, light__night=-0.5, setting__outdoors=-1.0)
    assert "night" not in {shot.light for shot in found.shots}
    assert not {"street", "beach", "park"} & {shot.setting for shot in found.shots}
    assert found.choices[0].attributes
    everything = {f"light.{word}": -1.0 for word in ("day", "dusk", "night")}
    assert guide_shots(SHOTS, ALL, everything, 1).shots  # somebody who likes nothing gets something


def test_the_dial_goes_from_safe_to_adventurous() -> None:
    shares = [
        Counter(shot.setting for shot in guided(adventurous=dial, setting__beach=1.0).shots)["beach"] / 2000
        for dial in (0.0, 0.3, 0.6, 1.0)
    ]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.98
    assert 0.1 < shares[-1] < 0.3
    assert temperature(-3) == temperature(0)


def test_a_group_is_liked_by_all_its_words() -> None:
    drawn = Counter(shot.setting for shot in guided(adventurous=0.0, setting__outdoors=1.0).shots)
    outdoors = [drawn[word] for word in ("street", "beach", "park")]
    assert sum(outdoors) > 1980
    assert min(outdoors) > 550


def test_same_seed_same_shots_and_one_field_does_not_move_another() -> None:
    assert guide_shots(SHOTS, ALL, LIKED, 1) == guide_shots(SHOTS, ALL, LIKED, 1)
    assert guide_shots(SHOTS, ALL, LIKED, 1) != guide_shots(SHOTS, ALL, LIKED, 2)
    alone = guide_shots(SHOTS, [("setting",)] * 9, LIKED, 1)
    assert [s.setting for s in alone.shots] == [s.setting for s in guide_shots(SHOTS, ALL, LIKED, 1).shots]


def test_words_of_no_list_are_said_only_to_a_model_that_knows_them() -> None:
    likes = {"outfit.jeans": 1.0, "mood.cosy": 1.0, "tone.warm": 1.0, "tone.cool": 0.9, "finish.sharp": 0.5}
    without = guide_shots(SHOTS, ALL, likes, 1)
    assert without.words == ()
    assert {shot.outfit for shot in without.shots} <= {*WORDS["outfit"]}
    told = guide_shots(SHOTS, ALL, likes, 1, adventurous=0.0, knows=lambda words: words != "a cosy mood")
    assert "jeans" in {shot.outfit for shot in told.shots}
    assert "warm tones" in told.words or "cool tones" in told.words
    assert not {"warm tones", "cool tones"} <= {*told.words}
    assert "a cosy mood" not in told.words
    assert told.detail == 0.25
    stated = [OPEN_FIELDS] * 8 + [("setting",)]  # somebody said how the last one shall look
    assert guide_shots(SHOTS, stated, likes, 1, knows=lambda words: True).words == ()


def test_a_guided_set_stays_varied() -> None:
    """At the usual dial, with three fields of a taste, nine posts keep most of their variety."""
    taste = {"setting.beach": 1.0, "expression.smiling": 1.0, "outfit_colour.blue": 1.0}
    plain = varied = 0.0
    for seed in range(200):
        shots = vary_shots(9, seed)
        plain += sum(len({getattr(shot, field) for shot in shots}) for field in WORDS)
        told = guide_shots(shots, ALL, taste, seed, adventurous=0.5).shots
        varied += sum(len({getattr(shot, field) for shot in told}) for field in WORDS)
    assert varied / plain >= 0.7
