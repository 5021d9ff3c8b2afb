"""Are the stored files those that the records name? What is missing, what is damaged, what nobody needs; and repair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from studio.library.library import Library
from studio.library.records import JobFilesRecord, JobRecord
from studio.library.trash import needed_files, sweep

__all__ = ["Integrity", "Lost", "Repaired", "check_files", "repair_files"]


@dataclass(frozen=True)
class Lost:
    """A file that is `needed` and is not there, or is damaged, and the jobs (ids) that it belongs to."""

    key: str
    damaged: bool
    jobs: tuple[str, ...]


@dataclass(frozen=True)
class Integrity:
    """`files` there, all compared with their keys; `lost` of those that are needed; `unneeded` ones, whole or not."""

    files: int
    lost: tuple[Lost, ...]
    unneeded: int
    unneeded_bytes: int


@dataclass(frozen=True)
class Repaired:
    """`aside` (keys) were damaged and lie in the folder `damaged` now, so that what draws them again stores them anew;
    `freed` files of `bytes` that nobody needed are gone."""

    aside: tuple[str, ...]
    freed: int
    bytes: int


def check_files(library: Library, told: Callable[[int, int], None] = lambda done, total: None) -> Integrity:
    """Read every stored file once; `told` hears how many are done, and how many there are. Nothing is changed."""
    needed, files = needed_files(library.records, None), sorted(library.store.files(), key=lambda file: file.key)
    keys, damaged = {file.key for file in files}, set[str]()
    unneeded = size = 0
    for number, file in enumerate(files, 1):
        if not library.store.is_whole(file.key):
            damaged.add(file.key)
        if file.key not in needed:
            unneeded += 1
            size += file.size
        told(number, len(files))
    bad = dict.fromkeys(needed & damaged, True)
    bad |= {key: False for key in needed - keys if not library.store.has(key)}  # or it came meanwhile
    jobs = _jobs_of(library, set(bad))
    lost = tuple(Lost(key, is_damaged, tuple(jobs.get(key, ()))) for key, is_damaged in sorted(bad.items()))
    return Integrity(len(files), lost, unneeded, size)


def repair_files(library: Library, told: Callable[[int, int], None] = lambda done, total: None) -> Repaired:
    """Put damaged files aside, and delete what nobody needs. Raises BadInput while a job waits or runs."""
    freed, size = sweep(library)  # first, because it refuses
    aside, keys = [], sorted(library.store.keys())
    for number, key in enumerate(keys, 1):
        if not library.store.is_whole(key):
            library.store.set_aside(key)
            aside.append(key)
        told(number, len(keys))
    return Repaired(tuple(aside), freed, size)


def _jobs_of(library: Library, keys: set[str]) -> dict[str, list[str]]:
    """The finished jobs that each file belongs to: those that can be asked for once more."""
    found: dict[str, list[str]] = {}
    if not keys:
        return found
    known = {row.id for row in library.records.everyones(JobRecord)}
    for row in library.records.everyones(JobFilesRecord):
        for key in keys.intersection(row.keys) if row.id in known else ():
            found.setdefault(key, []).append(row.id)
    return found
