"""Was what was asked for drawn? The share of asked attributes that the reader sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from personas.measures.measure import Measure
from personas.shots import Shot

if TYPE_CHECKING:
    from personas.measures.subject import Subject

__all__ = ["OBEYED", "POST_ATTRIBUTES", "PROMPT", "SHOT_ATTRIBUTES", "attributes_obeyed", "post_obeyed", "shot_obeyed"]

POST_ATTRIBUTES = ("outfit", "outfit_colour", "framing")
SHOT_ATTRIBUTES = ("view", "framing", "outfit")


def attributes_obeyed(shot: Shot, seen: Mapping[str, str], attributes: Sequence[str] = POST_ATTRIBUTES) -> float | None:
    """In [0, 1]; 1 = what the reader has `seen` (`Regions.attributes`) agrees with every one of `attributes`.

    Goods count where the shot asks for some; where it does not, a product's photo may stand in the picture.

    Counts only what the reader can tell: None where it can tell nothing (readers of photographs know few words).
    """
    if shot.goods != "nothing":
        attributes = (*attributes, "goods")
    told = [seen[name] == getattr(shot, name) for name in attributes if name in seen]
    return sum(told) / len(told) if told else None


def shot_obeyed(subject: Subject) -> float | None:
    """Return `attributes_obeyed` of a candidate: SHOT_ATTRIBUTES."""
    assert subject.shot is not None and subject.attributes is not None  # noqa: PT018
    return attributes_obeyed(subject.shot, subject.attributes, SHOT_ATTRIBUTES)


def post_obeyed(subject: Subject) -> float | None:
    """Return `attributes_obeyed` of a post: POST_ATTRIBUTES."""
    assert subject.shot is not None and subject.attributes is not None  # noqa: PT018
    return attributes_obeyed(subject.shot, subject.attributes)


OBEYED = Measure(
    "obeyed", frozenset({"attributes", "shot"}), shot_obeyed, words={"en": "as asked", "zh": "符合要求"},
    on_candidates=True,
)  # fmt: skip
PROMPT = Measure(
    "prompt", frozenset({"attributes", "shot"}), post_obeyed, words={"en": "as asked", "zh": "符合要求"},
    on_posts=True, weak_below=1.0,
)  # fmt: skip
