"""Results of finished jobs, by the type of what was made."""

from __future__ import annotations

import json
from typing import TypeVar, cast

from sqlalchemy import or_, select

from pipelines.errors import BadInput
from studio.domain.migration import read_stored
from studio.domain.scene import Crop, Scene
from studio.domain.style import Style
from studio.domain.values import FileKey, Result
from studio.library.records import JobRecord, PersonaRecord, Records, SceneRecord
from studio.library.shipped_styles import give_shipped
from studio.library.store import Store

__all__ = [
    "find_result", "job_of", "jobs_of_set", "read_result", "result_of", "results_of", "scene_of", "versions_of",
]  # fmt: skip

_OF_A_SET = ("vary", "fix", "captions", "check", "export")
R = TypeVar("R", bound=Result)


def read_result(store: Store, kind: type[R], row: JobRecord) -> R:
    """Return the result of a finished job. Raises StudioError where it is damaged or of a newer studio."""
    return read_stored(kind, store.get_json(row.facts["result"]))


def scene_of(row: SceneRecord) -> Scene:
    landmark = None if row.landmark is None else FileKey(row.landmark)
    crops = tuple(Crop.model_validate_json(json.dumps(crop)) for crop in row.crops or ())
    return Scene(id=row.id, name=row.name, sha256=row.sha256, photo=FileKey(row.photo), landmark=landmark, crops=crops)


def find_result(records: Records, store: Store, owner: str, kind: type[R], key: str) -> R:
    """Return the owner's result of this type and id; a style that comes along is everybody's. Raises BadInput."""
    scene = records.get(SceneRecord, key, owner) if kind is Scene else None
    if scene is not None:
        return cast(R, scene_of(scene))
    style = give_shipped(records, store, owner, key) if kind is Style else None
    if style is not None:
        return cast(R, style)
    row = job_of(records, owner, kind, key)
    if row is None:
        raise BadInput("not_found", result=kind.__name__, key=key[:64])
    return read_result(store, kind, row)


def job_of(records: Records, owner: str, kind: type[Result], key: str) -> JobRecord | None:
    """Return the owner's newest finished job that made the result of this id, however many there are."""
    job = JobRecord
    query = select(job).where(
        job.owner == owner, job.kind == kind.kind, job.state == "done", job.facts["id"].as_string() == key
    )
    with records.transaction() as session:
        return session.scalar(query.order_by(job.created.desc(), job.id.desc()).limit(1))


def versions_of(records: Records, owner: str, name: str) -> tuple[tuple[str, int], ...]:
    """Return the ids of all personas of a name with their versions, the newest first."""
    rows = records.find(PersonaRecord, owner, name=name)
    return tuple(sorted(((row.id, row.version) for row in rows), key=lambda pair: -pair[1]))


def jobs_of_set(records: Records, owner: str, post_set: str) -> tuple[JobRecord, ...]:
    """Return the jobs that belong to a set, such as its takes and exports, the newest first; none of the set ""."""
    if not post_set:
        return ()
    job = JobRecord
    title = job.facts["title"]["post_set"].as_string()
    query = select(job).where(
        job.owner == owner, job.kind.in_(_OF_A_SET), or_(title == post_set, job.facts["set"].as_string() == post_set)
    )
    with records.transaction() as session:
        return tuple(session.scalars(query.order_by(job.created.desc(), job.id.desc())))


def results_of(records: Records, store: Store, owner: str, kind: type[R]) -> list[R]:
    """Return all of the owner's results of this type, the newest first."""
    rows = records.find(JobRecord, owner, kind=kind.kind, state="done")
    return [read_result(store, kind, row) for row in reversed(rows)]


def result_of(records: Records, store: Store, owner: str, kind: type[R], key: str = "") -> R:
    """Return the owner's newest result of this type whose id begins with `key`. Raises BadInput."""
    rows = records.find(JobRecord, owner, kind=kind.kind, state="done")
    found = [row for row in rows if str(row.facts["id"]).startswith(key)]
    if not found and key:
        raise BadInput("not_found", result=kind.__name__, key=key[:64])
    if not found:
        raise BadInput("no_result_yet", result=f"result {kind.kind}", kind=kind.kind)
    return read_result(store, kind, found[-1])
