"""Locks on a data folder: one page's process, one worker. The system frees them when a process ends."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

__all__ = ["take_lock"]


def take_lock(path: Path) -> IO[str] | None:
    """Return the open file that holds the lock until it is closed, or None where somebody else holds it."""
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        return None
    return handle
