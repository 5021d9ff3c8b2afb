"""A data set's pictures measured and described, batch by batch, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from personas.captions.captioner import ToDescribe
from personas.datasets.facts import PictureFacts, measure_picture
from personas.datasets.limits import usual_limits
from pipelines.errors import BadInput, error_from_json
from pipelines.own_look import OwnLook
from pipelines.progress import SILENT, Progress, Stage, StageProgress
from studio.application import Studio
from studio.captions.endpoint import Endpoint
from studio.captions.vision import EndpointCaptioner
from studio.datasets.archives import unpack
from studio.datasets.pairs import bring_pictures, check_folder, name_left_out
from studio.domain.capabilities import own_look
from studio.domain.dataset import DataSet, DatasetPicture, DatasetRequest
from studio.domain.report import LeftOut, StudioStage
from studio.domain.values import FileKey
from studio.library.consents import check_pictures
from studio.library.picture_folders import PictureFolder, list_pictures
from studio.library.records import content_id
from studio.library.told_captions import keep_told, known_told
from studio.library.uploads import find_upload
from studio.workflows import Run
from studio.workflows.captions import check_budget, endpoint_of, left_today, note_used

__all__ = ["check_may_ask", "curate_dataset"]

_BROUGHT_AT_ONCE, _MEASURED_AT_ONCE, _TOLD_AT_ONCE = 16, 8, 5  # after the first five a model's tokens can be estimated
_FACTS = TypeAdapter(list[PictureFacts])


def curate_dataset(studio: Studio, request: DatasetRequest, run: Run, progress: Progress = SILENT) -> DataSet:
    """Measure all pictures, and ask the vision model of them where the request says so. Raises BadInput where the
    consent is over, or does not let another machine see the pictures.
    """
    request.check_before()
    if request.writer == "endpoint":
        check_may_ask(studio, request.outside)
    if request.upload:
        request = _bring(studio, request, run, progress)
        check_pictures(studio.records, request.owner, request)  # only now are they known
    progress.tell(LeftOut(tuple(row.error for row in request.left_out)))
    total, stage = len(request.pictures), Stage(StudioStage.CURATE)
    facts: list[PictureFacts] = []
    for number, first in enumerate(range(0, total, _MEASURED_AT_ONCE)):
        progress.check_cancelled()
        progress.tell(StageProgress(stage, first, total))
        batch = request.pictures[first : first + _MEASURED_AT_ONCE]
        facts += _read(studio, run(f"measure-{number}", partial(_measure, studio, batch)))
    progress.tell(StageProgress(stage, total, total))
    spec = studio.backbone_spec
    told = _Told() if request.writer == "measured" else _ask_all(studio, request, facts, run, progress)
    made = {
        "request": request.model_dump(mode="json"),
        "facts": run("facts", lambda: str(studio.store.put_json([one.model_dump(mode="json") for one in facts]))),
        "told": told.key,
        "limits": usual_limits(spec.height, spec.width, max(studio.least_identity, 0.2)).model_dump(mode="json"),
        "pixels": spec.height * spec.width,
        "unasked": told.unasked,
        "estimate": told.estimate,
    }
    return DataSet.model_validate_json(json.dumps({"id": content_id(made), **made}))


def _bring(studio: Studio, request: DatasetRequest, run: Run, progress: Progress) -> DatasetRequest:
    """Return the request with its file's pictures, stored batch by batch. Raises BadInput, NotEnough, OutOfDisk."""
    folder, stage = studio.library.work / f"dataset-{request.upload[:16]}", Stage(StudioStage.INTAKE)

    @cache
    def unpacked() -> PictureFolder:
        if not folder.is_dir():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            unpack(find_upload(studio.settings, request.owner, request.upload), part)
            part.replace(folder)
        return replace(list_pictures(folder), folder=Path(request.name))  # what errors call it

    def look() -> dict[str, Any]:
        found = unpacked()
        check_folder(found)
        return {"count": len(found.pictures), "left_out": [one.as_json() for one in found.left_out]}

    def bring(first: int) -> list[Any]:
        found = unpacked()
        batch = list(found.pictures[first : first + _BROUGHT_AT_ONCE])
        kept, others = bring_pictures(studio.library, batch, found.captions, request.owner)
        return [[one.model_dump(mode="json") for one in kept], [one.as_json() for one in others]]

    try:
        looked = run("look", look)
        count, pictures, left_out = looked["count"], list[Any](), list[Any](looked["left_out"])
        for first in range(0, count, _BROUGHT_AT_ONCE):
            progress.check_cancelled()
            progress.tell(StageProgress(stage, first, count))
            kept, others = run(f"bring-{first}", partial(bring, first))
            pictures += kept
            left_out += others
        progress.tell(StageProgress(stage, count, count))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    errors = tuple(error_from_json(one) for one in left_out)
    PictureFolder(Path(request.name), (), {}, (), {}).check_usable(len(pictures), 1, errors)
    rows = [one.model_dump(mode="json") for one in name_left_out(errors)]
    told = request.model_dump(mode="json", exclude={"upload"}) | {"pictures": pictures, "left_out": rows}
    return DatasetRequest.model_validate_json(json.dumps(told))


