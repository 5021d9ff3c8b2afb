"""Where commands write: a place that can be written to is looked for before any work, and nothing is replaced."""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.errors import BadInput
from studio.settings import expand_home

__all__ = ["check_folder", "place_file"]


def place_file(said: str, usual: str) -> Path:
    """Return where a file goes: `said` itself, or `usual` in the folder that it names.

    The ending of `usual` is added where `said` has none. Raises BadInput where nothing can be written there.
    """
    plain = str(expand_home(said))
    path = Path(plain)
    if path.is_dir() or plain.endswith(("/", os.sep)):
        path = path / usual
    elif not path.suffix and not path.exists():
        path = path.with_name(path.name + Path(usual).suffix)
    check_folder(path.parent)
    return path


def check_folder(folder: Path) -> Path:
    """Return the folder, its ~ read. Raises BadInput where it is a file, or can neither be written nor be made."""
    folder = Path(str(expand_home(str(folder))))
    there = next(part for part in (folder.absolute(), *folder.absolute().parents) if part.exists())
    if not there.is_dir():
        raise BadInput("output_is_file", path=str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        raise BadInput("output_read_only", folder=str(there))
    return folder
