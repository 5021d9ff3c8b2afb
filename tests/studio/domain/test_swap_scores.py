"""A swap is judged by whether the new face replaced the old one; what an earlier version swapped is read and judged."""

from __future__ import annotations

import pytest

from studio.domain.migration import read_stored
from studio.domain.persona import Swap, SwappedPicture
from studio.domain.swap_scores import swap_faults
from tests.studio.domain.values import key


def row(before: float, after: float, old_face: float | None, **more: object) -> SwappedPicture:
    told = {"moved": 0.1, **more}
    return SwappedPicture.make(
        name="a.png", before=key("a"), picture=key("b"), seed=1, identity_before=before, identity=after,
        old_face=old_face, **told,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("made", "faults"),
    [
        (row(0.05, 0.75, 0.1), ()),
        (row(0.05, 0.75, 0.1, old_hair=0.1), ()),
        (row(0.05, 0.2, 0.1), ("identity",)),  # somebody, but nobody that was asked for
        (row(0.05, 0.2, 0.8), ("identity", "old_face")),  # who was there
        (row(0.05, 0.6, 0.5), ("old_face",)),
        (row(0.05, 0.75, 0.1, old_hair=0.8), ("old_hair",)),
        (row(0.05, 0.0, None, moved=None), ("identity",)),  # no face any more
        (row(0.05, 0.75, 0.1, other_look=True), ("look",)),  # a drawn face in a real photo
        (row(0.05, 0.75, 0.1, other_look=False), ()),
        (row(0.9, 0.85, 0.9), ()),  # it showed the persona already
    ],
)
def test_what_did_not_work_is_said(made: SwappedPicture, faults: tuple[str, ...]) -> None:
    assert swap_faults(made, 0.43) == faults


def test_without_a_measured_recogniser_the_face_must_at_least_be_nearer_to_the_persona_than_to_who_was_there() -> None:
    assert swap_faults(row(0.1, 0.5, 0.3), -1) == ()
    assert swap_faults(row(0.1, 0.2, 0.9), -1) == ("old_face",)
    assert swap_faults(row(0.1, 0.1, 0.0), -1) == ("identity",)


def test_a_swap_of_version_0_1_is_read_and_can_be_judged() -> None:
    told = {
        "id": "s", "persona": "p",
        "pictures": [
            {
                "name": "a.png", "before": key("a"), "picture": key("b"), "seed": 1, "identity_before": 0.1,
                "identity": 0.2, "moved": 0.1,
            }
        ],
    }  # fmt: skip
    (picture,) = read_stored(Swap, told).pictures
    assert picture.faults is None
    assert swap_faults(picture, 0.43) == ("identity",)
