"""How often one person may ask for the same costly thing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

__all__ = ["Rates"]


class Rates:
    """So many (`most`: times, or bytes) in a window of `window_s` seconds, each person for themselves."""

    def __init__(self, most: int, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._window_s, self._clock = most, window_s, clock
        self._taken: dict[str, deque[tuple[float, int]]] = {}

    def allows(self, who: str, amount: int = 1) -> bool:
        """Whether so much more is allowed, which is then counted."""
        now = self._clock()
        taken = self._taken.setdefault(who, deque())
        while taken and taken[0][0] <= now - self._window_s:
            taken.popleft()
        if sum(one for _, one in taken) + amount > self._most:
            return False
        taken.append((now, amount))
        return True
