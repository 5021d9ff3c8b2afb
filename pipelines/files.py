"""Files that appear whole or not at all; and strangers' zips: which are opened, and what reading them raises."""

from __future__ import annotations

import errno
import lzma
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import OutOfDisk

__all__ = ["ZIP_ERRORS", "open_zip", "storing", "write_whole"]

ZIP_ERRORS = (
    OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, KeyError, ValueError, RuntimeError,
)  # fmt: skip
"""What opening a zip and reading its entries raises where it is none, damaged, encrypted, packed in an unknown way, or
without the entry: each way of packing has an error of its own."""

_END = b"PK\5\6"  # PKWARE's APPNOTE 6.3.10, 4.3.16
_END_BYTES, _LOCATOR_BYTES, _MOST_COMMENT = 22, 20, 65_535
_MOST_LISTED_BYTES = 4_000_000  # some 40 000 files; a zip of 47 MB with a million took 368 MB


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip of a stranger to read it. Raises one of ZIP_ERRORS, also for one whose list of files is longer than
    4 MB: all of it would be kept in memory."""
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _MOST_COMMENT - _END_BYTES - _LOCATOR_BYTES))
        tail = stream.read()
    at = tail.rfind(_END)
    while at >= 0:  # each that a reader might take for the end
        if tail[max(0, at - _LOCATOR_BYTES) : at].startswith(b"PK\6\7"):
            raise zipfile.BadZipFile("it is written for more than 4 GB")
        if int.from_bytes(tail[at + 12 : at + 16], "little") > _MOST_LISTED_BYTES:
            raise zipfile.BadZipFile("it says that it holds too many files")
        at = tail.rfind(_END, 0, at)
    return zipfile.ZipFile(path)


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write to a temporary file beside `path` and rename it, so that nobody ever reads a part of it; `mode` is that of
    its permissions.

    Raises OutOfDisk where there is no room.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfDisk("no_room_to_write", file=path.name, size_mb=len(data) / 1e6) from error
        raise


@contextmanager
def storing() -> Iterator[None]:
    """Raise OutOfDisk where what is written inside of the block finds no room."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfDisk("out_of_disk") from error
        raise
