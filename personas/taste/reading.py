"""What was read in a comment: items, what could not be read, and the question that it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from personas.taste.attributes import load_attributes

__all__ = ["MOST_CHIPS", "MOST_COMMENT", "Item", "Question", "Reading", "WhyUnread", "join_items"]

MOST_COMMENT = 2000  # letters
MOST_CHIPS = 6
MILD, STRONG = 0.5, 1.0
WhyUnread = Literal["aspect", "sign", "contradiction", "person", "vague", "nothing", "language"]
"""Why something was not read: an aspect whose value nobody knows ("the light"), no word of liking or disliking, both of
them, the person's own looks, which taste does not change, an opinion of nothing, no opinion, another language."""
_MOST_ASKED = ("setting", "light", "outfit_colour", "pose", "expression", "tone")


@dataclass(frozen=True)
class Item:
    """An attribute that a comment likes (0 < weight ≤ 1) or dislikes (-1 ≤ weight < 0).

    `start` and `end` are where the comment says so.
    """

    attribute: str
    weight: float
    start: int
    end: int


@dataclass(frozen=True)
class Question:
    """What to ask back, and chips to answer with: attributes' ids, or fields' names where the whole is unclear."""

    why: WhyUnread
    field: str
    chips: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """`items` in the order of the comment; `question` is None where nothing is left to ask."""

    items: tuple[Item, ...]
    question: Question | None = None


def join_items(found: Sequence[Item]) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """Return one item an attribute, the stronger of two; and the attributes that are said to be liked and disliked."""
    kept: dict[str, Item] = {}
    against: dict[str, None] = {}
    for item in found:
        before = kept.get(item.attribute)
        if before is None:
            kept[item.attribute] = item
        elif before.weight * item.weight < 0:
            against[item.attribute] = None
        elif abs(item.weight) > abs(before.weight):
            kept[item.attribute] = item
    return tuple(item for item in kept.values() if item.attribute not in against), tuple(against)


def ask_about(why: WhyUnread, field: str = "", seen: str = "") -> Question:
    """Return a question about a field ("": the whole picture); `seen` is the attribute that the picture shows."""
    fields = load_attributes().fields
    if field not in fields:
        return Question(why, "", _MOST_ASKED)
    ids = [value.id for value in fields[field].values.values()]
    first = [seen] if seen in ids else []
    return Question(why, field, (*first, *(one for one in ids if one != seen))[:MOST_CHIPS])
