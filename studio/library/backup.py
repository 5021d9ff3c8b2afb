"""A studio in one file, and back: records, the durable engine's database, stored files, donors and settings.

A backup may be made while jobs run. The databases are copied first, as they are at one moment each, then the files,
which never change once they are stored: so every file that the copied records name is there. The list of all
contents, with their hashes, is written last: a file without it was never finished.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import sqlite3
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.errors import BadInput
from pipelines.files import ZIP_ERRORS, storing
from studio.library.library import Library
from studio.library.records import JobFilesRecord, JobRecord, Records, RequestRecord
from studio.library.store_place import leave_bucket
from studio.library.trash import needed_files

__all__ = ["Backup", "Restored", "back_up", "restore"]

_LIST = "backup.json"
_DATABASES = ("engine.sqlite", "studio.sqlite")  # the engine first: records name more files than it, never fewer
_FILES = "files/"
_MOST_LIST = 500_000_000  # bytes: some million files
_TRIES = 5
_LEAST_FREE = 1 << 20  # bytes, beside what is written
_BLOCK = 1 << 20
_PART = re.compile(r"[^/\\\0]{1,255}")


class _Listed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    bytes: int


class _Contents(BaseModel):
    """`format` 1; `files` {name in the archive: what is in it}."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    studio: str
    made: datetime
    files: dict[str, _Listed]


@dataclass(frozen=True)
class Backup:
    """So many `files` of so many `bytes` are in it; stored files that are named and nowhere are `missing` (keys)."""

    files: int
    bytes: int
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Restored:
    """So many `files` of so many `bytes` were taken back; `made` is when the backup was."""

    files: int
    bytes: int
    made: datetime


def back_up(library: Library, place: Path, told: Callable[[int, int], None] = lambda done, total: None) -> Backup:
    """Write everything of a studio into `place`, a new ZIP file; `told` hears of bytes done and in all.

    Raises BadInput where something is there already or the records are on a server, OutOfDisk.
    """
    if place.exists():
        raise BadInput("backup_exists", file=str(place))
    if library.records.engine.dialect.name != "sqlite":
        raise BadInput("backup_of_server")
    part = place.with_name(f"{place.name}.part")
    try:
        with storing(), tempfile.TemporaryDirectory(dir=place.parent) as scratch:
            copies = _copy_databases(library.data, Path(scratch))
            wanted = needed_files(Records(Path(scratch) / "studio.sqlite"), None)
            listed = _write(part, copies, library, told)
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(place)
    finally:
        part.unlink(missing_ok=True)
    there = {PurePosixPath(name).name for name in listed if name.startswith(_FILES)}
    return Backup(len(listed), sum(one.bytes for one in listed.values()), tuple(sorted(wanted - there)))


def _copy_databases(data: Path, scratch: Path) -> list[Path]:
    """Copy both. A job that was put in between is in the records' copy and not in the engine's: they are copied once
    more, and where somebody never stops putting jobs, the last ones are left out."""
    copies = [scratch / name for name in _DATABASES if (data / name).is_file()]
    for _ in range(_TRIES):
        for copy in copies:
            copy.unlink(missing_ok=True)
            _copy_database(data / copy.name, copy)
        if len(copies) < len(_DATABASES) or not (strays := _jobs_between(*copies)):
            return copies
    records = Records(copies[-1])
    for job, owner in strays:
        for table in (JobRecord, RequestRecord, JobFilesRecord):
            records.remove(table, job, owner)
    records.engine.dispose()
    return copies


def _jobs_between(engine: Path, records: Path) -> list[tuple[str, str]]:
    """Return (id, owner) of unfinished jobs that the engine does not know, and whose request the records gave away."""
    with closing(sqlite3.connect(records)) as copy:
        copy.execute("attach database ? as engine", (str(engine),))
        if not copy.execute("select 1 from engine.sqlite_master where name = 'workflow_status'").fetchone():
            return []
        return copy.execute(
            "select id, owner from jobs where state in ('queued', 'running') "
            "and id not in (select workflow_uuid from engine.workflow_status) "
            "and not exists (select 1 from requests where requests.id = jobs.id and requests.owner = jobs.owner)"
        ).fetchall()


def _copy_database(source: Path, copy: Path) -> None:
    """As it is at one moment, with what others have written to it and not yet folded in."""
    with closing(sqlite3.connect(source, timeout=60)) as old, closing(sqlite3.connect(copy)) as new:
        old.backup(new)


