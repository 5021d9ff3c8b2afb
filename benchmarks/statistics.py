"""Numbers with how far they can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Score", "bootstrap", "clustered_score", "mean_score"]


@dataclass(frozen=True)
class Score:
    """`low` and `high` bound 95% of bootstrap resamples of the `n` units that `value` was computed on."""

    value: float
    low: float
    high: float
    n: int


def bootstrap(count: int, statistic: Callable[[NDArray[np.int64]], float], seed: int = 0, rounds: int = 400) -> Score:
    """`statistic` of row numbers (with repetition), on all rows once and on `rounds` resamples of `count` rows."""
    rng = np.random.default_rng(seed)
    value = statistic(np.arange(count))
    again = [statistic(rng.integers(0, count, count)) for _ in range(rounds)]
    low, high = np.nanquantile(again, [0.025, 0.975])
    return Score(float(value), float(low), float(high), count)


def mean_score(values: Sequence[float] | NDArray[np.float64]) -> Score:
    """The mean of one number per unit."""
    rows = np.asarray(values, np.float64)
    return bootstrap(len(rows), lambda index: float(rows[index].mean()))


def clustered_score(units: Sequence[Sequence[float]]) -> Score:
    """The mean of all numbers. Those of one unit (a user, a group) hang together, so units are resampled and `n` counts
    them; a unit without numbers is left out."""
    kept = [np.asarray(one, np.float64) for one in units if len(one)]
    if not kept:
        return Score(float("nan"), float("nan"), float("nan"), 0)
    sums, counts = np.array([one.sum() for one in kept]), np.array([len(one) for one in kept])
    return bootstrap(len(kept), lambda index: float(sums[index].sum() / counts[index].sum()))
