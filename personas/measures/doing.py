"""What somebody does in a post: is the pose that was asked for there, and the thing in the hand?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from personas.measures.measure import Measure
from personas.measures.prompt import attribute_obeyed

if TYPE_CHECKING:
    from personas.measures.subject import Subject

__all__ = ["HELD", "POSE", "held_shown", "pose_shown"]


def pose_shown(subject: Subject) -> float | None:
    """Return 1 where the arms do what was asked for, 0 where they do otherwise; None where the reader cannot tell."""
    return _shown(subject, "pose")


def held_shown(subject: Subject) -> float | None:
    """Return 1 where a hand holds the thing that was asked for, 0 where it holds nothing or something else.

    None where the reader cannot tell.
    """
    return _shown(subject, "goods")


def _shown(subject: Subject, name: str) -> float | None:
    assert subject.shot is not None and subject.attributes is not None  # noqa: PT018
    obeyed = attribute_obeyed(subject.shot, subject.attributes, name)
    return None if obeyed is None else float(obeyed)


def _asks_for_a_thing(subject: Subject) -> bool:
    return subject.shot is not None and subject.shot.goods != "nothing"


POSE = Measure(
    "pose", frozenset({"attributes", "shot"}), pose_shown, words={"en": "pose", "zh": "姿势"},
    on_posts=True, weak_below=1.0,
)  # fmt: skip
HELD = Measure(
    "held", frozenset({"attributes", "shot"}), held_shown, words={"en": "thing in the hand", "zh": "手中物品"},
    on_posts=True, weak_below=1.0, applies=_asks_for_a_thing,
)  # fmt: skip
