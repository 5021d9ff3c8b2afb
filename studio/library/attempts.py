"""Wrong passwords, counted so that guessing is slow and nobody can lock another out.

Three things are counted in a window: by name and network, by network, and by name. Whoever guesses is shut out of the
first two. The last only makes strangers to a name slower, one attempt for each network, so that its owner always has
one. A browser that came in by this name before (it holds a token of its own) is counted apart from all of them.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network
from threading import Lock

from pipelines.errors import StudioError

__all__ = ["Attempts", "TooManyAttempts", "networks_of"]

_WINDOW_S = 15 * 60
_PER_PAIR, _PER_NETWORK, _PER_SITE, _PER_NAME = 5, 20, 100, 100  # failures in a window
_AT_ONCE_OF_NETWORK, _AT_ONCE = 3, 24  # that are checked or wait for it
_REMEMBERED = 20_000
_KNOWN = "known browser "
Key = tuple[str, ...]


class TooManyAttempts(StudioError):
    """Too many wrong passwords, or too many at once; nothing is checked."""


class Attempts:
    """The attempts of one process that serves pages."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._lock = clock, Lock()
        self._failures: OrderedDict[Key, list[float]] = OrderedDict()
        self._now: dict[str, int] = {}

    @contextmanager
    def one(self, name: str, address: str, known: str = "") -> Iterator[Callable[[], None]]:
        """Admit one attempt, which counts as a failure from now on until the yielded function takes that back.

        `known` is what the browser came in by before, "" for a stranger. Raises TooManyAttempts.
        """
        network, site = networks_of(address)
        keys = self._keys(name, network, site, known)
        with self._lock:
            self._check(keys, name, network)
            line = f"{_KNOWN}{known}" if known else network
            busy = self._now.get(line, 0)
            strangers = sum(count for one, count in self._now.items() if not one.startswith(_KNOWN))
            if busy >= _AT_ONCE_OF_NETWORK or (not known and strangers >= _AT_ONCE):
                raise TooManyAttempts("login_busy")
            self._now[line] = busy + 1
            now = self._clock()
            for key, _ in keys:
                self._failures[key] = [*self._recent(key), now]
                self._failures.move_to_end(key)
            while len(self._failures) > _REMEMBERED:
                self._failures.popitem(last=False)

        def right() -> None:
            with self._lock:
                for key, _ in keys:
                    left = [moment for moment in self._failures.get(key, ()) if moment != now]
                    self._failures[key] = left
                self._failures.pop(keys[0][0], None)

        try:
            yield right
        finally:
            with self._lock:
                self._now[line] -= 1
                if not self._now[line]:
                    del self._now[line]

    def _keys(self, name: str, network: str, site: str, known: str) -> list[tuple[Key, int]]:
        """What an attempt is counted as, with the most of each; the first is forgotten after the right password."""
        if known:
            return [(("known", name, known), _PER_PAIR)]
        return [
            (("pair", name, network), _PER_PAIR), (("network", network), _PER_NETWORK), (("site", site), _PER_SITE),
            (("name", name), 10**9),
        ]  # fmt: skip

    def _check(self, keys: list[tuple[Key, int]], name: str, network: str) -> None:
        if any(len(self._recent(key)) >= most for key, most in keys):
            raise TooManyAttempts("too_many_attempts")
        is_stranger = keys[0][0][0] == "pair"
        if is_stranger and len(self._recent(("name", name))) >= _PER_NAME and self._recent(keys[0][0]):
            raise TooManyAttempts("too_many_attempts")

    def _recent(self, key: Key) -> list[float]:
        after = self._clock() - _WINDOW_S
        return [moment for moment in self._failures.get(key, ()) if moment > after]


def networks_of(address: str) -> tuple[str, str]:
    """Return the network that one customer has, and the one that a site has: of IPv6 /64 and /48, else the address."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address, address
    if found.version == 6 and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if found.version == 4:
        return str(found), str(found)
    narrow, wide = (ip_network((int(found), bits), strict=False) for bits in (64, 48))
    return str(narrow), str(wide)
