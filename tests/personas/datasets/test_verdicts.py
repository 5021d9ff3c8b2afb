"""Verdicts follow from facts and limits alone: other limits judge again, and what a person says by hand wins."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from personas.datasets.coverage import cover, framing_of, view_of
from personas.datasets.facts import FaceFacts, PictureFacts, measure_picture, yaw_of
from personas.datasets.identity import find_people
from personas.datasets.limits import Limits, usual_limits
from personas.datasets.verdicts import FAULTS, MARKS, judge

SIDE = 512
LIMITS = usual_limits(SIDE, SIDE, 0.4)
RNG = np.random.default_rng(3)


def packed(values: Any) -> str:
    return base64.b64encode(np.asarray(values, np.float16).tobytes()).decode()


def person(number: int, wobble: float = 0.1) -> str:
    base = np.random.default_rng(number).normal(size=64)
    return packed(base / np.linalg.norm(base) + RNG.normal(size=64) * wobble / 8)


def face(who: int = 0, **changed: Any) -> FaceFacts:
    told: dict[str, Any] = {
        "box": (0.4, 0.2, 0.6, 0.45), "short_px": 100.0, "score": 0.9, "yaw": 0.0, "crisp": 0.5, "brightness": 0.5,
        "burnt": 0.0, "around": base64.b64encode(RNG.bytes(24 * 24 * 3)).decode(), "embedding": person(who),
    }  # fmt: skip
    return FaceFacts(**(told | changed))


def picture(who: int | None = 0, **changed: Any) -> PictureFacts:
    noise = RNG.integers(0, 255, (SIDE, SIDE, 3), np.uint8)  # every one another picture
    whole = measure_picture(noise, (), None, own_look=False)
    usual = {"noise": 1.0, "faces": () if who is None else (face(who),)}
    return whole.model_copy(update=usual | changed)


def names(facts: list[PictureFacts], limits: Limits = LIMITS, **more: Any) -> list[list[str]]:
    return [[reason.name for reason in v.reasons] for v in judge(facts, limits, SIDE * SIDE, **more).verdicts]


def test_good_pictures_have_no_reasons() -> None:
    assert names([picture() for _ in range(5)]) == [[]] * 5


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"width": 200, "height": 300}, "small"),
        ({"width": 4000, "height": 1000}, "aspect"),
        ({"crisp": 0.2}, "blurred"),
        ({"noise": 12.0}, "noisy"),
        ({"spread": 5.0}, "flat"),
        ({"bars": 0.1}, "bars"),
        ({"brightest": 0.2}, "dark"),
        ({"darkest": 0.97}, "pale"),
        ({"blocks": 3.0}, "blocks"),
        ({"faces": ()}, "nobody"),
        ({"faces": (), "body": 0.2}, "no_face"),
        ({"faces": (face(short_px=20),)}, "face_small"),
        ({"faces": (face(crisp=0.1),)}, "face_blurred"),
        ({"faces": (face(burnt=0.6),)}, "face_burnt"),
        ({"faces": (face(), face(5))}, "several"),
        ({"people": 2}, "several"),
        ({"faces": (face(9),)}, "other_person"),
    ],
)
def test_each_fault_has_its_reason_and_its_limit_can_be_loosened(changed: dict[str, Any], reason: str) -> None:
    facts = [*(picture() for _ in range(4)), picture(**changed)]
    assert names(facts) == [[], [], [], [], [reason]]
    assert reason in FAULTS
    loose = Limits(
        area=0, aspect=99, crisp=0, noise=99, spread=0, bars=1, brightest=0, darkest=1, blocks=99, face_px=0, burnt=1,
        second=LIMITS.second, same_person=-1,
    )  # fmt: skip
    assert names(facts, loose)[-1] == ([reason] if reason in ("nobody", "no_face", "several") else [])


def test_a_small_face_in_the_background_is_nobody_else() -> None:
    passer = face(7, box=(0.9, 0.1, 0.92, 0.14))
    assert names([*(picture() for _ in range(3)), picture(faces=(face(), passer))])[-1] == []


def test_who_looks_away_is_not_judged_by_the_face() -> None:
    assert names([*(picture() for _ in range(3)), picture(faces=(face(9, yaw=60),))])[-1] == []


def test_what_a_person_says_wins() -> None:
    facts = [*(picture() for _ in range(3)), picture(crisp=0.1)]
    found = judge(facts, LIMITS, SIDE * SIDE, held=[3], dropped=[0])
    assert found.kept == (1, 2, 3)
    assert [v.by_hand for v in found.verdicts] == [True, False, False, True]
    assert [r.name for r in found.verdicts[3].reasons] == ["blurred"]  # it is still told


def test_of_copies_the_best_stays_and_the_one_that_is_held_before_it() -> None:
    one = picture()
    small = one.model_copy(update={"width": 300, "height": 300})
    facts = [picture(), small, one, picture()]
    found = judge(facts, LIMITS, SIDE * SIDE)
    assert found.kept == (0, 2, 3)
    assert found.piles == ((2, 1),)
    (reason,) = found.verdicts[1].reasons
    assert (reason.name, reason.value) == ("copy", 2.0)
    assert judge(facts, LIMITS, SIDE * SIDE, held=[1]).kept == (0, 1, 3)
    assert judge(facts, LIMITS, SIDE * SIDE, dropped=[2]).kept == (0, 3)  # and no copy comes instead
    assert judge(facts, LIMITS, SIDE * SIDE, held=[1], dropped=[2]).kept == (0, 1, 3)


def test_the_second_person_of_a_folder_is_told_of() -> None:
    facts = [*(picture(0) for _ in range(6)), *(picture(5) for _ in range(4)), picture(8)]
    people = find_people(facts, LIMITS)
    assert people.second == (6, 7, 8, 9)
    assert [row == ["other_person"] for row in names(facts)] == [False] * 6 + [True] * 5


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_pictures_are_judged_too(count: int) -> None:
    found = judge([picture() for _ in range(count)], LIMITS, SIDE * SIDE)
    assert found.kept == tuple(range(count))
    assert ("few", "", count, 12) in [(h.kind, h.word, h.count, h.wanted) for h in found.coverage.holes]


def test_a_set_that_is_of_nobody_misses_nobody() -> None:
    assert names([picture(None) for _ in range(3)], of_person=False) == [[]] * 3


def test_holes_are_named() -> None:
    worn = {"outfit": "suit", "outfit_colour": "blue", "setting": "office", "expression": "neutral"}
    words = [{"framing": "close-up", "view": "front", **worn}] * 14
    told = {(hole.kind, hole.word) for hole in cover([picture(words=row) for row in words]).holes}
    assert told == {
        ("framing", "half-body"), ("framing", "full-body"), ("view", "left"), ("view", "right"),
        ("one_outfit", "blue suit"), ("one_place", ""), ("expression", "neutral"),
    }  # fmt: skip


def test_framing_and_view_of_a_photograph() -> None:
    def seen(height: float, top: float = 0.05, **more: Any) -> str | None:
        return framing_of(picture(faces=(face(box=(0.4, top, 0.6, top + height)),), **more))

    assert seen(0.4) == "close-up"
    assert seen(0.2) == "half-body"
    assert seen(0.09) == "full-body"
    assert seen(0.12, 0.3) is None  # where it ends cannot be told
    assert seen(0.12, 0.3, feet=True, hips=True) == "full-body"
    assert framing_of(picture(None)) is None
    assert view_of(picture(faces=(face(yaw=-30),))) == "left"
    assert view_of(picture(faces=(face(yaw=5),))) == "front"


def test_yaw_of_a_turned_head() -> None:
    """A head with eyes 2 apart and a nose 1.1 in front of them, turned by so many degrees."""
    for degrees in (-50, -20, 0, 20, 50):
        turn = np.radians(degrees)
        eye = np.array([-1.0, 1.0]) * np.cos(turn)
        nose = 1.1 * np.sin(turn)
        points = np.array([[eye[0], 0], [eye[1], 0], [nose, 1], [eye[0], 2], [eye[1], 2]], np.float32)
        assert yaw_of(points) == pytest.approx(degrees, abs=0.2)


@pytest.mark.parametrize("mark", MARKS)
def test_what_only_a_vision_model_sees_is_a_reason_where_it_looked_and_unknown_where_not(mark: str) -> None:
    facts = [picture() for _ in range(4)]
    found = judge(facts, LIMITS, SIDE * SIDE, defects=[(mark, "logo"), (), None, None])
    assert [[r.name for r in v.reasons] for v in found.verdicts] == [[mark], [], [], []]
    assert [v.checked for v in found.verdicts] == [True, True, False, False]
    assert not any(v.checked for v in judge(facts, LIMITS, SIDE * SIDE).verdicts)
    assert found.kept == (1, 2, 3)
    assert judge(facts, LIMITS, SIDE * SIDE, held=[0], defects=[(mark,), (), (), ()]).kept == (0, 1, 2, 3)
