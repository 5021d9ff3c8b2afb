"""Files that a page brought and nobody has judged yet: by owner and by content, for a day, on all machines.

The pages' own fields (Gradio's) keep theirs in a folder of this machine, beside the owners'.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import time
from asyncio import to_thread
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from pipelines.errors import BadInput, OutOfDisk
from pipelines.file_names import file_name
from studio.library.machine import FULL_BYTES
from studio.library.shared import open_shared
from studio.settings import Settings

__all__ = ["MOST_BYTES", "check_room", "find_upload", "forget_old_uploads", "keep_upload", "pages_folder"]

MOST_BYTES = 1_500_000_000  # a rank 128 LoRA of FLUX.1 is 1.2 GB
_MOST_KEPT_BYTES = 6_000_000_000  # of one owner
_MOST_KEPT = 2_000
_BETWEEN_LOOKS = 50_000_000
_FOR_S = 24 * 3600
_UPLOADS = "uploads"
_TOKEN = re.compile(r"[0-9a-f]{64}")


async def keep_upload(
    settings: Settings, owner: str, name: str, blocks: AsyncIterator[bytes], announced: int = 0
) -> str:
    """Write the blocks to a file; its token, the SHA-256 in hex. Raises BadInput (too large), OutOfDisk.

    `name` is what the file is called where it comes from; `announced` how many bytes are said to come, 0 unknown.
    """
    folder = _folder(settings, owner)
    part = folder / f".{os.urandom(8).hex()}.part"
    digest, size = hashlib.sha256(), 0
    try:
        _check(announced)
        folder.mkdir(parents=True, exist_ok=True)
        _forget_old(folder, time.time())
        check_room(settings, owner, announced)
        next_look = _BETWEEN_LOOKS
        with part.open("wb") as file:
            async for block in blocks:
                size += len(block)
                _check(size)
                if size >= next_look:  # what is said to come may be a lie, and others bring files meanwhile
                    check_room(settings, owner, 0)
                    next_look += _BETWEEN_LOOKS
                digest.update(block)
                file.write(block)
        place = folder / digest.hexdigest()
        place.mkdir(exist_ok=True)
        for other in place.iterdir():
            other.unlink()
        part.replace(place / _plain(name))
        await to_thread(open_shared(settings).sync, _name(settings, place))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfDisk("out_of_disk") from error
        raise
    finally:
        part.unlink(missing_ok=True)
    return digest.hexdigest()


def check_room(settings: Settings, owner: str, size: int) -> None:
    """Raise BadInput where an owner's uploads would take too much with so many bytes more, OutOfDisk where the disk
    would be nearly full."""
    if shutil.disk_usage(settings.shared).free - size < FULL_BYTES:
        raise OutOfDisk("out_of_disk")
    # those that came to this machine: where there are several, each lets an owner bring as much
    kept = [path.stat().st_size for path in _folder(settings, owner).glob("**/*") if path.is_file()]
    if sum(kept) + size > _MOST_KEPT_BYTES or len(kept) >= _MOST_KEPT:
        raise BadInput("uploads_full", most_gb=_MOST_KEPT_BYTES / 1e9)


def pages_folder(settings: Settings) -> Path:
    """Return where the fields of pages keep what they brought."""
    return settings.data / _UPLOADS / "pages"


def forget_old_uploads(settings: Settings, now: float) -> None:
    """Delete everybody's uploads of more than a day ago; `now` in seconds since 1970. Raises StudioError where a bucket
    cannot be reached."""
    for folder in {*(settings.shared / _UPLOADS).glob("*"), pages_folder(settings)}:
        with suppress(OSError):  # somebody else deletes the same
            _forget_old(folder, now)
    open_shared(settings).forget_older(_UPLOADS, now - _FOR_S)


def find_upload(settings: Settings, owner: str, token: str) -> Path:
    """Where an owner's upload lies on this machine. Raises BadInput for another's and for none."""
    place = _folder(settings, owner) / token
    if not _TOKEN.fullmatch(token):
        raise BadInput("no_upload")
    if not _listed(place):
        open_shared(settings).sync(_name(settings, place))  # it came to another machine
    if not (found := _listed(place)):
        raise BadInput("no_upload")
    return found[0]


def _listed(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if not path.name.startswith(".")) if place.is_dir() else []


def _plain(name: str) -> str:
    """A name that is one on every disk; the end, which says what the file is, stays."""
    return file_name("".join(c for c in name if c.isalnum() or c in " ._-()").strip(" .")[-60:])


def _folder(settings: Settings, owner: str) -> Path:
    return settings.shared / _UPLOADS / hashlib.sha256(owner.encode()).hexdigest()[:16]


def _name(settings: Settings, place: Path) -> str:
    """Return what a folder of uploads is called among the shared ones."""
    return place.relative_to(settings.shared).as_posix()


def _check(size: int) -> None:
    if size > MOST_BYTES:
        raise BadInput("too_large", most_gb=MOST_BYTES / 1e9)


def _forget_old(folder: Path, now: float) -> None:
    for path in folder.iterdir():
        if now - path.stat().st_mtime > _FOR_S:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
