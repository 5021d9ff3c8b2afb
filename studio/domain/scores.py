"""Scores in a person's words: what MEASURES says of candidates and posts, for pages and the command line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from personas.measures.catalogue import POST_MEASURES
from personas.measures.measure import Measure
from personas.shots import Shot
from studio.texts.texts import Texts

__all__ = ["is_weaker", "say_scores", "weak_scores"]


def say_scores(
    texts: Texts, scores: Mapping[str, float | None], rows: Sequence[Measure], shot: Shot | None = None
) -> dict[str, str]:
    """Return by name what was measured, such as "person 0.81", in the order of `rows`.

    Those that could not be measured are named together, last and under "": never a number. So is what the `shot` asks
    for in own words, of which no reader can tell whether it is there.
    """
    said: dict[str, str] = {}
    unknown = []
    for row in rows:
        value = scores.get(row.name)
        if value is not None and math.isfinite(value):
            number = str(value) if isinstance(value, int) else f"{value:.2f}"
            said[row.name] = f"{row.words[texts.language]} {number}"
        elif row.name in scores:
            unknown.append(row.words[texts.language])
    unknown += [] if shot is None else shot.free.values()
    return said | ({"": texts("scores.not_measured", names=texts("comma").join(unknown))} if unknown else {})


def weak_scores(scores: Mapping[str, float | None], least_identity: float) -> frozenset[str]:
    """Return the scores of a post that say that it should be drawn again: not all that was asked for is there, or the
    face may be somebody else's (its cosine is under `least_identity`)."""
    limits = {row.name: least_identity if row.weak_below == "strangers" else row.weak_below for row in POST_MEASURES}
    low = {
        name
        for name, limit in limits.items()
        if limit is not None and (value := scores.get(name)) is not None and value < limit
    }
    most = {row.name: row.weak_above for row in POST_MEASURES if row.weak_above is not None}
    high = {name for name, limit in most.items() if (value := scores.get(name)) is not None and value > limit}
    return frozenset(low | high)


def is_weaker(scores: Mapping[str, float | None], than: Mapping[str, float | None], least_identity: float) -> bool:
    """Return whether a post is worse than another of the same shot: more of it is weak, or cannot be measured though it
    can on the other; else its mean is lower over what both have of the scores with two ends.
    """

    def faults(own: Mapping[str, float | None], other: Mapping[str, float | None]) -> int:
        lost = [name for name, value in other.items() if value is not None and own.get(name) is None]
        return len(weak_scores(own, least_identity)) + len(lost)

    ours, theirs = faults(scores, than), faults(than, scores)
    if ours != theirs:
        return ours > theirs
    names = [row.name for row in POST_MEASURES if row.high is not None and row.higher_is_better]
    pairs = [(a, b) for n in names if (a := scores.get(n)) is not None and (b := than.get(n)) is not None]
    return math.fsum(a - b for a, b in pairs) < 0
