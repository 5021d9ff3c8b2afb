"""Ours and a peer's way of doing the same work, timed in turns in one run, and what the times say."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SpeedRow", "interleave", "row_of"]

Work = Callable[[], object]


@dataclass(frozen=True)
class SpeedRow:
    """Medians in seconds of one piece of work. `ratio` is the median of the peer's seconds over ours of the same turn,
    `low` and `high` bound 95% of bootstrap resamples of it. `agrees`: both gave the same, as `note` says how nearly.
    `spread` is the range of ours between the quartiles over the median.
    """

    name: str
    ours_s: float
    peer_s: float
    ratio: float
    low: float
    high: float
    wanted: float
    agrees: bool
    repeats: int
    spread: float
    note: str = ""


def interleave(repeats: int, *works: Work) -> NDArray[np.float64]:
    """Seconds [works, repeats] of each, in turns; each is done once before, untimed."""
    for work in works:
        work()
    seconds = np.zeros((len(works), repeats))
    for turn in range(repeats):
        order = [(turn + k) % len(works) for k in range(len(works))]  # whoever comes first finds other caches
        for k in order:
            gc.collect()
            began = time.perf_counter()
            works[k]()
            seconds[k, turn] = time.perf_counter() - began
    return seconds


def row_of(
    name: str, ours: Sequence[float], peer: Sequence[float], wanted: float, *, agrees: bool, note: str = ""
) -> SpeedRow:
    """Return what the seconds of ours and of the peer, turn by turn, say."""
    a, b = np.asarray(ours, np.float64), np.asarray(peer, np.float64)
    rng = np.random.default_rng(0)
    again = [np.median((b / a)[rng.integers(0, len(a), len(a))]) for _ in range(400)]
    low, high = np.quantile(again, [0.025, 0.975])
    quarter, half, most = np.quantile(a, [0.25, 0.5, 0.75])
    return SpeedRow(
        name, float(half), float(np.median(b)), float(np.median(b / a)), float(low), float(high), wanted, agrees,
        len(a), float((most - quarter) / half), note,
    )  # fmt: skip
