"""How well the scorer puts new pictures in a simulated user's order, after comments, votes and pairs.

It gets what pictures were asked to show and their pixels. Who prefers what is decided by what the shipped reader finds
in them and by the very same measures of their pixels: of a third of the attributes the scorer sees what the judge sees.
"where words decide" is without these: as if pixels said nothing to the user, in pairs that are not liked alike. Votes
and comments are on pictures of the first half of the groups' prompts, the pairs to be put in order on those of the
second: no prompt is in both. "the hidden taste itself" is the ceiling: the user's own weights, nothing to learn, on
what pictures were asked to show (what the scorer gets) and on what the reader finds in them (what the user goes by).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from benchmarks.statistics import Score, bootstrap, clustered_score
from benchmarks.taste_pictures import Seen
from benchmarks.taste_reading import Heard
from benchmarks.taste_users import User, choose
from personas.taste.scorer import Pair, Scorer, Vote, fit_scorer, prior_mean
from personas.taste.seen import SEEN, as_features

__all__ = ["scorer_scores"]

_PAIRS = 60  # new ones a user
_OTHER = 7  # whose votes are taken in a user's place: so many further on


def scorer_scores(
    users: Sequence[User], heard: Sequence[Heard], plain: Sequence[Sequence[Seen]], scale: float, seed: int
) -> tuple[dict[str, Score], dict[str, Score]]:
    """Return the shares of new pairs that are put as their user puts them."""
    half = len(plain) // 2
    known, new = ([one for rows in part for one in rows] for part in (plain[:half], plain[half:]))
    features, fresh = as_features([one.known for one in known]), as_features([one.known for one in new])
    right: dict[str, list[list[float]]] = {f"scorer_{name}": [] for name in ("0", "8", "32", "mismatched")}
    right |= {"  votes alone, 32": [], "  what most people like": [], "  the user again": []}
    right |= {"  the hidden taste itself, on what was asked": [], "  the hidden taste itself, on what is seen": []}
    right |= {f"  {name}, where words decide": [] for name in ("scorer_0", "scorer_8", "scorer_32")}
    said, came = list[NDArray[np.float64]](), list[NDArray[np.float64]]()
    scorers = {
        n: [_fitted(u, h, known, features, scale, n, seed) for u, h in zip(users, heard, strict=True)]
        for n in (0, 8, 32)
    }
    silent = [_fitted(u, None, known, features, scale, 32, seed) for u in users]
    popular = np.mean([scorer.mean for scorer in scorers[32]], axis=0)
    for number, user in enumerate(users):
        rng = random.Random(f"{seed} pairs {user.number}")
        pairs = [rng.sample(range(len(new)), 2) for _ in range(_PAIRS)]
        first, second = (fresh[[pair[k] for pair in pairs]] for k in (0, 1))
        chosen = np.array([choose(user, new[a].shown, new[b].shown, scale, rng) for a, b in pairs])
        again = np.array([choose(user, new[a].shown, new[b].shown, scale, rng) for a, b in pairs])
        words = np.array([choose(user.by_words(), new[a].shown, new[b].shown, scale, rng) for a, b in pairs])

        def agree(chance: NDArray[np.float64], chosen: NDArray[np.float64] = chosen) -> list[float]:
            told = np.where(np.abs(chance - 0.5) < 1e-9, 0.5, chance > 0.5)
            return [float(one) for one in 1 - np.abs(told - chosen)]

        other = (number + _OTHER) % len(users)
        decided = words != 0.5
        for n in (0, 8, 32):
            chances = scorers[n][number].preferred(first, second)
            right[f"scorer_{n}"].append(agree(chances))
            right[f"  scorer_{n}, where words decide"].append(agree(chances[decided], words[decided]))
        right["scorer_mismatched"].append(agree(scorers[32][other].preferred(first, second)))
        right["  votes alone, 32"].append(agree(silent[number].preferred(first, second)))
        right["  what most people like"].append(agree(expit((first - second) @ popular)))
        right["  the user again"].append(agree(again))
        for on, pictures in (("what was asked", "known"), ("what is seen", "shown")):
            liked = np.array([user.utility(getattr(one, pictures)) for one in new])
            apart = liked[[a for a, _ in pairs]] - liked[[b for _, b in pairs]]
            right[f"  the hidden taste itself, on {on}"].append(agree(expit(apart)))
        said.append(chances)
        came.append(chosen)
    scores = {name: clustered_score(rows) for name, rows in right.items()}
    scores["  calibration error, 32"] = bootstrap(
        len(users),
        lambda i: _calibration(np.concatenate([said[n] for n in i]), np.concatenate([came[n] for n in i])),
        rounds=100,
    )
    keys = [name for name in scores if name.startswith("scorer")]
    return {name: scores[name] for name in keys}, {name: s for name, s in scores.items() if name not in keys}


def _fitted(
    user: User,
    heard: Heard | None,
    known: Sequence[Seen],
    features: NDArray[np.float64],
    scale: float,
    count: int,
    seed: int,
) -> Scorer:
    """Return the scorer after so many votes and as many pairs, and the comments where they were `heard`."""
    rng = random.Random(f"{seed} votes {user.number}")
    utilities = [user.utility(one.shown) for one in known]
    middle = float(np.median(utilities))
    votes = [
        Vote(row, 1 if rng.random() < expit(scale * (utilities[row] - middle)) else -1)
        for row in rng.sample(range(len(known)), min(count, len(known)))
    ]
    pairs = []
    for _ in range(count):
        a, b = rng.sample(range(len(known)), 2)
        better = choose(user, known[a].shown, known[b].shown, scale, rng)
        if better != 0.5:
            pairs.append(Pair(a, b) if better else Pair(b, a))
    prior = None if heard is None else prior_mean(heard.weights, SEEN)
    return fit_scorer(features, votes, pairs, prior)


def _calibration(said: NDArray[np.float64], came: NDArray[np.float64]) -> float:
    """Return the mean distance of what is called likely from how often it is so, in ten bins."""
    bins = np.clip((said * 10).astype(int), 0, 9)
    return float(
        sum(abs(said[bins == b].mean() - came[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins))
    )
