"""Locks on a data folder: one page's process, one worker. The system frees them when a process ends."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from pipelines.errors import BadInput

__all__ = ["take_lock"]


def take_lock(path: Path, code: str) -> IO[str]:
    """Return the open file that holds the lock until it is closed. Raises BadInput(code, folder) where it is taken."""
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise BadInput(code, folder=str(path.parent)) from error
    return handle
