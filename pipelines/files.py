"""Files that appear whole or not at all; and what reading a damaged zip raises."""

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

__all__ = ["ZIP_ERRORS", "storing", "write_whole"]

ZIP_ERRORS = (
    OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, KeyError, ValueError, RuntimeError,
)  # fmt: skip
"""What opening a zip and reading its entries raises where it is none, damaged, encrypted, packed in an unknown way, or
without the entry: each way of packing has an error of its own."""


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
