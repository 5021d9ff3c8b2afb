"""Numbers with how far they can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Score", "bootstrap", "mean_score", "share_score"]


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


def share_score(values: Sequence[float] | NDArray[np.float64]) -> Score:
    """A share of units that are 1, 0 or, undecided, ½, with Wilson's interval (1927) in a bootstrap's place."""
    count, z = len(values), 1.959964
    share = float(np.mean(values)) if count else float("nan")
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2) / (1 + z * z / count)
    return Score(share, float(middle - half), float(middle + half), count)
