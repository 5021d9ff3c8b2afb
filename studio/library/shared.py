"""Folders that all machines of a studio share: donors, uploads, unfinished trainings.

Where the store is a folder, they lie in it. Where it is a bucket, each machine has a mirror of them in its data folder:
what changed on either side since both were compared last is copied to the other, and what was deleted goes there, too.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

from pipelines.errors import StudioError
from pipelines.files import storing, write_whole
from studio.library.bucket import Bucket, Held
from studio.settings import Settings

__all__ = ["Shared", "open_shared"]

_AWAY_S = 5.0


class Shared(Protocol):
    """Folders by name, such as donors or uploads/ab/cd."""

    @property
    def folder(self) -> Path:
        """Return the folder of this machine that they lie in."""

    def sync(self, name: str) -> Path:
        """Let this machine and all others have the same in a folder; return it. Files that end in .json go last.

        Raises StudioError where a bucket cannot be reached, OutOfDisk.
        """

    def drop(self, name: str) -> None:
        """Forget a folder everywhere but on this machine: nobody else needs it any more."""

    def forget_older(self, name: str, before: float) -> None:
        """Delete from a bucket what was written into a folder before a time, in seconds since 1970."""


@lru_cache(maxsize=16)
def _open(folder: Path, bucket: str) -> Shared:
    return _Mirror(folder, Bucket(bucket)) if bucket else _Folder(folder)


def open_shared(settings: Settings) -> Shared:
    """Return the folders that the settings' store shares; nothing is looked at."""
    return _open(settings.shared, settings.bucket)


@dataclass(frozen=True)
class _Folder:
    folder: Path

    def sync(self, name: str) -> Path:
        return self.folder / name

    def drop(self, name: str) -> None:
        """Nobody has a copy of it."""

    def forget_older(self, name: str, before: float) -> None:
        """Whoever deletes old files of the folder itself has done it."""


class _Known(NamedTuple):
    """A file as both sides had it when they were compared last: its `size` and `mtime_ns` here, its `tag` there."""

    size: int
    mtime_ns: int
    tag: str


class _Mirror:
    """A mirror in `folder` of a bucket's objects. `.mirror` in it says of each folder what was compared last."""

    def __init__(self, folder: Path, bucket: Bucket) -> None:
        self.folder, self._bucket = folder, bucket
        self._away_until = 0.0
        self._notes = folder / ".mirror"

    def sync(self, name: str) -> Path:
        with self._alone(name), self._asking():
            known = self._read(name)
            there = {held.name: held for held in self._bucket.list(name)}
            here = {path.relative_to(self.folder).as_posix(): path.stat() for path in _files_of(self.folder / name)}
            if not here and not (self.folder / name).is_dir():
                known = {}  # a disk that was lost is nobody's wish to delete
            now: dict[str, _Known] = {}
            # deletions last: whoever is ended in the middle leaves too much, and never too little
            gone = known.keys() - (here.keys() & there.keys())
            for file in sorted({*here, *there, *known}, key=lambda file: (file in gone, file.endswith(".json"), file)):
                both = self._agree(file, here.get(file), there.get(file), known.get(file))
                if both is not None:
                    now[file] = both
                if both != known.get(file):  # noted at once: who is ended in the middle has not deleted anything
                    self._write(name, {**known, **now})
            self._write(name, now)
        return self.folder / name

    def _agree(self, file: str, here: os.stat_result | None, there: Held | None, known: _Known | None) -> _Known | None:
        """Let both sides have one file, or none; return what they have."""
        changed_here = known is None or (here is not None and (here.st_size, here.st_mtime_ns) != known[:2])
        changed_there = known is None or (there is not None and there.tag != known.tag)
        if here is not None and there is not None:
            if changed_here and changed_there and self._is_same(file, here, there):
                return _Known(here.st_size, here.st_mtime_ns, there.tag)
            if changed_there and not (changed_here and here.st_mtime > there.written):
                return self._fetch(file, there)
            return self._send(file) if changed_here else known
        if here is not None:
            if changed_here:
                return self._send(file)
            (self.folder / file).unlink(missing_ok=True)
        elif there is not None:
            if changed_there:
                return self._fetch(file, there)
            self._bucket.delete(file)
        return None

    def _is_same(self, file: str, here: os.stat_result, there: Held) -> bool:
        if here.st_size != there.size:
            return False
        with (self.folder / file).open("rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == there.tag

    def _fetch(self, file: str, there: Held) -> _Known:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with storing(), part.open("wb") as stream:
                for block in self._bucket.blocks(file):
                    stream.write(block)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        facts = path.stat()
        return _Known(facts.st_size, facts.st_mtime_ns, there.tag)

    def _send(self, file: str) -> _Known | None:
        path = self.folder / file
        try:
            facts = path.stat()
            tag = self._bucket.put(file, path)
        except FileNotFoundError:
            return None  # gone meanwhile
        return _Known(facts.st_size, facts.st_mtime_ns, tag)

    def drop(self, name: str) -> None:
        with self._alone(name):
            for held in list(self._bucket.list(name)):
                self._bucket.delete(held.name)
            self._note(name).unlink(missing_ok=True)

    def forget_older(self, name: str, before: float) -> None:
        for held in list(self._bucket.list(name)):
            if held.written < before:
                self._bucket.delete(held.name)
        for note in self._notes.glob("*.json"):
            with suppress(FileNotFoundError):
                told = json.loads(note.read_bytes())
                if told["name"].startswith(f"{name}/") and note.stat().st_mtime < before:
                    note.unlink()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Ask a bucket that could not be reached no more for some seconds: pages list donors all the time, one after
        the other, and each would wait for as long as the first."""
        if time.monotonic() < self._away_until:
            raise StudioError("store_unreachable")
        try:
            yield
        except StudioError as error:
            if error.code == "store_unreachable":
                self._away_until = time.monotonic() + _AWAY_S
            raise

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Let one process of this machine compare a folder at a time."""
        self._notes.mkdir(parents=True, exist_ok=True)
        with self._note(name).with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _note(self, name: str) -> Path:
        return self._notes / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"

    def _read(self, name: str) -> dict[str, _Known]:
        try:
            return {file: _Known(*row) for file, row in json.loads(self._note(name).read_bytes())["files"].items()}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _write(self, name: str, known: dict[str, _Known]) -> None:
        if known != self._read(name):
            write_whole(self._note(name), json.dumps({"name": name, "files": known}).encode(), mode=0o600)


def _files_of(folder: Path) -> Iterator[Path]:
    """Yield what is whole: nothing that somebody writes just now."""
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") or part.endswith(".part") for part in relative.parts):
            yield path
