"""A bucket of an S3, by the standard variables of AWS (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, …), behind obstore.

Requests that fail on their way are tried again for half a minute; then there is an error in the user's words. What the
server said is in the log. Neither has secrets in it: requests are signed in their headers, of which nothing is told.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from pipelines.errors import BadInput, StudioError

__all__ = ["Bucket", "Held"]

_RETRIES = {
    "max_retries": 10,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5), "base": 2},
}
_AT_ONCE = 16 << 20  # bytes in one request; what is longer goes in parts, each of which has its own time
_PART = 8 << 20
_BLOCK = 4 << 20
_REFUSED = re.compile(r"status code: 40[13]\b")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Held:
    """An object of a bucket: `size` in bytes, `written` in seconds since 1970, `tag` of its content, "" without one."""

    name: str
    size: int
    written: float
    tag: str


class Bucket:
    """Objects by name, below the prefix of an address such as s3://bucket/prefix.

    An object that is not there is a FileNotFoundError; a server that cannot be reached, or refuses, a StudioError.
    """

    def __init__(self, url: str) -> None:
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
        self._url = url
        self._store = S3Store(
            bucket,
            prefix=prefix.strip("/") or None,
            retry_config=_RETRIES,
            client_options={
                "allow_http": endpoint.startswith("http://"),
                "connect_timeout": "5s",
                "read_timeout": "60s",  # between two pieces of an answer
                "timeout": "1h",  # of all of it: weights of a gigabyte over a slow line
            },
        )

    def check(self) -> None:
        """Raise BadInput where there is no such bucket, StudioError where it cannot be read."""
        next(self.list(""), None)

    def create(self, name: str, data: bytes) -> bool:
        """Write an object; False, and nothing happens, where there is one of this name."""
        with self._asking():
            try:
                if len(data) <= _AT_ONCE:
                    obstore.put(self._store, name, data, mode="create")
                    return True
            except AlreadyExistsError:
                return False
            except NotSupportedError:
                pass  # this server has no conditions
        # two that come here at once write the same: what is written once is named by its content
        if self.head(name) is not None:
            return False
        self.put(name, data)
        return True

    def put(self, name: str, data: bytes | Path) -> str:
        """Write an object, or replace it; return its tag. Whoever reads has all of the old one or of the new one."""
        with self._asking():
            size = len(data) if isinstance(data, bytes) else data.stat().st_size
            if size <= _AT_ONCE:
                whole = data if isinstance(data, bytes) else data.read_bytes()
                made = obstore.put(self._store, name, whole, use_multipart=False)
            else:
                made = obstore.put(self._store, name, data, use_multipart=True, chunk_size=_PART, max_concurrency=4)
        return _plain(made["e_tag"])

    def get(self, name: str) -> bytes:
        """Return an object's content."""
        return b"".join(self.blocks(name))

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield an object's content in pieces of megabytes."""
        with self._asking():
            for block in obstore.get(self._store, name).stream(min_chunk_size=_BLOCK):
                yield bytes(block)

    def head(self, name: str) -> Held | None:
        """Return what is known of an object without its content; None where there is none."""
        try:
            with self._asking():
                return _held(obstore.head(self._store, name))
        except FileNotFoundError:
            return None

    def list(self, folder: str) -> Iterator[Held]:
        """Yield the objects whose names begin with `folder` and a slash, in no order; a thousand a request."""
        with self._asking():
            for page in obstore.list(self._store, prefix=folder or None, chunk_size=1000):
                yield from map(_held, page)

    def delete(self, name: str) -> None:
        """Delete an object, if there is one."""
        with self._asking():
            try:
                obstore.delete(self._store, name)
            except (FileNotFoundError, NotFoundError):
                return

    def move(self, name: str, to: str) -> None:
        """Give an object another name."""
        with self._asking():
            obstore.copy(self._store, name, to)
        self.delete(name)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Say in the user's words what a request fails with."""
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> Exception:
        if "NoSuchBucket" in str(error):
            return BadInput("store_without_bucket", store=self._url)
        if isinstance(error, FileNotFoundError | NotFoundError):
            return FileNotFoundError(self._url)
        # of lists the kind of the error does not tell
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or _REFUSED.search(str(error)):
            _LOG.error("%s refuses: %s", self._url, _first_line(error))
            return StudioError("store_refused")
        _LOG.error("%s cannot be reached: %s", self._url, _first_line(error))
        return StudioError("store_unreachable")


def _held(facts: obstore.ObjectMeta) -> Held:
    return Held(facts["path"], facts["size"], facts["last_modified"].timestamp(), _plain(facts["e_tag"]))


def _plain(tag: str | None) -> str:
    return (tag or "").strip('"')


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")
