"""How many scans a JPEG has: each draws over the whole picture once more, and a few bytes are enough for one."""

from __future__ import annotations

import re

__all__ = ["count_scans"]

# in entropy-coded data none but restarts stand (ITU-T T.81, B.1.1.2)
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd8]")
_SCAN, _END = 0xDA, 0xD9
_MOST_SEGMENTS = 10_000


def count_scans(data: bytes, most: int) -> int:
    """Return the scans of a JPEG's first picture, 0 for what is none; counting ends above `most`.

    A file of more than 10 000 segments counts as one of too many scans.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        return 0
    scans, at = 0, 2
    for _ in range(_MOST_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None or (kind := data[found.start() + 1]) == _END:
            return scans
        scans += kind == _SCAN
        if scans > most:
            return scans
        at = found.start() + 2 + int.from_bytes(data[found.end() : found.end() + 2], "big")
    return most + 1
