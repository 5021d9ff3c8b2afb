"""Names of files that every disk takes, made of names that people like."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from pipelines.files import write_whole

__all__ = ["file_name", "free_path", "keep_beside"]

_FORBIDDEN = '<>:"/\\|?*'
_JOINERS = "\u200d\ufe0e\ufe0f"  # what one emoji is made of
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)
_MOST_BYTES = 150  # a folder's path and a number are to be added, and 255 is the most that disks take


def file_name(name: str, ending: str = "", instead: str = "file") -> str:
    """Return a name of a file: `name` as far as every disk takes it, and `ending` (".zip") behind it.

    No separators, control characters, reserved words of Windows, dots or spaces at either end; at most 150 bytes before
    the ending. `instead` stands where nothing is left. Chinese and emoji stay.
    """
    kept = []
    for c in unicodedata.normalize("NFC", name):
        if c in _FORBIDDEN or c.isspace():
            kept.append(" ")
        elif c in _JOINERS or unicodedata.category(c)[0] != "C":
            kept.append(c)
    plain = " ".join("".join(kept).split()).strip(" .")
    while len(plain.encode()) > _MOST_BYTES:
        plain = plain[:-1]
    plain = plain.strip(" .") or instead
    if _RESERVED.fullmatch(plain + ending):
        plain = f"{plain.partition('.')[0]}_{plain[len(plain.partition('.')[0]) :]}"
    return plain + ending


def free_path(path: Path) -> Path:
    """Return the path, or the first of name-2, name-3, … that nothing lies at, in any writing of its letters."""
    taken = {name.casefold() for name in os.listdir(path.parent)} if path.parent.is_dir() else set()
    number, free = 1, path
    while free.name.casefold() in taken:
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def keep_beside(path: Path, data: bytes) -> Path:
    """Write a file and return where it lies: at `path`, or beside it where another file has that name already.

    The same content is written once. Raises OutOfDisk where there is no room.
    """
    number, place = 1, path
    while free_path(place) != place:
        if place.is_file() and place.stat().st_size == len(data) and place.read_bytes() == data:
            return place
        number += 1
        place = path.with_name(f"{path.stem}-{number}{path.suffix}")
    write_whole(place, data)
    return place
