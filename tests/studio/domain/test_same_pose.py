"""Pictures of the same pose are found beside each other, whatever is worn; what has no match is counted."""

from __future__ import annotations

from personas.shots import Shot
from studio.domain.same_pose import same_pose
from tests.studio.domain.values import make_post

WAVING, CLOSE = Shot(pose="waving"), Shot(framing="close-up", view="left")


def test_rows_are_poses_that_two_columns_show() -> None:
    left = [make_post(0, "a", shot=WAVING), make_post(1, "a", shot=CLOSE), make_post(2, "a", shot=Shot())]
    right = [
        make_post(0, "b", shot=Shot(pose="waving", outfit="coat", goods="cup")), make_post(1, "b", shot=CLOSE),
        make_post(2, "b", shot=CLOSE), make_post(3, "b", shot=Shot(view="right")),
    ]  # fmt: skip
    rows, others = same_pose([left, right])
    assert [row.pose for row in rows] == [("half-body", "front", "waving"), ("close-up", "left", "relaxed")]
    assert [[post.origin for post in posts] for posts in rows[1].columns] == [[("a", 1)], [("b", 1), ("b", 2)]]
    assert others == 2


def test_of_three_two_are_enough() -> None:
    one = [make_post(0, "a", shot=WAVING)]
    rows, others = same_pose([one, [make_post(0, "b", shot=CLOSE)], one])
    assert [[len(posts) for posts in row.columns] for row in rows] == [[1, 0, 1]]
    assert others == 1
    assert same_pose([one]) == ((), 1)
    assert same_pose([]) == ((), 0)
