"""Emptying the trash for good: rows first, then the files that nobody needs any more. And what takes the disk.

A file is needed where the list of a job or of a kept form names it, a row's own column does, or where somebody may see
it who has chosen it lately: what a page was just told is in no row yet. Words never count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select

from pipelines.errors import BadInput
from studio.domain.album_export import AlbumExport
from studio.domain.bundle import Bundle, ExportCheck
from studio.domain.captions import Captions
from studio.domain.grid import Grid
from studio.domain.more import MoreCandidates
from studio.domain.takes import FixTake, Take, VaryTake
from studio.library.groups import forget_members, members_of
from studio.library.index import Search, every_thing
from studio.library.library import Library
from studio.library.marks import WALK_MARK
from studio.library.records import (
    AlbumRecord,
    Base,
    CandidateRecord,
    DraftRecord,
    ExportedRecord,
    FaceRecord,
    FileRecord,
    IndexRecord,
    JobFilesRecord,
    JobRecord,
    MarkRecord,
    PersonaRecord,
    PostRecord,
    PostSetRecord,
    Records,
    SceneRecord,
    TasteRecord,
)
from studio.library.results import read_result

__all__ = ["Freed", "disk_use", "empty_trash", "needed_files", "sweep"]

_YOUNG_S = 600.0  # a page may have stored a file whose grant is still to be written
_DRAFT_S = 24 * 3600.0  # what a page has chosen and not asked for, as long as an upload is kept
_JOBS = ("consolidate", "posts", "design", "style")
_OTHERS = ("scene", "album")
_TAKES: dict[str, type[Take]] = {"vary": VaryTake, "fix": FixTake}


@dataclass(frozen=True)
class Freed:
    things: int
    files: int
    bytes: int


def empty_trash(
    library: Library, owner: str, forget: Callable[[list[str], str], None], young_s: float = _YOUNG_S
) -> Freed:
    """Delete an owner's trashed things for ever, with every file that nothing else needs.

    `forget` makes the engine forget jobs. Raises BadInput while any job waits or runs.
    """
    records = library.records
    _check_quiet(library)
    things = list(every_thing(records, Search(owner, trashed=True)))
    gone = {kind: {t.id.partition(":")[2] for t in things if t.kind == kind} for kind in (*_JOBS, *_OTHERS)}
    jobs = [
        j.id for kind in _JOBS for j in records.find(JobRecord, owner, kind=kind) if j.facts.get("id") in gone[kind]
    ]
    made_of_sets: tuple[type[Bundle | ExportCheck | Captions], ...] = (Bundle, ExportCheck, Captions)
    for made_of in made_of_sets:
        for job in records.find(JobRecord, owner, kind=made_of.kind, state="done"):
            if read_result(library.store, made_of, job).post_set in gone["posts"]:
                jobs.append(job.id)
    for job in records.find(JobRecord, owner, kind=MoreCandidates.kind, state="done"):
        if read_result(library.store, MoreCandidates, job).design in gone["design"]:
            jobs.append(job.id)
    for job in records.find(JobRecord, owner, kind=Grid.kind, state="done"):
        if gone["consolidate"].intersection(one.id for one in read_result(library.store, Grid, job).personas):
            jobs.append(job.id)
    for job in records.find(JobRecord, owner, kind=AlbumExport.kind, state="done"):
        if gone["posts"].intersection(read_result(library.store, AlbumExport, job).post_sets):
            jobs.append(job.id)
    for kind in _TAKES:
        jobs += [j.id for j in records.find(JobRecord, owner, kind=kind) if _set_of(library, j) in gone["posts"]]
    made = {key for job in jobs if (row := records.get(JobFilesRecord, job, owner)) is not None for key in row.made}
    for scene in records.find(SceneRecord, owner):
        if scene.id in gone["scene"]:
            made |= {key for key in (scene.photo, scene.landmark) if key is not None}
    forget(jobs, owner)
    _forget_rows(library, owner, gone)
    posts = [post for key in gone["posts"] for post in members_of(records, owner, f"posts:{key}")]
    ids = [*posts, *(thing.id for thing in things)]
    for key in ids:
        records.remove(IndexRecord, key, owner)
        records.remove(FaceRecord, key, owner)
        records.remove(MarkRecord, key, owner)
        if key.startswith("scene:"):
            records.remove(MarkRecord, f"pack:{key.removeprefix('scene:')}", owner)
    forget_members(records, owner, ids)
    _withdraw(library, owner, made - needed_files(library.records, owner))
    files, size = sweep(library, young_s)
    return Freed(len(things), files, size)


def sweep(library: Library, young_s: float = _YOUNG_S, draft_s: float = _DRAFT_S) -> tuple[int, int]:
    """Delete stored files that nobody needs; how many, and their bytes.

    Raises BadInput while any job waits or runs, and where the records know of nothing at all: they are others' or lost.
    """
    _check_quiet(library)
    if next(library.store.keys(), None) is not None and not _knows_anything(library.records):
        raise BadInput("records_empty", folder=str(library.data))
    before = datetime.now(UTC) - timedelta(seconds=draft_s)
    with library.records.transaction() as session:
        owners = set(session.scalars(select(FileRecord.owner).distinct()))
    for owner in owners:
        old = {row.id for row in library.records.find(FileRecord, owner) if row.created < before}
        _withdraw(library, owner, old - needed_files(library.records, owner))
    with library.records.transaction() as session:
        kept = needed_files(library.records, None) | set(session.scalars(select(FileRecord.id).distinct()))
    files = size = 0
    now, gone = time.time(), set[str]()
    for file in library.store.files():
        if file.key not in kept and now - file.written >= young_s and library.store.remove(file):
            files, size = files + 1, size + file.size
            gone.add(file.key)
    for thumb in (library.data / "thumbs").glob("*.webp") if gone else ():  # once: there are many of both
        if thumb.name.partition("-")[0] in gone:
            thumb.unlink(missing_ok=True)
    return files, size


def disk_use(library: Library) -> dict[str, int]:
    """Bytes by kind: pictures, loras, bundles, notes (JSON), donors, uploads, work (checkpoints), records; of a bucket
    what is stored in it, and the copies of it on this disk."""
    data, used = library.data, library.store.sizes()
    used["pictures"] = used.get("pictures", 0) + _size_of(data / "thumbs")
    shared = library.shared.folder
    for name, folder in (("donors", shared / "donors"), ("uploads", shared / "uploads"), ("work", library.work)):
        used[name] = _size_of(folder)
    used["records"] = sum(path.stat().st_size for path in data.glob("*.sqlite*"))
    return used


def _check_quiet(library: Library) -> None:
    """Also where an older studio's jobs have no lists yet: the worker writes them when it starts."""
    with library.records.transaction() as session:
        busy = session.scalar(select(JobRecord.id).where(JobRecord.state.in_(("queued", "running"))).limit(1))
        listed = select(JobFilesRecord.id).where(
            JobFilesRecord.id == JobRecord.id, JobFilesRecord.owner == JobRecord.owner
        )
        unlisted = session.scalar(select(JobRecord.id).where(~listed.exists()).limit(1))
    if busy is not None or unlisted is not None:
        raise BadInput("busy")


