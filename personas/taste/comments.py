"""Comments read without a model, in Chinese and English: what they like, what they dislike, and where they say so.

Words are found by `tokens`, which go together by `clauses`, and what they mean by `signs`. What no word tells is told
by `neighbours`, by what naming it means, or by the vote on the picture; else a question is left. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from personas.taste.attributes import load_attributes
from personas.taste.clauses import Clause, Group, clauses_of
from personas.taste.languages import is_other_language
from personas.taste.neighbours import settle
from personas.taste.reading import MILD, MOST_COMMENT, STRONG, Item, Question, Reading, WhyUnread, ask_about, join_items
from personas.taste.signs import AMOUNTS, Sign, tends
from personas.taste.tokens import Token, tokens_of
from pipelines.errors import BadInput

__all__ = ["check_comment", "read_comment"]

_ORDER: tuple[WhyUnread, ...] = ("aspect", "sign", "person", "vague")


def check_comment(comment: str) -> str:
    """Return the comment as it stands. Raises BadInput where it says nothing, or too much at once."""
    if not comment.strip():
        raise BadInput("comment_empty")
    if len(comment) > MOST_COMMENT:
        raise BadInput("comment_too_long", most=MOST_COMMENT, count=len(comment))
    return comment


def read_comment(comment: str, shown: Mapping[str, str] | None = None, vote: int = 0) -> Reading:
    """Return what a comment likes and dislikes.

    `shown` are names of the attributes that the picture is known to show, by field: what "love the light" is about.
    `vote` (1, -1, or 0 for none) is how the picture was liked: what a comment means that only names something. Raises
    BadInput as `check_comment`.
    """
    tokens = list(tokens_of(check_comment(comment)))
    if is_other_language(comment, tokens):
        return Reading((), ask_about("language"))
    reader = _Reader(shown or {}, vote)
    for clause, signs in settle(clauses_of(tokens)):
        reader.read(clause, signs)
    items, against = join_items(reader.items)
    return Reading(items, reader.question(against))


class _Reader:
    """Collects items, and why the rest was not read."""

    def __init__(self, shown: Mapping[str, str], vote: int) -> None:
        self.items: list[Item] = []
        self._shown, self._vote = shown, vote
        self._unread: dict[WhyUnread, Question] = {}

    def read(self, clause: Clause, signs: Sequence[Sign | None]) -> None:
        """Take the items of one clause."""
        for group, sign in zip(clause.groups, signs, strict=True):
            if group.values:
                told = [tends(value) for value in group.values]
                for value in group.values:
                    if sign is None and min(told) < 0 <= tends(value):
                        continue  # "her smile looks forced"
                    self._take(group, value, sign or self._by_itself(value) or ((1, MILD) if max(told) > 0 else None))
            elif sign is not None:
                self._aspect(group, sign)
        if clause.ops and not clause.groups:
            self._miss("person" if clause.person else "vague")

    def question(self, against: Sequence[str]) -> Question | None:
        """Return what to ask, `against` being the attributes that were liked and disliked at once."""
        if against:
            return Question("contradiction", against[0].partition(".")[0], tuple(against))
        asked = _ORDER[:3] if self.items else _ORDER
        found = next((self._unread[why] for why in asked if why in self._unread), None)
        return found or (None if self.items else ask_about("nothing"))

    def _by_itself(self, value: Token) -> Sign | None:
        """Return what a comment means that names a value and says no more: a fault is one, whatever the vote."""
        said = tends(value)
        sign = said if said < 0 else self._vote or min(said, 1)
        return (sign, STRONG) if sign else None

    def _take(self, group: Group, value: Token, sign: Sign | None) -> None:
        attribute = value.ids[0]
        if sign is None:
            self._unread.setdefault("sign", Question("sign", attribute.partition(".")[0], (attribute,)))
            return
        self.items.append(Item(attribute, sign[0] * sign[1], group.start, group.end))

    def _aspect(self, group: Group, sign: Sign) -> None:
        """Take an item of an aspect without a value: "more contrast" says which, "lovely light" is what is shown."""
        words = (*group.left, *group.right)
        ends = next((t.dimension for t in group.tokens if t.dimension is not None), None)
        if any(t.kind in AMOUNTS for t in words):
            if ends is not None:
                self.items.append(Item(ends[-1 if len(ends) > 2 else 0], sign[0] * sign[1], group.start, group.end))
            else:
                self._miss("vague")
            return
        fields = group.tokens[-1].fields
        known = load_attributes().by_id
        seen = next((one for one in (f"{f}.{self._shown.get(f)}" for f in fields) if one in known), None)
        if seen is not None:
            self.items.append(Item(seen, sign[0] * sign[1], group.start, group.end))
        else:
            self._unread.setdefault("aspect", ask_about("aspect", fields[0]))

    def _miss(self, why: WhyUnread) -> None:
        told = Question(why, "", ()) if why == "person" else ask_about(why)
        self._unread.setdefault(why, told)
