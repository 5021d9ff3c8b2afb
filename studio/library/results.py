"""Results of finished jobs, by the type of what was made."""

from __future__ import annotations

import json
from typing import TypeVar, cast

from pipelines.errors import BadInput
from studio.domain.migration import read_stored
from studio.domain.scene import Crop, Scene
from studio.domain.values import FileKey, Result
from studio.library.records import JobRecord, Records, SceneRecord
from studio.library.store import Store

__all__ = ["find_result", "read_result", "result_of", "scene_of"]

R = TypeVar("R", bound=Result)


def read_result(store: Store, kind: type[R], row: JobRecord) -> R:
    """Return the result of a finished job. Raises StudioError where it is damaged or of a newer studio."""
    return read_stored(kind, store.get_json(row.facts["result"]))


def scene_of(row: SceneRecord) -> Scene:
    landmark = None if row.landmark is None else FileKey(row.landmark)
    crops = tuple(Crop.model_validate_json(json.dumps(crop)) for crop in row.crops or ())
    return Scene(id=row.id, name=row.name, sha256=row.sha256, photo=FileKey(row.photo), landmark=landmark, crops=crops)


def find_result(records: Records, store: Store, owner: str, kind: type[R], key: str) -> R:
    """Return the owner's result of this type and id. Raises BadInput."""
    scene = records.get(SceneRecord, key, owner) if kind is Scene else None
    if scene is not None:
        return cast(R, scene_of(scene))
    for row in reversed(records.find(JobRecord, owner, kind=kind.kind, state="done")):
        if row.facts.get("id") == key:
            return read_result(store, kind, row)
    raise BadInput("not_found", result=kind.__name__, key=key[:64])


def result_of(records: Records, store: Store, owner: str, kind: type[R], key: str = "") -> R:
    """Return the owner's newest result of this type whose id begins with `key`. Raises BadInput."""
    rows = records.find(JobRecord, owner, kind=kind.kind, state="done")
    found = [row for row in rows if str(row.facts["id"]).startswith(key)]
    if not found and key:
        raise BadInput("not_found", result=kind.__name__, key=key[:64])
    if not found:
        raise BadInput("no_result_yet", result=f"result {kind.kind}", kind=kind.kind)
    return read_result(store, kind, found[-1])