def check_may_ask(studio: Studio, outside: bool) -> None:
    """Raise BadInput where there is no vision model, or one on another machine and the consent does not say that such
    a service may see the pictures.
    """
    chosen = studio.caption_endpoint
    if chosen is None:
        raise BadInput("endpoint_not_set")
    if not chosen.is_here and not outside:
        raise BadInput("consent_not_outside", host=Endpoint(chosen.url, chosen.model).host)


def _measure(studio: Studio, batch: Sequence[DatasetPicture]) -> str:
    look = own_look(studio.settings)
    return str(studio.store.put_json([_facts_of(studio, one, look).model_dump(mode="json") for one in batch]))


def _facts_of(studio: Studio, given: DatasetPicture, look: OwnLook | None) -> PictureFacts:
    """Measure one picture."""
    picture = studio.store.get_picture(given.picture)
    is_own = look is not None and not look.is_other(picture)
    regions = studio.regions.read([picture])[0] if studio.reads(is_own) else None
    return measure_picture(
        picture, studio.faces.faces(picture), regions, own_look=is_own, brought=(given.height, given.width)
    )


def _read(studio: Studio, key: str) -> list[PictureFacts]:
    return _FACTS.validate_json(studio.store.get(key))


@dataclass(frozen=True)
class _Told:
    """What the model said: the key of a row for each picture, and for how many it was not asked."""

    key: FileKey | None = None
    unasked: int = 0
    estimate: int = 0


def _ask_all(
    studio: Studio, request: DatasetRequest, facts: Sequence[PictureFacts], run: Run, progress: Progress
) -> _Told:
    """Ask the model of each picture, five at once. After the first five the rest is estimated, and not asked where that
    is more than it may take: what was said is kept, and another run goes on.
    """
    endpoint, total, stage = endpoint_of(studio), len(facts), Stage(StudioStage.CAPTION)

    def before() -> None:
        progress.check_cancelled()
        check_budget(studio, request.owner)

    captioner = EndpointCaptioner(endpoint, before, lambda tokens: note_used(studio, request.owner, tokens))
    rows: list[dict[str, Any]] = []
    spent = asked = 0
    most = run("may-take", lambda: request.most_tokens or left_today(studio, request.owner))
    for number, first in enumerate(range(0, total, _TOLD_AT_ONCE)):
        progress.tell(StageProgress(stage, first, total))
        batch = range(first, min(total, first + _TOLD_AT_ONCE))
        key = run(f"told-{number}", partial(_tell, studio, request, facts, batch, captioner, number == 0))
        rows += studio.store.get_json(key)
        spent = sum(row["tokens"] for row in rows)
        asked = sum(row["tokens"] > 0 for row in rows)
        estimate = round(spent / asked * (total - len(rows))) if asked else 0
        if total > len(rows) and spent + estimate > most:
            missing = [{"told": None, "failed": None, "tokens": 0}] * (total - len(rows))
            return _Told(_keep(studio, run, rows + missing), len(missing), estimate)
    progress.tell(StageProgress(stage, total, total))
    return _Told(_keep(studio, run, rows))


def _keep(studio: Studio, run: Run, rows: list[dict[str, Any]]) -> FileKey:
    return FileKey(run("told", lambda: str(studio.store.put_json(rows))))


def _tell(
    studio: Studio,
    request: DatasetRequest,
    facts: Sequence[PictureFacts],
    batch: range,
    captioner: EndpointCaptioner,
    is_first: bool,
) -> str:
    """Return the key of what the model says of some pictures; nothing is asked that was answered once."""
    rows: list[dict[str, Any]] = []
    known = {i: known_told(studio.library, captioner.fingerprint, facts[i].pixels) for i in batch}
    if is_first and any(told is None for told in known.values()):
        captioner.probe()
    for i in batch:
        if (told := known[i]) is not None:
            rows.append({"told": told, "failed": None, "tokens": 0})
            continue
        picture = studio.store.get_picture(request.pictures[i].picture)
        said = captioner.describe([ToDescribe(picture, facts[i])])[0]
        found = None if said.told is None else said.told.model_dump(mode="json")
        if found is not None:
            keep_told(studio.library, captioner.fingerprint, facts[i].pixels, found)
        failed = None if said.failed is None else said.failed.as_json()
        rows.append({"told": found, "failed": failed, "tokens": said.tokens})
    return str(studio.store.put_json(rows))
