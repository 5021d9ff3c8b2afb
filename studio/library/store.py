"""Files by content: a key is the SHA-256 of what it holds. A local folder or S3, behind obstore."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
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

_KEY = re.compile(r"[0-9a-f]{64}")
_MOST_COMPARED = 100_000


class Store:
    """Put-if-absent: the same content is stored once, and nothing that is stored ever changes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._root = folder
        self._store = LocalStore(str(folder))
        self._compared: dict[str, tuple[int, int, int]] = {}
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
            while not self._create(key, data):
                with suppress(FileNotFoundError):  # somebody swept it just now
                    os.utime(self.place(key))  # as new: a sweep leaves what may not be in the records yet
                    if not self._is_whole(key):
                        obstore.put(self._store, self._path(key), data, mode="overwrite")
                        self._write_through(key)
                    break
        except (GenericError, OSError) as error:
            if "No space left" in str(error) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise OutOfDisk("out_of_disk") from error
            raise
        return key

    def _create(self, key: str, data: bytes) -> bool:
        try:
            obstore.put(self._store, self._path(key), data, mode="create")
        except AlreadyExistsError:
            return False
        self._write_through(key)
        return True

    def _write_through(self, key: str) -> None:
        """Let file and name reach the disk before anybody writes down that they are there: obstore does not wait."""
        for path in (self.place(key), self.place(key).parent):
            with suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def get(self, key: str) -> bytes:
        """The bytes of a key. Raises BadInput where there are none or where the file was damaged."""
        try:
            data = bytes(obstore.get(self._store, self._path(key)).bytes())
        except FileNotFoundError as error:
            raise BadInput("stored_file_missing", key=key[:12]) from error
        if hashlib.sha256(data).hexdigest() != key:
            raise BadInput("stored_file_damaged", key=key[:12])
        return data

    def place(self, key: str) -> Path:
        """Where a key lies on disk, or would; nothing is looked at."""
        return self._root / self._path(key)

    def has(self, key: str) -> bool:
        """Whether a file is there; it may be damaged."""
        return self.place(key).is_file()

    def open_local(self, key: str) -> Path:
        """Where a key lies, for libraries that only read files, once its content was compared with the key.

        Raises BadInput where there is none or where the file was damaged.
        """
        if not self.has(key):
            raise BadInput("stored_file_missing", key=key[:12])
        if not self._is_whole(key):
            raise BadInput("stored_file_damaged", key=key[:12])
        return self.place(key)

    def keys(self) -> Iterator[FileKey]:
        """Every key of which a file is there, in no order."""
        for path in self._root.glob("*/*"):
            if _KEY.fullmatch(path.name):
                yield FileKey(path.name)

    def _is_whole(self, key: str) -> bool:
        """Read the file once, and again only when it was written since."""
        path = self.place(key)
        facts = path.stat()
        stamp = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
        if self._compared.get(key) != stamp:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != key:
                    return False
            if len(self._compared) >= _MOST_COMPARED:
                self._compared.clear()
            self._compared[key] = stamp
        return True

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
