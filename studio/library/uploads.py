"""Files that a page brought and nobody has judged yet: by owner and by content, for a day."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

from pipelines.errors import BadInput, OutOfDisk
from pipelines.file_names import file_name
from studio.settings import Settings

__all__ = ["MOST_BYTES", "find_upload", "keep_upload"]

MOST_BYTES = 1_500_000_000  # a rank 128 LoRA of FLUX.1 is 1.2 GB
_FOR_S = 24 * 3600
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
        _forget_old(folder)
        with part.open("wb") as file:
            async for block in blocks:
                size += len(block)
                _check(size)
                digest.update(block)
                file.write(block)
        place = folder / digest.hexdigest()
        place.mkdir(exist_ok=True)
        for other in place.iterdir():
            other.unlink()
        part.replace(place / _plain(name))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfDisk("out_of_disk") from error
        raise
    finally:
        part.unlink(missing_ok=True)
    return digest.hexdigest()


def find_upload(settings: Settings, owner: str, token: str) -> Path:
    """Where an owner's upload lies. Raises BadInput for another's and for none."""
    place = _folder(settings, owner) / token
    found = sorted(place.iterdir()) if _TOKEN.fullmatch(token) and place.is_dir() else []
    if not found:
        raise BadInput("no_upload")
    return found[0]


def _plain(name: str) -> str:
    """A name that is one on every disk; the end, which says what the file is, stays."""
    return file_name("".join(c for c in name if c.isalnum() or c in " ._-()").strip(" .")[-60:])


def _folder(settings: Settings, owner: str) -> Path:
    return settings.data / "uploads" / hashlib.sha256(owner.encode()).hexdigest()[:16]


def _check(size: int) -> None:
    if size > MOST_BYTES:
        raise BadInput("too_large", most_gb=MOST_BYTES / 1e9)


def _forget_old(folder: Path) -> None:
    for path in folder.iterdir():
        if time.time() - path.stat().st_mtime > _FOR_S:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
