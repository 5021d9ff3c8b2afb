"""Copies of stored files on this machine's disk, for libraries that read files and for whatever is read often."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from pipelines.files import storing
from studio.library.backend import KEY, Compared

__all__ = ["FileCache"]

_GRACE_S = 60.0  # whoever was told where a copy lies may not have opened it yet
_ABANDONED_S = 3600.0  # of a copy that was never finished
_LOOKS = 20  # into so many parts is the room divided: after each that was filled, all copies are counted once


class FileCache:
    """Copies at <folder>/<first two digits>/<key>, the least recently used out where they take more than `most_bytes`.

    Several processes may have one folder: a copy appears whole, by a rename; one process at a time clears; and what was
    asked for in the last minute stays, so that the room may be exceeded by that much.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._most = folder, most_bytes
        self._compared = Compared()
        self._came = most_bytes  # since all copies were counted; the first that comes is a reason to

    def find(self, key: str) -> Path | None:
        """Return where the copy of a file lies; None where there is none. A damaged one is forgotten."""
        path = self._path(key)
        try:
            if not self._compared.holds(path, key):
                self.forget(key)
                return None
            # as used now: the time of access, which a disk may not note by itself; that of the content stays
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        except FileNotFoundError:
            return None
        return path

    def holds(self, path: Path, key: str) -> bool:
        """Return whether a copy is the key's content."""
        return self._compared.holds(path, key)

    def keep(self, key: str, blocks: Iterable[bytes]) -> Path | None:
        """Keep what comes as the copy of a file, and return where it lies; None, and nothing is kept, where its content
        is not the key's. Raises OutOfDisk.
        """
        path, part = self._path(key), self._folder / f"{uuid4().hex}.part"
        digest, size = hashlib.sha256(), 0
        try:
            with storing():
                path.parent.mkdir(exist_ok=True)
                with part.open("wb") as file:
                    for block in blocks:
                        digest.update(block)
                        size += len(block)
                        file.write(block)
                if digest.hexdigest() != key:
                    return None
                part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        self._came += size
        if self._came > self._most // _LOOKS and self._clear():
            self._came = 0
        return path

    def forget(self, key: str) -> None:
        """Delete the copy of a file, if there is one."""
        self._path(key).unlink(missing_ok=True)

    def size(self) -> int:
        """Return how many bytes all copies take."""
        return sum(size for _, size, _ in self._copies())

    def _clear(self) -> bool:
        """Delete those copies that were not used for the longest time, as many as are too many; False, and nothing
        happens, while another process does."""
        with (self._folder / "clear.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            copies = sorted(self._copies())
            surplus, now = sum(size for _, size, _ in copies) - self._most, time.time()
            for used, size, path in copies:
                if surplus <= 0 or now - used < _GRACE_S:
                    break
                path.unlink(missing_ok=True)
                surplus -= size
            for part in self._folder.glob("*.part"):
                with suppress(FileNotFoundError):
                    if now - part.stat().st_mtime > _ABANDONED_S:
                        part.unlink()
        return True

    def _copies(self) -> Iterator[tuple[float, int, Path]]:
        """Yield (time of last use, bytes, place) of each copy."""
        for path in self._folder.glob("*/*"):
            with suppress(FileNotFoundError):
                if KEY.fullmatch(path.name):
                    facts = path.stat()
                    yield facts.st_atime, facts.st_size, path

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / key