def _write(part: Path, copies: list[Path], library: Library, told: Callable[[int, int], None]) -> dict[str, _Listed]:
    found: list[tuple[str, int, Callable[[], Iterable[bytes]]]] = []

    def add(name: str, path: Path) -> None:
        with suppress(FileNotFoundError):
            found.append((name, path.stat().st_size, partial(_blocks, path)))

    for copy in copies:
        add(copy.name, copy)
    for name in ("settings.json", "speeds.json"):
        add(name, library.data / name)
    # with records in a file there is one machine, and all uploads are on it
    folders = {"donors": library.donors_folder, "faces": library.faces, "work": library.work}
    for name, folder in (folders | {"uploads": library.shared.folder / "uploads"}).items():
        for path in _files_of(folder):
            add(f"{name}/{path.relative_to(folder).as_posix()}", path)
    for file in library.store.files():
        found.append((f"{_FILES}{file.key[:2]}/{file.key}", file.size, partial(library.store.blocks, file.key)))
    total, done = sum(size for _, size, _ in found), 0
    listed: dict[str, _Listed] = {}
    with zipfile.ZipFile(part, "w") as archive:  # stored: pictures and weights do not get smaller
        os.chmod(part, 0o600)  # passwords' hashes and faces are in it
        for name, _, read in found:
            try:
                blocks = iter(read())
                first = next(blocks, b"")
            except FileNotFoundError:  # swept or finished meanwhile, so nothing needs it
                continue
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as target:
                listed[name] = _copy(chain([first], blocks), target.write)
            done += listed[name].bytes
            told(done, total)
        contents = _Contents(studio=version("persona-studio"), made=datetime.now(UTC), files=listed)
        archive.writestr(_LIST, contents.model_dump_json())
    return listed


def _files_of(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and not path.is_symlink() and not path.name.endswith(".part"):
            yield path


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from _read(file)


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _copy(blocks: Iterable[bytes], write: Callable[[bytes], object]) -> _Listed:
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        write(block)
        digest.update(block)
        size += len(block)
    return _Listed(sha256=digest.hexdigest(), bytes=size)


def restore(
    place: Path, data: Path, told: Callable[[int, int], None] = lambda done, total: None, bucket: str = ""
) -> Restored:
    """Make the data folder that a backup was made of; `data` must be empty or not there.

    All stored files lie in it then: `studio.library.store_place.move_files` brings them to `bucket`, or another folder.

    Every content is compared with its hash before anything stands in `data`. Raises BadInput for what is no whole
    backup, or where `data` holds something; OutOfDisk.
    """
    if data.exists() and (not data.is_dir() or any(data.iterdir())):
        raise BadInput("restore_not_empty", folder=str(data))
    try:
        with zipfile.ZipFile(place) as archive, storing():
            contents = _read_list(archive, place)
            total = sum(one.bytes for one in contents.files.values())
            made = not data.exists()
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                _fill(archive, contents, data, place, told)
            finally:
                if made and not any(data.iterdir()):
                    data.rmdir()
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        raise BadInput("backup_damaged", file=str(place)) from error
    records = Records(data / "studio.sqlite")  # of an older studio: its tables become today's
    leave_bucket(records, bucket)
    return Restored(len(contents.files), total, contents.made)


def _fill(
    archive: zipfile.ZipFile, contents: _Contents, data: Path, place: Path, told: Callable[[int, int], None]
) -> None:
    """Take everything out beside its place, on the same disk, and move it there once it is whole. The folder itself may
    be a link or a disk of its own, so it stays."""
    total = sum(one.bytes for one in contents.files.values())
    if shutil.disk_usage(data).free < total + _LEAST_FREE:
        raise BadInput("restore_no_room", folder=str(data), gigabytes=round(total / 1e9, 1))
    with tempfile.TemporaryDirectory(dir=data, prefix=".restoring-") as scratch:
        _take_out(archive, contents, Path(scratch), place, told)
        # the records last: a folder without them is none
        for path in sorted(Path(scratch).iterdir(), key=lambda path: path.name == "studio.sqlite"):
            path.replace(data / path.name)


def _read_list(archive: zipfile.ZipFile, place: Path) -> _Contents:
    try:
        with archive.open(_LIST) as stream:
            text = stream.read(_MOST_LIST + 1)
        if len(text) > _MOST_LIST:
            raise BadInput("backup_damaged", file=str(place))
        contents = _Contents.model_validate_json(text)
    except (KeyError, ValidationError) as error:
        raise BadInput("backup_not_whole", file=str(place)) from error
    except ZIP_ERRORS as error:
        raise BadInput("backup_damaged", file=str(place)) from error
    if contents.format != 1:
        raise BadInput("backup_newer", file=str(place), studio=contents.studio)
    return contents


def _take_out(
    archive: zipfile.ZipFile, contents: _Contents, whole: Path, place: Path, told: Callable[[int, int], None]
) -> None:
    done, total = 0, sum(one.bytes for one in contents.files.values())
    for name, listed in contents.files.items():
        parts = PurePosixPath(name).parts
        if name.startswith("/") or not parts or any(p in ("..", ".") or not _PART.fullmatch(p) for p in parts):
            raise BadInput("backup_damaged", file=str(place))
        target = whole.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            source = archive.open(name)  # where the zip's own list points at nowhere, or the entry is encrypted
        except ZIP_ERRORS as error:
            raise BadInput("backup_damaged", file=str(place)) from error
        with source, target.open("xb") as file:
            found = _copy(_read(source), file.write)
            file.flush()
            os.fsync(file.fileno())
        if found != listed:
            raise BadInput("backup_damaged", file=str(place))
        done += found.bytes
        told(done, total)
