"""Tell of a clause what those around it say: "the beach, the smile, all lovely". Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from personas.taste.clauses import Clause
from personas.taste.reading import MILD, STRONG
from personas.taste.signs import FORBIDS, Sign, sign_of, signs_of, tends

__all__ = ["Row", "settle"]

Row = tuple[Clause, list[Sign | None]]
"""A clause with the sign of each of its groups; None where no word tells."""


def settle(clauses: Sequence[Clause]) -> list[Row]:
    """Return each clause with the signs of its groups, by its own words and by those of its neighbours."""
    rows: list[Row] = [(clause, signs_of(clause)) for clause in clauses]
    for at, (clause, _) in enumerate(rows):
        if not clause.groups and not clause.person and clause.unknown <= 1:
            _spread(rows, at, sign_of([], clause.ops))
    for before, after in pairwise(rows):
        if before[0].sentence != after[0].sentence or not before[1]:
            continue
        if not after[0].turns:
            _go_on(before, after)
        elif before[0].tokens[0].kind == "not" and _only_names(after[0]):  # "not the office but the beach"
            after[1][:] = [sign or (1, STRONG) for sign in after[1]]
    return rows


def _spread(rows: Sequence[Row], at: int, said: Sign | None) -> None:
    """Give what a clause says of nothing ("all lovely") to what was named before it, else to what comes after."""
    if said is None:
        return
    clause = rows[at][0]
    before, after = ([] if clause.turns else rows[:at][::-1]), rows[at + 1 :]
    number, is_liking = clause.sentence, any(word.kind == "like" for word in clause.ops)
    for part, sentence in ((before, number), (before, number - 1), (after, number), (after, number + 1)):
        if _give([row for row in part if row[0].sentence == sentence], said, is_liking):
            break


def _give(rows: Sequence[Row], said: Sign, is_liking: bool = False) -> bool:
    """Say the sign of groups without one, up to a clause that has its own; return whether there were any. What mostly
    complains is praised only where somebody is said to like it: "dark, I like it", but not "dark, a good picture"."""
    given = False
    for clause, signs in rows:
        if clause.groups and None not in signs:
            break
        for n, sign in enumerate(signs):
            values = clause.groups[n].values
            if sign is None and (is_liking or not (values and all(tends(value) < 0 for value in values))):
                signs[n] = said
                given = True
        if clause.turns:
            break
    return given


def _go_on(before: Row, after: Row) -> None:
    """Read a clause that goes on with what the one before it says."""
    (clause, known), (next_, signs) = before, after
    last = known[-1]
    first = next_.tokens[0] if next_.tokens else None
    if last is not None and signs and first is not None and first.text == "not":  # "seated, not standing"
        signs[0] = -last[0], STRONG
    if None in known and signs == [None]:  # "jeans and a white tee, so fresh"
        values = next_.groups[0].values
        said = sum(tends(value) for value in values) if all(tends(value) for value in values) else 0
        if said:
            _give([before], (1 if said > 0 else -1, MILD))
    if not _only_names(next_):
        return
    if any(word.text in FORBIDS for group in clause.groups for word in group.left):  # "don't look down, look here"
        signs[:] = [sign or (1, STRONG) for sign in signs]
    elif _only_names(clause) or any(word.kind in ("like", "dislike") for group in clause.groups for word in group.left):
        signs[:] = [sign or last for sign in signs]


def _only_names(clause: Clause) -> bool:
    """Whether a clause names things and says nothing of them."""
    return bool(clause.groups) and not clause.unknown and all(not g.left and not g.right for g in clause.groups)
