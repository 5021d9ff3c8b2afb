"""Files by content: a key is the SHA-256 of what it holds. A local folder or S3, behind obstore."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import obstore
from obstore.exceptions import AlreadyExistsError, GenericError
from obstore.store import LocalStore
from PIL import Image

from pipelines.errors import BadInput, OutOfDisk
from studio.domain.values import FileKey

__all__ = ["Store"]


class Store:
    """Put-if-absent: the same content is stored once, and nothing that is stored ever changes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._root = folder
        self._store = LocalStore(str(folder))
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
        """Store bytes; their key. Raises OutOfDisk."""
        key = FileKey(hashlib.sha256(data).hexdigest())
        if (made := self._made.get()) is not None:
            made.add(key)
        try:
            while True:
                try:
                    obstore.put(self._store, self._path(key), data, mode="create")
                except AlreadyExistsError:
                    with suppress(FileNotFoundError):  # somebody swept it just now
                        os.utime(self.path(key))  # as new: a sweep leaves what may not be in the records yet
                        break
                else:
                    break
        except (GenericError, OSError) as error:
            if "No space left" in str(error) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise OutOfDisk("out_of_disk") from error
            raise
        return key

    def get(self, key: str) -> bytes:
        """The bytes of a key. Raises BadInput where there are none or where the file was damaged."""
        try:
            data = bytes(obstore.get(self._store, self._path(key)).bytes())
        except FileNotFoundError as error:
            raise BadInput("stored_file_missing", key=key[:12]) from error
        if hashlib.sha256(data).hexdigest() != key:
            raise BadInput("stored_file_damaged", key=key[:12])
        return data

    def path(self, key: str) -> Path:
        """Where a key lies on disk, for libraries that only read files."""
        return self._root / self._path(key)

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

    @staticmethod
    def _path(key: str) -> str:
        return f"{key[:2]}/{key}"
