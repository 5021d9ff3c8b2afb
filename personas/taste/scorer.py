"""How one person would vote on pictures: Bayesian logistic regression on features, from comments and votes. Pure.

A picture's utility is u(x) = wᵀx. The prior mean m of w is what comments said of the features; how far votes stray from
comments, w - m, is Student's t with ν degrees of freedom and scale s: few things are liked much, most not at all. It
is fitted by expectation and maximisation: N(m, diag(1/p)) with p = (ν + 1) / (ν s² + E (w - m)²), p = 1/s² at first.

A vote y ∈ {-1, 1} on x has P(y) = σ(y (u(x) - b)), b ~ N(0, s_b²); of two pictures the first is preferred with
σ(u(x₁) - u(x₂)) (Bradley & Terry 1952). The posterior is Laplace's: its mode, and the inverse Hessian there as
covariance Σ (Bishop 2006, 4.4-4.5). How likely a vote is averages over it with MacKay's κ: P(liked) ≈ σ(κ μ),
κ = 1/√(1 + π v/8), μ = E u, v = Var u.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

__all__ = ["ASK_SCALE", "ASK_SPREAD", "Scorer", "Vote", "Pair", "fit_scorer", "prior_mean", "propose"]

Floats = npt.NDArray[np.float64]
SPREAD = 0.4  # s; this, ν and the scale below are what did best on 60 simulated people
FREEDOM = 1.0  # ν
ROUNDS = 8
OFFSET_SPREAD = 2.0  # of how readily somebody votes at all
COMMENT_SCALE = 4.5  # how much a fully liked attribute adds to a picture's utility
ASK_SPREAD, ASK_SCALE = 1.0, 2.0  # what is asked next is asked as if less were known


@dataclass(frozen=True)
class Vote:
    """The picture of this row was liked (1) or not (-1)."""

    row: int
    said: int


@dataclass(frozen=True)
class Pair:
    """The picture of the row `better` was preferred to that of the row `worse`."""

    better: int
    worse: int


@dataclass(frozen=True)
class Scorer:
    """`mean` [d] and `covariance` [d, d] of the features' weights; `offset` is the utility that is liked half of the
    time."""

    mean: Floats
    covariance: Floats
    offset: float = 0.0

    def utilities(self, features: Floats) -> tuple[Floats, Floats]:
        """Return mean and standard deviation [n] of the utilities of features [n, d]."""
        spread = np.einsum("nd,de,ne->n", features, self.covariance, features)
        return features @ self.mean, np.sqrt(np.maximum(spread, 0.0))

    def liked(self, features: Floats) -> Floats:
        """Return how likely each picture of features [n, d] is liked, in (0, 1)."""
        mean, spread = self.utilities(features)
        return _probability(mean - self.offset, spread**2)

    def preferred(self, first: Floats, second: Floats) -> Floats:
        """Return how likely each picture of `first` [n, d] is preferred to that of `second` [n, d]."""
        mean, spread = self.utilities(first - second)
        return _probability(mean, spread**2)

    def order(self, features: Floats) -> list[int]:
        """Return the rows, the best first: an order and never a gate. Equals stay as they stand."""
        return np.argsort(-(features @ self.mean), kind="stable").tolist()

    def spoke(self, features: Floats, names: Sequence[str], most: int = 3) -> tuple[tuple[str, float], ...]:
        """Return which features of one picture [d] moved its utility most, with how far."""
        parts = self.mean * features
        strongest = np.argsort(-np.abs(parts), kind="stable")[:most]
        return tuple((names[i], float(parts[i])) for i in strongest if parts[i])


def prior_mean(weights: Mapping[str, float], names: Sequence[str], scale: float = COMMENT_SCALE) -> Floats:
    """Return the prior mean [d] of features that are called after attributes; what no comment speaks of is 0."""
    return np.array([scale * weights.get(name, 0.0) for name in names], np.float64)


def fit_scorer(
    features: Floats,
    votes: Sequence[Vote] = (),
    pairs: Sequence[Pair] = (),
    prior: Floats | None = None,
    *,
    spread: float = SPREAD,
    rounds: int = ROUNDS,
) -> Scorer:
    """Return the scorer of features [n, d] after votes and pairs on their rows; without any it is the prior's.

    `rounds` of expectation and maximisation; with one the prior is the normal distribution.
    """
    count = features.shape[1]
    mean = np.zeros(count) if prior is None else np.asarray(prior, np.float64)
    start = np.append(mean, 0.0)  # the last is the offset
    precision = np.append(np.full(count, spread**-2), OFFSET_SPREAD**-2)
    rows = [np.append(features[v.row], -1.0) * v.said for v in votes]
    rows += [np.append(features[p.better] - features[p.worse], 0.0) for p in pairs]
    if not rows:
        return Scorer(mean, np.diag(1 / precision[:-1]))
    seen = np.stack(rows)

    weights = start
    for number in range(rounds):
        weights = _mode(seen, start, precision, weights)
        chance = expit(seen @ weights)
        hessian = np.diag(precision) + (seen * (chance * (1 - chance))[:, None]).T @ seen
        covariance = np.linalg.inv(hessian)
        if number + 1 < rounds:
            strayed = (weights - start)[:-1] ** 2 + np.diag(covariance)[:-1]
            precision = np.append((FREEDOM + 1) / (FREEDOM * spread**2 + strayed), precision[-1])
    return Scorer(weights[:-1], covariance[:-1, :-1], float(weights[-1]))


def _mode(seen: Floats, start: Floats, precision: Floats, guess: Floats) -> Floats:
    """Return the posterior's mode for votes `seen` [m, d], each row to be above 0, and a normal prior."""

    def loss(weights: Floats) -> tuple[float, Floats]:
        margin, apart = seen @ weights, weights - start
        value = float(np.logaddexp(0.0, -margin).sum() + 0.5 * (precision * apart**2).sum())
        return value, precision * apart - seen.T @ expit(-margin)

    return np.asarray(minimize(loss, guess, jac=True, method="L-BFGS-B").x, np.float64)


def propose(scorer: Scorer, features: Floats, count: int, seed: int = 0) -> list[int]:
    """Return rows of the pictures to ask about next: the largest expected gain, ½ log(1 + σ'(u) Var u), each as if
    those before had been answered, and one by chance. Raises ValueError for more than there are.
    """
    if not 0 < count <= len(features):
        raise ValueError(f"count is {count} of {len(features)} pictures")
    covariance, chosen = scorer.covariance.copy(), list[int]()
    while len(chosen) < count - 1:
        variance = np.einsum("nd,de,ne->n", features, covariance, features)
        chance = expit(features @ scorer.mean - scorer.offset)
        gain = 0.5 * np.log1p(chance * (1 - chance) * np.maximum(variance, 0.0))
        gain[chosen] = -np.inf
        best = int(np.argmax(gain))
        chosen.append(best)
        along, curve = covariance @ features[best], chance[best] * (1 - chance[best])
        covariance -= curve * np.outer(along, along) / (1 + curve * variance[best])
    rest = [n for n in range(len(features)) if n not in chosen]
    return [*chosen, rest[int(np.random.default_rng(seed).integers(len(rest)))]]


def _probability(mean: Floats, variance: Floats) -> Floats:
    return np.asarray(expit(mean / np.sqrt(1 + np.pi * variance / 8)), np.float64)
