"""Captions say what is seen, in the words of shots, and never who somebody is."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from personas.captions.compose import compose
from personas.captions.fusion import fuse
from personas.captions.lint import lint_captions, strip_identity
from personas.captions.policy import SWITCHES, Policy, apply_policy
from personas.captions.schema import GROUPS, CaptionFacts, answer_schema, says_nothing
from personas.measures.colours import COLOUR_LAB
from personas.shots import EXPRESSIONS, FRAMINGS, GOODS, LIGHTS, POSES, SETTINGS, VIEWS, Shot

PERSON = Policy(subject="young woman")
WHOLE: dict[str, Any] = {
    "shot": {"framing": "half-body", "view": "left", "camera": "from below"},
    "person": {"noun": "woman", "build": "slim"},
    "hair": {"length": "long", "colour": "black", "style": "wavy"},
    "face": {"expression": "smiling", "gaze": "down", "makeup": "light", "facial_hair": None, "glasses": "glasses"},
    "garments": [
        {"slot": "top", "type": "coat", "colour": "red", "sleeve": "long"},
        {"slot": "bag", "type": "tote bag"},
    ],
    "pose": {"arms": "waving", "body": "standing"},
    "goods": [{"what": "cup", "colour": None, "held": True}],
    "place": {"where": "cafe", "details": ["brick wall", "plants", "lamp"], "clutter": 2},
    "light": {"time": "dusk", "direction": "side", "hardness": "soft", "tone": "warm"},
    "style": {"medium": "photo", "palette": ["red", "brown"], "depth": "blurred background"},
    "defects": ["watermark"],
}  # fmt: skip


def leaf(group: str, field: str) -> set[Any]:
    """The values that a field of the schema may have."""
    field_info = CaptionFacts.model_fields[group].annotation.model_fields[field]  # type: ignore[union-attr]
    return {value for part in get_args(field_info.annotation) for value in get_args(part)}


@pytest.mark.parametrize(
    ("group", "field", "words"),
    [
        ("shot", "framing", FRAMINGS), ("shot", "view", VIEWS), ("face", "expression", EXPRESSIONS),
        ("light", "time", LIGHTS), ("place", "where", SETTINGS), ("pose", "arms", POSES),
    ],
)  # fmt: skip
def test_the_schema_has_every_word_of_shots(group: str, field: str, words: tuple[str, ...]) -> None:
    assert set(words) <= leaf(group, field)


def test_a_caption_is_in_the_words_of_prompts() -> None:
    """What is measured of a drawn picture is said just as its prompt said it."""
    shot = Shot("half-body", "left", "smiling", "dusk", "coat", "red", "waving", "cafe", "cup")
    told = CaptionFacts.model_validate(
        {
            "shot": {"framing": shot.framing, "view": shot.view},
            "face": {"expression": shot.expression},
            "garments": [{"slot": "top", "type": shot.outfit, "colour": shot.outfit_colour}],
            "pose": {"arms": shot.pose},
            "goods": [{"what": shot.goods, "held": True}],
            "place": {"where": shot.setting},
            "light": {"time": shot.light},
        }
    )
    assert compose(told, PERSON) == shot.prompt("young woman", "ohwx")


def test_a_whole_caption_long_and_short() -> None:
    told = CaptionFacts.model_validate(WHOLE)
    assert compose(told, PERSON) == (
        "half-body shot of ohwx young woman, turned to the left, smiling, looking down, light makeup, wearing glasses, "
        "seen from below, wearing a long-sleeved red coat and a tote bag, standing, waving a hand, holding a cup, "
        "in a cafe, with brick wall and plants, at dusk, soft warm light, light from the side, blurred background"
    )
    assert compose(told, PERSON, "short") == (
        "half-body shot of ohwx young woman, wearing a long-sleeved red coat and a tote bag, holding a cup, in a cafe"
    )


def test_who_somebody_is_is_left_out_and_a_switch_says_it() -> None:
    told = CaptionFacts.model_validate(WHOLE | {"face": {"facial_hair": "beard"}})
    for switch, words in (("hair", "long wavy black hair"), ("facial_hair", "beard"), ("build", "slim")):
        assert words not in compose(told, PERSON)
        assert words in compose(told, Policy(subject="young man", say=(switch,)))  # type: ignore[arg-type]
    assert set(SWITCHES) == {"hair", "facial_hair", "build"}
    assert lint_captions([compose(told, PERSON)], PERSON) == ()


def test_a_style_says_everything_but_the_style_and_goods_all_but_the_product() -> None:
    told = CaptionFacts.model_validate(WHOLE)
    assert apply_policy(told, Policy(of="style")).hair == told.hair
    assert apply_policy(told, Policy(of="style")).style.palette == ()
    assert "cup" not in compose(
        told, Policy(of="goods", subject="a cup in a shop").model_copy(update={"subject": "it"})
    )


def test_nothing_is_said_of_what_nobody_saw() -> None:
    assert compose(CaptionFacts(), PERSON) == "photo of ohwx young woman"
    assert says_nothing(CaptionFacts())
    assert not says_nothing(CaptionFacts.model_validate({"light": {"time": "day"}}))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"shot": {"framing": "portrait"}}, {}),  # on no list
        ({"shot": None}, {}),
        ({"face": {"makeup": "none"}}, {}),
        (
            {"garments": [{"type": "a very long red evening dress with stars", "slot": "dress"}]},
            {"type": "a very long"},
        ),
        ({"garments": [{"type": "N/A"}]}, {}),
        ({"extra": 1, "light": {"moon": True}}, {}),
        ({"garments": "dress"}, None),
    ],
)
def test_answers_of_models_are_tidied(said: dict[str, Any], found: dict[str, Any] | None) -> None:
    if found is None:
        with pytest.raises(ValueError, match="garments"):
            CaptionFacts.model_validate(said)
        return
    told = CaptionFacts.model_validate(said)
    garment = told.garments[0].model_dump(exclude_none=True) if told.garments else {}
    assert {name: garment.get(name) for name in found} == found
    assert says_nothing(told) == (not found)


def test_a_list_that_loops_is_four_rows_at_most() -> None:
    told = CaptionFacts.model_validate({"place": {"details": ["lamp", "lamp", "sofa", "lamp", "a", "b", "c", "d"]}})
    assert told.place.details == ("lamp", "sofa", "a", "b")


def test_the_schema_is_as_strict_servers_want_it() -> None:
    def look(node: Any) -> None:
        if isinstance(node, dict):
            assert "$ref" not in node
            if node.get("type") == "object":
                assert node["additionalProperties"] is False
                assert set(node["required"]) == set(node["properties"])
            for part in node.values():
                look(part)
        elif isinstance(node, list):
            for part in node:
                look(part)

    look(answer_schema())
    assert set(answer_schema()["properties"]) == set(GROUPS)
    assert set(answer_schema("light")["properties"]) == {"light"}
    assert {"red", "beige"} <= set(COLOUR_LAB)


def test_both_together_each_in_what_it_is_good_at() -> None:
    measured = CaptionFacts.model_validate(
        {
            "shot": {"framing": "close-up", "view": "front"}, "garments": [{"slot": "top", "colour": "red"}],
            "light": {"time": "day"},
        }
    )  # fmt: skip
    told = CaptionFacts.model_validate(
        {
            "shot": {"framing": "half-body"}, "garments": [{"slot": "top", "type": "blouse"}],
            "light": {"time": "night"}, "place": {"where": "cafe"},
        }
    )  # fmt: skip
    both = fuse(measured, told)
    assert both.facts.shot.framing == "close-up"
    assert (both.facts.garments[0].type, both.facts.garments[0].colour) == ("blouse", "red")
    assert both.facts.light.time == "night"
    assert both.facts.place.where == "cafe"
    assert set(both.differs) == {"shot.framing", "light.time"}
    assert fuse(measured, None).facts == measured
    assert fuse(told, told).differs == ()
    looked = CaptionFacts.model_validate({"defects": (), "goods": ()})
    assert (fuse(measured, looked).facts.defects, fuse(measured, None).facts.defects) == ((), None)


@pytest.mark.parametrize(
    "said",
    [
        "with long black hair", "blonde", "blue-eyed", "big brown eyes", "pale skin", "25 years old", "an oval face",
        "asian", "黑色长发", "蓝色眼睛", "鹅蛋脸", "皮肤白皙，23岁",
    ],
)  # fmt: skip
def test_words_of_who_somebody_is_stop_a_training_and_can_be_stripped(said: str) -> None:
    caption = f"photo of ohwx young woman, {said}, wearing a red coat"
    found = lint_captions([caption], PERSON)
    assert found
    assert all(one.code == "identity" and one.stops for one in found)
    left = strip_identity(caption, PERSON)
    assert lint_captions([left], PERSON) == ()
    assert "wearing a red coat" in left
    assert "ohwx young woman" in left


@pytest.mark.parametrize(
    "said",
    [
        "wearing a black dress",
        "a red hair clip shop sign",
        "blue walls",
        "brown leather bag",
        "round table",
        "发布会现场",
    ],
)
def test_words_of_clothes_and_places_do_not(said: str) -> None:
    assert [one for one in lint_captions([f"photo of ohwx young woman, {said}"], PERSON) if one.code == "identity"] == [
        one for one in lint_captions([f"photo of ohwx young woman, {said}"], PERSON) if said.startswith("a red hair")
    ]


def test_what_all_captions_say_is_told_of_and_does_not_stop() -> None:
    captions = [f"photo of ohwx young woman, wearing a red coat, in a {place}" for place in "abcdefgh"]
    (found,) = lint_captions(captions, PERSON)
    assert (found.code, found.phrase, found.stops, len(found.rows)) == ("repeated", "wearing a red coat", False, 8)
    assert lint_captions(captions[:4], PERSON) == ()


def test_a_caption_without_the_word_or_without_any() -> None:
    found = lint_captions(["a woman", "", "photo of ohwx young woman"], PERSON)
    assert [(one.code, one.rows, one.stops) for one in found] == [("empty", (1,), True), ("no_trigger", (0,), True)]


def test_goods_words_are_said_as_prompts_say_them() -> None:
    for word in GOODS[1:]:
        told = CaptionFacts.model_validate({"goods": [{"what": word, "held": True}]})
        assert Shot(goods=word).prompt("x").split(", ")[5] in compose(told, PERSON)
