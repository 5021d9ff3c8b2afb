"""Where stored files lie, for tests that damage or lose them."""

from __future__ import annotations

from pathlib import Path

from studio.library.folder_backend import FolderBackend
from studio.library.store import Store

__all__ = ["place_in"]


def place_in(store: Store, key: str) -> Path:
    """Return where a store's folder has a file, or would have it."""
    assert isinstance(store._files, FolderBackend)
    return store._files._root / key[:2] / key
