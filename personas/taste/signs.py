"""How a clause means what it speaks of: the words beside a group, or what it is compared to, as a sign and a strength.

What is too much is disliked, what is not enough is liked, what something else is preferred to is disliked. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from personas.taste.attributes import load_attributes
from personas.taste.clauses import COMPARISONS, Clause, Group
from personas.taste.reading import MILD, STRONG
from personas.taste.tokens import Token

__all__ = ["AMOUNTS", "FORBIDS", "Sign", "sign_of", "signs_of", "tends"]

Sign = tuple[int, float]
"""(1 liked or -1 disliked, how strongly: MILD or STRONG)"""
AMOUNTS = ("too", "lack", "more", "less")
_SIGNS = {"like": 1, "good": 1, "dislike": -1, "bad": -1, "not": -1}
_VERBS, _VERDICTS = ("like", "dislike"), ("good", "bad")
FORBIDS = (
    "别",
    "甭",
    "勿",
    "莫",
    "别再",
    "不再",
    "don't",
    "dont",
    "do not",
    "never",
    "no more",
    "no longer",
    "stop using",
)
_REFUSES = (*FORBIDS, "no", "none", "nobody", "nothing")
_HALF_LACKS = ("没那么", "not very", "not really", "not that", "not so", "not particularly", "not quite")


def tends(token: Token) -> int:
    """Return what naming a value means by itself (`Attribute.tends`)."""
    return load_attributes().by_id[token.ids[0]].tends


def signs_of(clause: Clause) -> list[Sign | None]:
    """Return the sign of each group of a clause; None where no word tells."""
    groups = clause.groups
    at = next((n for n, g in enumerate(groups) if any(t.kind in COMPARISONS for t in g.left)), None)
    if at is not None:
        return _compare(groups, at)
    signs = [sign_of(g.left, g.right, g) for g in groups]
    for n, group in enumerate(groups[:-1]):
        if signs[n] is None and not group.left:
            signs[n] = _predicate(group, groups[n + 1], signs[n + 1])
    for n in range(1, len(groups)):  # "I like the way she walks on the beach"
        if signs[n] is None and any(t.kind in _VERBS for t in groups[n - 1].left):
            signs[n] = signs[n - 1]
    return signs


def sign_of(left: Sequence[Token], right: Sequence[Token], group: Group | None = None) -> Sign | None:
    """Return how the words before and behind a group mean it; None where they do not tell.

    The word next to it counts most: in "I love how it is not too dark" the dark is disliked.
    """
    if group is not None and any(t.is_fault for t in group.tokens):
        return -1, STRONG
    before, behind = [t for t in left if t.kind != "very"], [t for t in right if t.kind != "very"]
    kinds = {t.kind for t in before}
    short = "not" in kinds and any(t.text == "enough" for t in right)  # "not bright enough"
    sign = 1 if short else _amount_before(before, group)
    if not sign and kinds & {*_VERBS}:
        sign = _product(before)
    if not sign:
        sign = _amount_behind(behind)
    if not sign:
        verdict = _product(behind) if any(t.kind in _SIGNS for t in behind) else 0
        if "not" in kinds and not kinds & {*_VERDICTS}:
            sign = -verdict or _refusal(before, group)
        else:
            sign = verdict or (_product(before) if kinds & {*_VERDICTS} else 0)
    mild = any(t.kind == "hedge" for t in (*before, *behind))
    if not sign and mild:  # "a bit dark" complains, "kind of cute" does not
        sign = 1 if _tendency(group) > 0 else -1
    if not sign and any(t.kind == "wish" for t in (*before, *behind)):
        sign, mild = 1, True
    return (sign, MILD if mild else STRONG) if sign else None


def _product(ops: Sequence[Token]) -> int:
    return prod(_SIGNS[t.kind] for t in ops if t.kind in _SIGNS)


def _tendency(group: Group | None) -> int:
    return 0 if group is None else sum(tends(t) for t in group.values)


def _amount_before(before: Sequence[Token], group: Group | None) -> int:
    """Return the sign of "too", "not enough", "more" or "less" before a value; 0 where none is."""
    at = next((n for n in reversed(range(len(before))) if before[n].kind in AMOUNTS), None)
    if at is None or any(t.kind in _SIGNS for t in before[at + 1 :]):
        return 0  # "too beautiful" is no excess of what follows
    word = before[at]
    if word.kind == "too":  # 太温馨了 praises
        return 1 if not word.is_english and _tendency(group) > 1 else -1
    if word.kind == "lack":
        return -1 if word.text in _HALF_LACKS and _tendency(group) <= 0 else 1
    if word.kind == "less":
        return -1
    return -1 if any(t.kind in ("not", "dislike", "bad") for t in before[:at]) else 1


def _amount_behind(behind: Sequence[Token]) -> int:
    """Return the sign of such a word behind a value: "红色少一点"; 0 where none is."""
    at = next((n for n in reversed(range(len(behind))) if behind[n].kind in AMOUNTS), None)
    if at is None:
        return 0
    kind = behind[at].kind
    if kind in ("too", "more") and any(t.kind in _SIGNS for t in (*behind[at + 1 :], *behind[:at])):
        return 0  # "也太好看了"
    return {"too": -1, "lack": 1, "more": 1, "less": -1}[kind]


def _refusal(before: Sequence[Token], group: Group | None) -> int:
    """Return the sign of "no …": what is missed by its absence is liked ("she does not smile"), all else disliked."""
    told = [t.text for t in before if t.kind == "not"]
    if any(text in FORBIDS for text in told) or _tendency(group) <= 0:
        return -1
    return 1 if not any(text in _REFUSES for text in told) or _tendency(group) > 0 else -1


def _predicate(group: Group, after: Group, sign: Sign | None) -> Sign | None:
    """Return what the next group says of this one ("卧室的那张很温馨"); being too much of something says nothing."""
    kinds = {t.kind for t in after.left}
    if not group.values or (kinds | {t.kind for t in after.right}) & {*AMOUNTS, *_VERBS}:
        return None
    if any(t.kind in _VERDICTS for t in after.right):
        return sign
    if "wish" in kinds:
        return None
    said = _tendency(after)
    return ((1 if said > 0 else -1) * (-1 if "not" in kinds else 1), MILD) if said else None


def _compare(groups: Sequence[Group], at: int) -> list[Sign | None]:
    """Return the signs of groups of which that at `at` stands behind a word of comparison."""
    kind = next(t.kind for t in groups[at].left if t.kind in COMPARISONS)
    if kind == "exchange":  # "change the coat to a dress"
        told: list[Sign | None] = [None] * at
        return [*told, (-1, STRONG), *((1, STRONG) for _ in groups[at + 1 :])]
    if kind == "swap":
        return [*((-1, STRONG) for _ in groups[:at]), *((1, STRONG) for _ in groups[at:])]
    if kind == "compared_to" and at == 0:
        rest = [sign_of(g.left, g.right, g) or (1, STRONG) for g in groups[1:]]
        return [(-rest[0][0] if rest else -1, STRONG), *rest]
    sign, rest_ = 1, list[Sign | None]()
    if kind == "compared":  # A比B好: the verdict stands behind both
        verdict = sign_of([], groups[at].right)
        rest_ = [sign_of(g.left, g.right, g) for g in groups[at + 1 :]]
        sign = verdict[0] if verdict else rest_[0][0] if rest_ and rest_[0] else 1
    elif kind == "worse_than":
        sign = -1
    elif kind != "better_than":
        lead = sign_of([t for g in groups[:at] for t in (*g.left, *g.right)], [])
        sign = lead[0] if lead else 1
    right = groups[at : at + 1] if kind == "compared" else groups[at:]
    return [*((sign, STRONG) for _ in groups[:at]), *((-sign, STRONG) for _ in right), *rest_]
