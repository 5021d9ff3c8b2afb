"""Stored files in a bucket of an S3, with copies of what was read lately on this machine's disk."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from pipelines.errors import BadInput
from studio.library.backend import KEY, StoredFile
from studio.library.bucket import Bucket
from studio.library.file_cache import FileCache

__all__ = ["BucketBackend"]

_FILES, _DAMAGED = "files", "damaged"
_FRESH_S = 300.0  # half of what a sweep leaves: what was written since need not be written again to count as new
_SIZES_S = 60.0
_AT_ONCE = 16  # requests
_MD5 = re.compile(r"[0-9a-f]{32}")


class BucketBackend:
    """Files at files/<first two digits>/<key>; damaged ones are set aside at damaged/<key>.

    A copy is compared with its key when it comes, and once more by each process that uses it.
    """

    def __init__(self, bucket: Bucket, cache: FileCache) -> None:
        self._bucket, self._cache = bucket, cache
        self._counted: tuple[float, int] | None = None

    def create(self, key: str, data: bytes) -> bool:
        return self._bucket.create(_name(key), data)

    def renew(self, key: str, data: bytes) -> None:
        facts = self._bucket.head(_name(key))
        if facts is None:
            raise FileNotFoundError(key)
        # of an object that was written in one piece the tag is its MD5; others are believed by their size, while new
        tag = hashlib.md5(data, usedforsecurity=False).hexdigest() if _MD5.fullmatch(facts.tag) else facts.tag
        if (facts.size, facts.tag) != (len(data), tag) or time.time() - facts.written > _FRESH_S:
            self._bucket.put(_name(key), data)

    def read(self, key: str) -> bytes:
        while True:
            path = self.fetch(key)
            with suppress(FileNotFoundError):  # another process had to clear all that it could
                return path.read_bytes()

    def blocks(self, key: str) -> Iterator[bytes]:
        return self._bucket.blocks(_name(key))

    def has(self, key: str) -> bool:
        return self._bucket.head(_name(key)) is not None

    def having(self, keys: Iterable[str]) -> set[str]:
        asked = list(keys)
        with ThreadPoolExecutor(_AT_ONCE) as hands:
            return {key for key, there in zip(asked, hands.map(self.has, asked), strict=True) if there}

    def fetch(self, key: str) -> Path:
        path = self._cache.find(key) or self._cache.keep(key, self.blocks(key))
        if path is None:
            raise BadInput("stored_file_damaged", key=key[:12])
        return path

    def holds(self, path: Path, key: str) -> bool:
        return self._cache.holds(path, key)

    def is_whole(self, key: str) -> bool:
        digest = hashlib.sha256()
        for block in self.blocks(key):
            digest.update(block)
        return digest.hexdigest() == key

    def files(self) -> Iterator[StoredFile]:
        for held in self._bucket.list(_FILES):
            key = held.name.rpartition("/")[2]
            if KEY.fullmatch(key):
                yield StoredFile(key, held.size, held.written)

    def remove(self, file: StoredFile) -> bool:
        now = self._bucket.head(_name(file.key))
        if now is None or int(now.written) != int(file.written):  # lists may tell parts of a second, and this does not
            return False
        self._bucket.delete(_name(file.key))
        self._cache.forget(file.key)
        return True

    def set_aside(self, key: str) -> None:
        self._bucket.move(_name(key), f"{_DAMAGED}/{key}")
        self._cache.forget(key)

    def sizes(self) -> dict[str, int]:
        if self._counted is None or time.monotonic() - self._counted[0] > _SIZES_S:
            self._counted = (time.monotonic(), sum(file.size for file in self.files()))
        return {"stored": self._counted[1], "cache": self._cache.size()}


def _name(key: str) -> str:
    return f"{_FILES}/{key[:2]}/{key}"
