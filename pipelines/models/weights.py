"""Which weights lie in a place: by content, or, without reading them, by their files' sizes and times. No torch."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

__all__ = ["Mark", "hash_weights", "mark_weights"]

Mark: TypeAlias = tuple[tuple[str, int, int], ...]
_BLOCK = 1 << 24  # bytes


def mark_weights(path: Path) -> Mark:
    """Return each file's place, size in bytes and time of change in ns: cheap, and another one once a file is swapped.

    `path` is a backbone's or a companion's folder, whose transformer counts, or a single file; () where none is.
    """
    files = [path] if path.is_file() else sorted((path / "transformer").glob("*.safetensors"))
    told = [(file, file.stat()) for file in files]
    return tuple((str(file), stat.st_size, stat.st_mtime_ns) for file, stat in told)


def hash_weights(path: Path) -> str:
    """Return the SHA-256 of these files' content, as hexadecimal digits: the same wherever they lie."""
    return _hash(mark_weights(path))


@lru_cache(maxsize=64)
def _hash(mark: Mark) -> str:
    digest = hashlib.sha256()
    for file, _, _ in mark:
        with Path(file).open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
    return digest.hexdigest()
