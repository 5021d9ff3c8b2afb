"""What a store asks of the place where its files lie: a folder of this disk, or a bucket of an S3."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["KEY", "Backend", "Compared", "StoredFile"]

KEY = re.compile(r"[0-9a-f]{64}")
_MOST_COMPARED = 100_000


@dataclass(frozen=True)
class StoredFile:
    """A file that is there: its key, its `size` in bytes, and when it was `written`, in seconds since 1970."""

    key: str
    size: int
    written: float


class Backend(Protocol):
    """Files by the SHA-256 of their content. A file that is not there is a FileNotFoundError.

    A place that cannot be reached, and a file that comes damaged from it, are a StudioError.
    """

    def create(self, key: str, data: bytes) -> bool:
        """Write a file so that a power cut keeps it; False, and nothing happens, where there is one already."""

    def renew(self, key: str, data: bytes) -> None:
        """Let the file that is there count as written now, and mend it where it is damaged."""

    def read(self, key: str) -> bytes:
        """Return what is there, damaged or not."""

    def blocks(self, key: str) -> Iterator[bytes]:
        """Yield what is there in pieces of megabytes, damaged or not, without keeping any of it."""

    def has(self, key: str) -> bool:
        """Return whether a file is there, damaged or not."""

    def having(self, keys: Iterable[str]) -> set[str]:
        """Return those keys of which a file is there, damaged or not."""

    def fetch(self, key: str) -> Path:
        """Return where the file can be read on this disk; its content may be damaged. It stays there for a minute at
        least."""

    def holds(self, path: Path, key: str) -> bool:
        """Return whether what was fetched is the key's content."""

    def is_whole(self, key: str) -> bool:
        """Return whether what is stored is the key's content."""

    def files(self) -> Iterator[StoredFile]:
        """Yield every file that is there, in no order."""

    def remove(self, file: StoredFile) -> bool:
        """Delete a file, unless it was written once more since; whether it is gone."""

    def set_aside(self, key: str) -> None:
        """Move a file out of the store, to where a person finds it: `damaged`, beside the store's own folder."""

    def sizes(self) -> dict[str, int]:
        """Return how many bytes are taken by what, for a person to read."""


class Compared:
    """Remembers which files were compared with their keys: one is read again only when it was written since."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int, int]] = {}

    def holds(self, path: Path, key: str) -> bool:
        """Return whether a file's content is that of the key. Raises FileNotFoundError."""
        facts = path.stat()
        stamp = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
        if self._known.get(key) != stamp:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != key:
                    return False
            if len(self._known) >= _MOST_COMPARED:
                self._known.clear()
            self._known[key] = stamp
        return True
