"""Was what was asked for drawn? The share of asked attributes that the reader sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from personas.measures.measure import Measure
from personas.shots import WORDS, Shot

if TYPE_CHECKING:
    from personas.measures.subject import Subject

__all__ = [
    "OBEYED", "POST_ATTRIBUTES", "PROMPT", "SHOT_ATTRIBUTES", "attribute_obeyed", "attributes_obeyed", "post_obeyed",
    "shot_obeyed",
]  # fmt: skip

POST_ATTRIBUTES = ("outfit", "outfit_colour", "framing", "pose")
SHOT_ATTRIBUTES = ("view", "framing", "outfit")


def attribute_obeyed(shot: Shot, seen: Mapping[str, str], name: str) -> bool | None:
    """Whether the reader has `seen` what a shot asks for in one field; None where it cannot tell.

    It knows the words of the lists alone: of a thing that no list has, it can tell only that no hand holds any.
    """
    asked = getattr(shot, name)
    if name not in seen:
        return None
    if asked in WORDS[name]:
        return bool(seen[name] == asked)
    return False if (name, seen[name]) == ("goods", "nothing") else None


def attributes_obeyed(shot: Shot, seen: Mapping[str, str], attributes: Sequence[str] = POST_ATTRIBUTES) -> float | None:
    """In [0, 1]; 1 = what the reader has `seen` (`Regions.attributes`) agrees with every one of `attributes`.

    Goods count where the shot asks for some; where it does not, a product's photo may stand in the picture. The colour
    of a garment that is said in own words may stand in those words.

    Counts only what the reader can tell: None where it can tell nothing (readers of photographs know few words).
    """
    if shot.goods != "nothing":
        attributes = (*attributes, "goods")
    if "outfit" in shot.free:
        attributes = [name for name in attributes if name != "outfit_colour"]
    told = [obeyed for name in attributes if (obeyed := attribute_obeyed(shot, seen, name)) is not None]
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
