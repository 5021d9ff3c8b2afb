"""Files by content: a key is the SHA-256 of what it holds. They lie in a local folder or in a bucket of an S3."""

from __future__ import annotations

import errno
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from obstore.exceptions import GenericError
from PIL import Image

from pipelines.errors import BadInput, OutOfDisk
from studio.domain.values import FileKey
from studio.library.backend import Backend, StoredFile
from studio.library.folder_backend import FolderBackend

__all__ = ["Store"]


class Store:
    """Put-if-absent: the same content is stored once, and nothing that is stored ever changes.

    Every call raises StudioError where a bucket cannot be reached.
    """

    def __init__(self, place: Path | Backend) -> None:
        self._files = FolderBackend(place) if isinstance(place, Path) else place
        self._made: ContextVar[set[str] | None] = ContextVar("made", default=None)

    @contextmanager
    def recording(self, made: set[str]) -> Iterator[None]:
        """Add the keys of all that is put from within to `made`, also what was stored before."""
        token = self._made.set(made)
        try:
            yield
        finally:
            self._made.reset(token)

    def put(self, data: bytes) -> FileKey:
        """Store bytes so that a power cut keeps them; their key. A damaged file is replaced. Raises OutOfDisk."""
        key = FileKey(hashlib.sha256(data).hexdigest())
        if (made := self._made.get()) is not None:
            made.add(key)
        try:
            while not self._files.create(key, data):
                with suppress(FileNotFoundError):  # somebody swept it just now
                    self._files.renew(key, data)
                    break
        except (GenericError, OSError) as error:
            if "No space left" in str(error) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise OutOfDisk("out_of_disk") from error
            raise
        return key

    def get(self, key: str) -> bytes:
        """The bytes of a key. Raises BadInput where there are none or where the file was damaged."""
        try:
            data = self._files.read(key)
        except FileNotFoundError as error:
            raise BadInput("stored_file_missing", key=key[:12]) from error
        if hashlib.sha256(data).hexdigest() != key:
            raise BadInput("stored_file_damaged", key=key[:12])
        return data

    def blocks(self, key: str) -> Iterator[bytes]:
        """What is stored, in pieces of megabytes; it may be damaged. Raises FileNotFoundError where there is none."""
        return self._files.blocks(key)

    def has(self, key: str) -> bool:
        """Whether a file is there; it may be damaged."""
        return self._files.has(key)

    def having(self, keys: Iterable[str]) -> set[str]:
        """Those of many keys of which a file is there; quicker than one by one where they are in a bucket."""
        return self._files.having(keys)

    def fetch(self, key: str) -> Path:
        """Where a key's file can be read on this disk, for whoever looks at its first bytes alone: its content is not
        compared. Raises BadInput where there is none.
        """
        try:
            return self._files.fetch(key)
        except FileNotFoundError as error:
            raise BadInput("stored_file_missing", key=key[:12]) from error

    def open_local(self, key: str) -> Path:
        """Where a key's file can be read on this disk, for libraries that only read files, once its content was
        compared with the key. Open it within a minute: it may be a copy, which goes when others need the room.

        Raises BadInput where there is none or where the file was damaged.
        """
        path = self.fetch(key)
        if not self._files.holds(path, key):
            raise BadInput("stored_file_damaged", key=key[:12])
        return path

    def is_whole(self, key: str) -> bool:
        """Whether a file is there and its content is that of the key."""
        try:
            return self._files.is_whole(key)
        except FileNotFoundError:
            return False

    def keys(self) -> Iterator[FileKey]:
        """Every key of which a file is there, in no order."""
        for file in self._files.files():
            yield FileKey(file.key)

    def files(self) -> Iterator[StoredFile]:
        """Every file that is there, in no order."""
        return self._files.files()

    def remove(self, file: StoredFile) -> bool:
        """Delete a file for ever, unless somebody stored the same once more since; whether it is gone."""
        return self._files.remove(file)

    def set_aside(self, key: str) -> None:
        """Move a damaged file away, so that what draws it again stores it anew."""
        self._files.set_aside(key)

    def sizes(self) -> dict[str, int]:
        """How many bytes are taken by what: words of the texts' `disk`."""
        return self._files.sizes()

    def put_picture(self, image: npt.NDArray[np.uint8]) -> FileKey:
        """As PNG, lossless."""
        out = io.BytesIO()
        Image.fromarray(image).save(out, "PNG", compress_level=4)
        return self.put(out.getvalue())

    def get_picture(self, key: str) -> npt.NDArray[np.uint8]:
        return np.asarray(Image.open(io.BytesIO(self.get(key))).convert("RGB"))

    def put_json(self, value: Any) -> FileKey:
        return self.put(json.dumps(value, sort_keys=True, ensure_ascii=False).encode())

    def get_json(self, key: str) -> Any:
        return json.loads(self.get(key))