def _knows_anything(records: Records) -> bool:
    with records.transaction() as session:
        return any(
            session.scalar(select(table.id).limit(1)) is not None
            for table in (JobRecord, FileRecord, SceneRecord, DraftRecord)
        )


def _set_of(library: Library, job: JobRecord) -> str | None:
    """The post set that a new take is for; None for a failed one of an older version, which did not note it."""
    if (noted := job.facts.get("set")) is not None or job.state != "done":
        return None if noted is None else str(noted)
    return read_result(library.store, _TAKES[job.kind], job).post_set


def _forget_rows(library: Library, owner: str, gone: dict[str, set[str]]) -> None:
    records = library.records
    of_design = [r.id for d in gone["design"] for r in records.find(CandidateRecord, owner, design=d)]
    of_set = [r.id for s in gone["posts"] for r in records.find(PostRecord, owner, post_set=s)]
    rows: list[tuple[type[Base], Iterable[str]]] = [
        (CandidateRecord, of_design), (PostRecord, of_set), (PostSetRecord, gone["posts"]),
        (PersonaRecord, gone["consolidate"]), (SceneRecord, gone["scene"]), (AlbumRecord, gone["album"]),
    ]  # fmt: skip
    for table, keys in rows:
        for key in keys:
            records.remove(table, key, owner)


def _withdraw(library: Library, owner: str, keys: Collection[str]) -> None:
    """Take back the owner's grants of these files."""
    with library.records.transaction() as session:
        for key in keys:
            session.execute(delete(FileRecord).where(FileRecord.owner == owner, FileRecord.id == key))


def needed_files(records: Records, owner: str | None) -> set[str]:
    """The keys in rows of this owner (None: of all): the lists of jobs, and columns that hold a key.

    What was exported stays known by its manifest, but does not keep the files that it was made from.
    """
    columns: list[tuple[type[Base], Any]] = [
        (SceneRecord, SceneRecord.photo), (SceneRecord, SceneRecord.landmark),
        (CandidateRecord, CandidateRecord.picture), (PersonaRecord, PersonaRecord.lora),
        (PersonaRecord, PersonaRecord.facts["losses"].as_string()), (PostRecord, PostRecord.picture),
        (ExportedRecord, ExportedRecord.manifest), (IndexRecord, IndexRecord.facts["picture"].as_string()),
        (JobRecord, JobRecord.facts["result"].as_string()), (TasteRecord, TasteRecord.facts["picture"].as_string()),
        (TasteRecord, TasteRecord.facts["over"].as_string()),
    ]  # fmt: skip

    def of_owner(table: type[Base], column: Any) -> Any:
        return select(column) if owner is None else select(column).where(table.owner == owner)

    with records.transaction() as session:
        lists = ((JobFilesRecord, JobFilesRecord.keys), (DraftRecord, DraftRecord.keys))
        keys = {key for table, column in lists for row in session.scalars(of_owner(table, column)) for key in row}
        for table, column in columns:
            keys.update(key for key in session.scalars(of_owner(table, column)) if key)
        shown = of_owner(MarkRecord, MarkRecord.facts["shown"].as_string()).where(MarkRecord.id == WALK_MARK)
        keys.update(key for key in session.scalars(shown) if key)
    return keys


def _size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
