"""Emptying the trash for good: rows first, then the files that nothing names any more. And what takes the disk."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from pipelines.errors import BadInput
from studio.application import Studio
from studio.jobs.queue import Queue
from studio.library.index import find_things
from studio.library.records import (
    Base,
    CandidateRecord,
    ExportedRecord,
    FileRecord,
    JobRecord,
    MarkRecord,
    PersonaRecord,
    PostRecord,
    PostSetRecord,
    SceneRecord,
    ShelfRecord,
)

__all__ = ["Freed", "disk_use", "empty_trash", "sweep"]

_KEY = re.compile(r"\b[0-9a-f]{64}\b")
_KEY_BYTES = re.compile(rb"\b[0-9a-f]{64}\b")
_YOUNG_S = 600.0  # a page may have stored a file whose row is still to be written
_JOBS = ("consolidate", "posts", "design")


@dataclass(frozen=True)
class Freed:
    things: int
    files: int
    bytes: int


def empty_trash(queue: Queue, owner: str, young_s: float = _YOUNG_S) -> Freed:
    """Delete an owner's trashed things for ever, with every file that nothing else uses.

    Raises BadInput while any job waits or runs: its files are named nowhere yet.
    """
    studio = queue.studio
    _check_quiet(studio)
    things, _ = find_things(studio.records, owner, trashed=True, size=1_000_000)
    gone = {kind: {t.id.partition(":")[2] for t in things if t.kind == kind} for kind in (*_JOBS, "scene")}
    jobs = [j.id for kind in _JOBS for j in queue.jobs(owner, kind=kind) if j.facts.get("id") in gone[kind]]
    for job in queue.jobs(owner, kind="export", state="done"):
        if queue.result(job)["post_set"] in gone["posts"]:
            jobs.append(job.id)
    for kind in ("vary", "fix"):
        jobs += [j.id for j in queue.jobs(owner, kind=kind) if _set_of(queue, j) in gone["posts"]]
    queue.forget(jobs, owner)
    _forget_rows(studio, owner, gone)
    for thing in things:
        studio.records.remove(ShelfRecord, thing.id, owner)
        studio.records.remove(MarkRecord, thing.id, owner)
    files, size = sweep(studio, young_s)
    return Freed(len(things), files, size)


def sweep(studio: Studio, young_s: float = _YOUNG_S) -> tuple[int, int]:
    """Delete stored files that no row names, neither itself nor through a stored JSON; how many, and their bytes."""
    _check_quiet(studio)
    with studio.records.transaction() as session:
        owners = set(session.scalars(select(FileRecord.owner).distinct()))
    for owner in owners:
        mine = _reachable(studio, _named(studio, owner))
        for row in studio.records.find(FileRecord, owner):
            if row.id not in mine:
                studio.records.remove(FileRecord, row.id, owner)
    everyones = _reachable(studio, _named(studio, None) | _engine_keys(studio))
    files = size = 0
    now = time.time()
    for path in (studio.settings.data / "files").glob("*/*"):
        facts = path.stat()
        if path.name in everyones or not _KEY.fullmatch(path.name) or now - facts.st_mtime < young_s:
            continue
        path.unlink()
        files, size = files + 1, size + facts.st_size
        for thumb in (studio.settings.data / "thumbs").glob(f"{path.name}-*.webp"):
            thumb.unlink(missing_ok=True)
    return files, size


def disk_use(studio: Studio) -> dict[str, int]:
    """Bytes by kind: pictures, loras, bundles, notes (JSON), donors, uploads, work (checkpoints), records."""
    used = dict.fromkeys(("pictures", "loras", "bundles", "notes", "donors", "uploads", "work", "records"), 0)
    data = studio.settings.data
    for path in (data / "files").glob("*/*"):
        used[_kind_of(path)] += path.stat().st_size
    used["pictures"] += _size_of(data / "thumbs")
    for name, folder in (("donors", studio.donors_folder), ("uploads", data / "uploads"), ("work", studio.work)):
        used[name] += _size_of(folder)
    used["records"] = sum(path.stat().st_size for path in data.glob("*.sqlite*"))
    return used


def _check_quiet(studio: Studio) -> None:
    with studio.records.transaction() as session:
        busy = session.scalar(select(JobRecord.id).where(JobRecord.state.in_(("queued", "running"))).limit(1))
    if busy is not None:
        raise BadInput("A job is waiting or running.", "Empty the trash when all jobs are done.", "busy")


def _set_of(queue: Queue, job: JobRecord) -> str | None:
    """The post set that a new take is for; None for a failed one of an older version, which did not note it."""
    if (noted := job.facts.get("set")) is not None or job.state != "done":
        return noted
    return str(queue.result(job)["set"])


def _forget_rows(studio: Studio, owner: str, gone: dict[str, set[str]]) -> None:
    records = studio.records
    of_design = [r.id for d in gone["design"] for r in records.find(CandidateRecord, owner, design=d)]
    of_set = [r.id for s in gone["posts"] for r in records.find(PostRecord, owner, post_set=s)]
    rows: list[tuple[type[Base], Iterable[str]]] = [
        (CandidateRecord, of_design), (PostRecord, of_set), (PostSetRecord, gone["posts"]),
        (PersonaRecord, gone["consolidate"]), (SceneRecord, gone["scene"]),
    ]  # fmt: skip
    for table, keys in rows:
        for key in keys:
            records.remove(table, key, owner)


def _named(studio: Studio, owner: str | None) -> set[str]:
    """Every key in any row of this owner (None: of all); that somebody may see a file does not name it."""
    keys: set[str] = set()
    with studio.records.transaction() as session:
        for table in Base.metadata.sorted_tables:
            if table.name == FileRecord.__tablename__:
                continue
            query = select(table) if owner is None else select(table).where(table.c.owner == owner)
            for row in session.execute(query):
                keys.update(_KEY.findall(repr(tuple(row))))
    return keys


def _reachable(studio: Studio, named: set[str]) -> set[str]:
    """The named keys, and those in the stored JSON that they lead to.

    What was exported stays known by its manifest, but does not keep the files that it was made from.
    """
    with studio.records.transaction() as session:
        manifests = set(session.scalars(select(ExportedRecord.manifest)))
    seen: set[str] = set()
    waiting = set(named)
    while waiting:
        key = waiting.pop()
        seen.add(key)
        path = studio.store.path(key)
        if key in manifests or not path.is_file() or _kind_of(path) != "notes":
            continue
        found = {k.decode() for k in _KEY_BYTES.findall(path.read_bytes())}
        waiting |= found - seen
    return seen


def _engine_keys(studio: Studio) -> set[str]:
    """What jobs that can still go on (failed, stopped) have made so far: the engine alone knows."""
    path = studio.settings.data / "engine.sqlite"
    if not path.exists():
        return set()
    query = (
        "select o.output from operation_outputs o join workflow_status w using (workflow_uuid) "
        "where w.status != 'SUCCESS' union all select inputs from workflow_status where status != 'SUCCESS'"
    )
    connection = sqlite3.connect(path, timeout=10)
    try:
        return {key for (text,) in connection.execute(query) if text for key in _KEY.findall(str(text))}
    finally:
        connection.close()


def _kind_of(path: Path) -> str:
    with path.open("rb") as stream:
        start = stream.read(9)
    if start[:4] in (b"\x89PNG", b"RIFF") or start[:2] == b"\xff\xd8":
        return "pictures"
    if start[:2] == b"PK":
        return "bundles"
    # a safetensors file: eight bytes of size, then JSON
    return "loras" if start[8:9] == b"{" and start[:1] not in (b"{", b"[") else "notes"


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
