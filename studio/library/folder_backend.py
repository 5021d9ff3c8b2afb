"""Stored files in a folder of this machine, or of a network that all machines have mounted, behind obstore."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore

from studio.library.backend import KEY, Compared, StoredFile

__all__ = ["FolderBackend"]

_BLOCK = 1 << 20


class FolderBackend:
    """Files at <folder>/<first two digits>/<key>; damaged ones are set aside in the folder `damaged` beside it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._root = folder
        self._store = LocalStore(str(folder))
        self._compared = Compared()

    def create(self, key: str, data: bytes) -> bool:
        try:
            obstore.put(self._store, _path(key), data, mode="create")
        except AlreadyExistsError:
            return False
        self._write_through(key)
        return True

    def renew(self, key: str, data: bytes) -> None:
        os.utime(self.fetch(key))  # as new: a sweep leaves what may not be in the records yet
        if not self.is_whole(key):
            obstore.put(self._store, _path(key), data, mode="overwrite")
            self._write_through(key)

    def _write_through(self, key: str) -> None:
        """Let file and name reach the disk before anybody writes down that they are there: obstore does not wait."""
        for path in (self._root / _path(key), (self._root / _path(key)).parent):
            with suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def read(self, key: str) -> bytes:
        return bytes(obstore.get(self._store, _path(key)).bytes())

    def blocks(self, key: str) -> Iterator[bytes]:
        with (self._root / _path(key)).open("rb") as file:
            while block := file.read(_BLOCK):
                yield block

    def has(self, key: str) -> bool:
        return (self._root / _path(key)).is_file()

    def having(self, keys: Iterable[str]) -> set[str]:
        return {key for key in keys if self.has(key)}

    def fetch(self, key: str) -> Path:
        path = self._root / _path(key)
        if not path.is_file():
            raise FileNotFoundError(path)
        return path

    def holds(self, path: Path, key: str) -> bool:
        return self._compared.holds(path, key)

    def is_whole(self, key: str) -> bool:
        return self._compared.holds(self._root / _path(key), key)

    def files(self) -> Iterator[StoredFile]:
        for path in self._root.glob("*/*"):
            if KEY.fullmatch(path.name):
                with suppress(FileNotFoundError):  # somebody swept it just now
                    facts = path.stat()
                    yield StoredFile(path.name, facts.st_size, facts.st_mtime)

    def remove(self, file: StoredFile) -> bool:
        path = self._root / _path(file.key)
        try:
            if path.stat().st_mtime != file.written:
                return False
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def set_aside(self, key: str) -> None:
        aside = self._root.with_name("damaged")
        aside.mkdir(exist_ok=True)
        (self._root / _path(key)).replace(aside / key)

    def sizes(self) -> dict[str, int]:
        used = dict.fromkeys(("pictures", "loras", "bundles", "notes"), 0)
        for path in self._root.glob("*/*"):
            used[_kind_of(path)] += path.stat().st_size
        return used


def _path(key: str) -> str:
    return f"{key[:2]}/{key}"


def _kind_of(path: Path) -> str:
    with path.open("rb") as stream:
        start = stream.read(9)
    if start[:4] in (b"\x89PNG", b"RIFF") or start[:2] == b"\xff\xd8":
        return "pictures"
    if start[:2] == b"PK":
        return "bundles"
    # a safetensors file: eight bytes of size, then JSON
    return "loras" if start[8:9] == b"{" and start[:1] not in (b"{", b"[") else "notes"
