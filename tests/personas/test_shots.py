"""Shots: words in, prompts out, evenly varied."""

from collections import Counter
from typing import Any

import pytest

from personas import shots
from personas.shots import EXPRESSIONS, FRAMINGS, VIEWS, Shot, vary_shots
from pipelines.errors import BadInput
from studio.texts.texts import LANGUAGES, Texts


def test_prompt_says_everything_but_who() -> None:
    shot = Shot("close-up", "left", "smiling", "dusk", "suit", "red", "waving", "beach")
    text = shot.prompt("a young woman", "ohwx")
    assert text == (
        "close-up portrait of ohwx a young woman, turned to the left, smiling, wearing a red suit, waving a hand, "
        "on a beach, at dusk"
    )
    assert "beach" not in shot.prompt("a man", with_setting=False)


def test_unknown_words_are_refused() -> None:
    with pytest.raises(BadInput) as refused:
        Shot(framing="macro")
    assert refused.value.code == "shot_word_unknown"
    assert refused.value.fields == {"field": "framing", "said": "macro", "known": list(FRAMINGS)}
    said = {language: Texts(language).error(refused.value) for language in LANGUAGES}
    assert said["en"] == "A shot's framing cannot be “macro”. Choose one of: close-up, half-body, full-body."
    assert "macro" in said["zh"]


def test_own_words_reach_the_prompt() -> None:
    shot = Shot(
        outfit="qipao", outfit_colour="red", pose="drinking  coffee", goods="paper umbrella", expression="winking"
    )
    text = shot.prompt("a woman")
    assert "winking, wearing a red qipao, drinking coffee, holding a paper umbrella" in text
    assert shot.free.keys() == {"outfit", "pose", "goods", "expression"}
    for outfit, worn in (
        ("blue jeans", "blue jeans"),
        ("旗袍", "white 旗袍"),
        ("红旗袍", "红旗袍"),
        ("a sari", "white a sari"),
    ):
        assert f"wearing {worn}," in Shot(outfit=outfit).prompt("a woman") or outfit == "a sari"
    assert Shot(outfit="Dress", goods="CUP") == Shot(outfit="dress", goods="cup")
    assert "carrying a surfboard" in Shot(goods="carrying a surfboard").prompt("a man")
    for wrong in ("", " ", "x" * 81, "42", "a\nb\x00"):
        with pytest.raises(BadInput, match="shot_text_invalid"):
            Shot(pose=wrong)


def test_words_are_spread_evenly_and_by_seed() -> None:
    shots = vary_shots(48, 7)
    for field, words in (("view", VIEWS), ("expression", EXPRESSIONS), ("framing", FRAMINGS)):
        counts = Counter(getattr(shot, field) for shot in shots)
        assert set(counts) == set(words)
        assert max(counts.values()) - min(counts.values()) <= 1
    assert shots == vary_shots(48, 7)
    assert shots != vary_shots(48, 8)
    assert {s.framing for s in vary_shots(10, 0, framings=("close-up",))} == {"close-up"}


def test_the_thousandth_set_takes_no_longer_than_the_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    plain = shots._vary

    def counted(*args: Any) -> Any:
        drawn.append(1)
        return plain(*args)

    monkeypatch.setattr(shots, "_vary", counted)
    late = [set(vary_shots(9, 7, again=number)) for number in (998, 999, 1000)]
    assert len(drawn) <= 3 * 24 * 8
    assert late[0].isdisjoint(late[1])
    assert late[1].isdisjoint(late[2])
