"""Facts of a part of a picture: a framing that the cut changes is not said as before."""

from __future__ import annotations

from typing import Any

import pytest

from personas.captions.measured import describe
from personas.datasets.coverage import framing_of
from personas.datasets.facts import PictureFacts
from personas.datasets.framed import keep_boxes, seen_in
from tests.personas.datasets.test_verdicts import face, picture

WHOLE = (0.0, 0.0, 1.0, 1.0)


def facts(box: tuple[float, float, float, float], **told: Any) -> PictureFacts:
    """A picture with a face in this box."""
    return picture(faces=(face(box=box),), **told)


def test_a_whole_picture_is_as_it_was() -> None:
    one = facts((0.4, 0.1, 0.6, 0.25))
    assert seen_in(one, WHOLE) is one
    assert seen_in(one, (0.01, 0.01, 0.99, 0.99)) is one


@pytest.mark.parametrize(
    ("window", "framing"),
    [
        ((0.1, 0.0, 0.9, 1.0), "full-body"),  # the sides change nothing
        ((0.0, 0.0, 1.0, 0.5), "close-up"),  # a face of .15 is .3 of half the picture
        ((0.0, 0.0, 1.0, 0.9), "half-body"),
    ],
)
def test_what_the_cut_makes_of_a_framing(window: tuple[float, float, float, float], framing: str) -> None:
    one = facts((0.4, 0.1, 0.6, 0.25), words={"framing": "full-body", "goods": "bag"}, feet=True, hips=True)
    seen = seen_in(one, window)
    assert framing_of(seen) == framing
    assert describe(seen).shot.framing == framing
    assert seen.words["goods"] == "bag"


def test_where_joints_told_and_are_cut_off_nothing_is_said_that_nobody_knows() -> None:
    one = facts((0.45, 0.02, 0.55, 0.1), feet=True, hips=True)
    assert framing_of(one) == "full-body"
    assert framing_of(seen_in(one, (0.0, 0.0, 1.0, 0.6))) is None


def test_goods_that_may_be_cut_off_are_not_said() -> None:
    one = facts((0.4, 0.1, 0.6, 0.25), words={"goods": "bag", "light": "sunset"})
    assert dict(seen_in(one, (0.0, 0.0, 0.5, 1.0), whole=False).words) == {"light": "sunset"}


def test_the_box_of_a_face_has_room_for_its_hair_unless_a_reader_saw_the_head() -> None:
    ((x0, y0, x1, y1),) = keep_boxes(facts((0.4, 0.2, 0.6, 0.4)))
    assert x0 < 0.4 < 0.6 < x1
    assert y0 <= 0.1
    assert y1 >= 0.4
    head = (0.3, 0.0, 0.7, 0.5)
    one = facts((0.4, 0.2, 0.6, 0.4), keep=(head,))
    assert keep_boxes(one) == (head,)
    assert keep_boxes(seen_in(one, (0.0, 0.0, 1.0, 0.5))) == ((0.3, 0.0, 0.7, 1.0),)
