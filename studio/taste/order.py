"""Pictures in somebody's order: how likely each is liked, why, and which to ask about next. Never a gate.

What is known of a picture is the words of its shot and its pixels (`personas.taste.seen`); who likes it follows from
comments, changes by hand and votes (`personas.taste.scorer`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from personas.taste.scorer import ASK_SCALE, ASK_SPREAD, Pair, Scorer, Vote, fit_scorer, prior_mean, propose
from personas.taste.seen import SEEN, as_features, pixels_of, words_of
from pipelines.errors import BadInput
from studio.domain.taste import Taste, join_tastes
from studio.library.records import Records
from studio.library.store import Store
from studio.taste.keeping import ballots_of

__all__ = ["Liking", "Picture", "Ranked", "liking_of", "unknown_liking"]

_MOST_VOTES = 300  # the newest
_KEPT = 20_000
_LEAST_SPOKE = 0.05  # of a utility


@dataclass(frozen=True)
class Picture:
    """A picture by its key, and the words of its shot by field, {} where nobody knows."""

    key: str
    shot: Mapping[str, str]


@dataclass(frozen=True)
class Ranked:
    """Where a picture stands: its place in what was given, how likely it is liked, how sure that is (the utility's
    standard deviation), and what spoke for it (above 0) and against it (below), the strongest first."""

    place: int
    chance: float
    spread: float
    spoke: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Liking:
    """What somebody likes, as far as it is known; `asking` is what is asked by, which is less sure."""

    scorer: Scorer
    asking: Scorer
    store: Store

    def rank(self, pictures: Sequence[Picture]) -> tuple[Ranked, ...]:
        """Return all pictures, the likeliest first; equals stay as they stand."""
        if not pictures:
            return ()
        features = as_features([_known(self.store, one) for one in pictures])
        chances, (_, spreads) = self.scorer.liked(features), self.scorer.utilities(features)
        usual = features.mean(axis=0)  # what all of them show says nothing of one
        return tuple(
            Ranked(n, float(chances[n]), float(spreads[n]), _spoke(self.scorer, features[n] - usual))
            for n in self.scorer.order(features)
        )

    def ask_next(self, pictures: Sequence[Picture], count: int, seed: int = 0) -> list[int]:
        """Return the places of those that tell most, one of them by chance."""
        features = as_features([_known(self.store, one) for one in pictures])
        return propose(self.asking, features, min(count, len(pictures)), seed)


def liking_of(records: Records, store: Store, owner: str, tastes: Sequence[Taste]) -> Liking | None:
    """Return what the owner likes by these tastes and by all votes; None where nothing was said yet."""
    weights, ballots = join_tastes(tastes), ballots_of(records, owner, tastes)[-_MOST_VOTES:]
    if not weights and not ballots:
        return None
    rows: list[Mapping[str, float]] = []
    votes, pairs = list[Vote](), list[Pair]()
    for one in ballots:
        seen = [_known(store, Picture(one.picture, one.shot))]
        seen += [_known(store, Picture(one.over, one.shot_over))] if one.over else []
        if not all(seen):  # the picture is gone, and nobody can say what it showed
            continue
        at = len(rows)
        rows += seen
        if one.over:
            pairs.append(Pair(at, at + 1) if one.vote > 0 else Pair(at + 1, at))
        else:
            votes.append(Vote(at, one.vote))
    features = as_features(rows) if rows else np.zeros((0, len(SEEN)))
    scorer = fit_scorer(features, votes, pairs, prior_mean(weights, SEEN))
    asking = fit_scorer(features, votes, pairs, prior_mean(weights, SEEN, ASK_SCALE), spread=ASK_SPREAD)
    return Liking(scorer, asking, store)


def unknown_liking(store: Store) -> Liking:
    """Return the liking of somebody of whom nothing is known: whatever tells most is asked first."""
    nothing = np.zeros((0, len(SEEN)))
    return Liking(fit_scorer(nothing), fit_scorer(nothing, spread=ASK_SPREAD), store)


def _spoke(scorer: Scorer, features: npt.NDArray[np.float64]) -> tuple[tuple[str, float], ...]:
    told = scorer.spoke(features, SEEN)
    return tuple((name, value) for name, value in told if abs(value) >= _LEAST_SPOKE)


def _known(store: Store, picture: Picture) -> Mapping[str, float]:
    """Return what is known of a picture: of one that is gone, or is none, its shot's words alone."""
    words = words_of(picture.shot)
    try:
        return {**words, **_pixels(store, picture.key)}
    except (BadInput, OSError):
        return words


@lru_cache(maxsize=_KEPT)
def _pixels(store: Store, key: str) -> Mapping[str, float]:
    """Return what a stored picture's pixels show. Raises BadInput where it is gone, OSError for what is none."""
    return pixels_of(store.get_picture(key))
