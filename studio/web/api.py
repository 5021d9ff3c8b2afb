"""Routes for programs: plain ones under /api, described by /openapi.json, for the owner's own work."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, JsonValue, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from starlette.exceptions import HTTPException

from pipelines.errors import BadInput, OutOfDisk, StudioError
from studio.application import Studio
from studio.domain import values
from studio.domain.capabilities import usual_way
from studio.domain.job_title import JobTitle
from studio.domain.licences import LicenceWarning
from studio.domain.report import Report
from studio.domain.scene import Scene
from studio.domain.values import Result, invalid_field
from studio.domain.wording import Doubt, say_doubts
from studio.export.recall import recall
from studio.jobs.album_sets import album_request
from studio.jobs.bodies import body_of, parse_body
from studio.jobs.estimates import estimate_request
from studio.jobs.kinds import KINDS
from studio.jobs.line import look_at_line, page_of, say_job, title_of
from studio.jobs.queue import Queue, admit
from studio.library.drawn_as import as_chosen
from studio.library.records import JobRecord
from studio.library.results import find_result
from studio.library.scenes import default_scene, scenes_of
from studio.library.uploads import find_upload
from studio.texts.errors import say_failure
from studio.texts.texts import Texts, choose_language
from studio.web.backbones import LicenceSaid, add_backbones, say_warnings
from studio.web.datasets import FaceBody, StyleBody, add_datasets, face_of, style_of
from studio.web.faces import add_faces
from studio.web.library import AlbumBundle, add_library
from studio.web.packs import add_packs
from studio.web.personas import add_personas
from studio.web.pictures import add_pictures
from studio.web.refusals import Refusal, answer_refusal
from studio.web.rights import add_rights
from studio.web.sessions import add_sessions
from studio.web.styles import add_styles
from studio.web.tables import Tables, list_tables
from studio.web.taste import add_taste
from studio.web.votes import add_votes

__all__ = ["add_api"]

OwnerOf = Callable[[Request], str]
_MISSING = (
    "album_unknown", "job_not_found", "no_job", "no_upload", "not_found", "result_kind_unknown", "route_unknown",
    "stored_file_missing",
)  # fmt: skip
_STATUS = {**dict.fromkeys(_MISSING, 404), "too_large": 413, "store_unreachable": 503, "store_refused": 503}


class _AsBodies:
    """A JSON object, described as one of the bodies of all kinds; `parse_body` checks it."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.dict_schema(core_schema.str_schema())

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        bodies: Any = Annotated[reduce(or_, (body_of(kind) for kind in KINDS)), Field(discriminator="kind")]
        return handler(TypeAdapter(bodies).core_schema)


JobBody = Annotated[Mapping[str, Any], _AsBodies()]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class Job(_Answer):
    """A job; `name` is what people call it and `error` why it failed, in the language that was asked for.

    `about` is what the name is made of, null for jobs from before they had one, and `page` where what it made is seen.
    """

    id: str
    kind: str
    name: str
    about: JobTitle | None
    page: str
    state: str
    error: str | None
    created: datetime


class JobReport(Job):
    """A job with what its worker last said and, once it is done, its result; `warnings` are those of licences, `doubts`
    the own words of its shots and goods that the model may not know (row 0: the goods' name), and `doubt` says them.
    """

    warnings: list[LicenceSaid]
    doubts: list[Doubt]
    doubt: str
    progress: Report
    result: JsonValue


class QueueSaid(_Answer):
    """The job that runs, those that wait in their order, and the seconds until it, and all of them, are done; null
    where no such job was timed yet.
    """

    running: Job | None
    waiting: list[Job]
    seconds_left: float | None
    seconds_in_all: float | None
    paused: bool


class EstimateSaid(_Answer):
    """How many pictures, or the like, a job makes, and the seconds that it takes here; null where none like it was
    timed.
    """

    units: int
    seconds: float | None


class KindSaid(_Answer):
    """A kind of job: the page where a person asks for it, and the schema of its body."""

    name: str
    page: str
    body: JsonValue


def add_api(app: FastAPI, queue: Queue, owner_of: OwnerOf) -> None:
    """`owner_of` says whose request it is, as it does for the pages."""
    api = APIRouter(prefix="/api", tags=["api"], responses={key: {"model": Refusal} for key in (404, 413, 422)})
    _add_jobs(api, queue, owner_of)
    _add_results(api, queue, owner_of)
    add_library(api, queue.studio, owner_of)
    add_faces(api, queue.studio, owner_of)
    add_pictures(api, queue.studio, owner_of)
    add_packs(api, queue.studio, owner_of)
    add_personas(api, queue.studio, owner_of)
    add_rights(api, queue.studio, owner_of)
    add_votes(api, queue.studio, owner_of)
    add_backbones(api, queue.studio, owner_of)
    add_datasets(api, queue.studio, owner_of)
    add_styles(api, queue.studio, owner_of)
    add_taste(api, queue.studio, owner_of)
    add_sessions(api, queue.studio, owner_of)
    _add_unknown(api)
    app.include_router(api)
    app.add_exception_handler(StudioError, _explain)
    app.add_exception_handler(RequestValidationError, _explain_invalid)
    app.add_exception_handler(HTTPException, _explain_status)


def _add_jobs(api: APIRouter, queue: Queue, owner_of: OwnerOf) -> None:
    @api.get("/kinds")
    def kinds() -> list[KindSaid]:
        """Return all kinds of jobs."""
        return [
            KindSaid(name=row.name, page=row.page, body=body_of(row.name).model_json_schema()) for row in KINDS.values()
        ]

    @api.post("/jobs", status_code=202)
    def put_job(body: JobBody, request: Request) -> JobReport:
        """Queue a job. The same request is the same job: asking twice does the work once."""
        owner = owner_of(request)
        return _report(queue, owner, queue.put(_read(queue.studio, body, owner)), _texts(request))

    @api.post("/albums/{album}/bundle", status_code=202)
    def bundle_album(album: str, body: AlbumBundle, request: Request) -> JobReport:
        """Queue the archives of an album: its sets as they are arranged, and its single posts."""
        owner, told = owner_of(request), body.model_dump()
        asked = album_request(queue.studio, owner, album, tuple(told.pop("platforms")), **told)
        return _report(queue, owner, queue.put(asked), _texts(request))

    @api.post("/datasets/{dataset}/face", status_code=202)
    def train_face(dataset: str, body: FaceBody, request: Request) -> JobReport:
        """Queue the training of a source face from a data set as it stands."""
        owner = owner_of(request)
        job = queue.put(face_of(queue.studio, owner, dataset, body))
        return _report(queue, owner, job, _texts(request))

    @api.post("/datasets/{dataset}/style", status_code=202)
    def train_style(dataset: str, body: StyleBody, request: Request) -> JobReport:
        """Queue the learning of a look from a data set as it stands; it is then one of the asker's styles."""
        owner = owner_of(request)
        job = queue.put(style_of(queue.studio, owner, dataset, body))
        return _report(queue, owner, job, _texts(request))

    @api.post("/estimates")
    def estimate(body: JobBody, request: Request) -> EstimateSaid:
        """Check a job as POST /jobs does, and say how much it is and how long it takes; nothing is queued."""
        asked = _read(queue.studio, body, owner_of(request))
        admit(queue.studio, asked)
        size, seconds = estimate_request(queue.studio, asked)
        return EstimateSaid(units=size.units, seconds=seconds)

    @api.get("/jobs")
    def list_jobs(request: Request, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> list[Job]:
        """Return the newest first."""
        return [Job(**_said(row, _texts(request))) for row in queue.jobs(owner_of(request), limit)]

    @api.get("/jobs/{job}")
    def get_job(job: str, request: Request) -> JobReport:
        """Return a job with its progress and, once it is done, its result."""
        return _report(queue, owner_of(request), job, _texts(request))

    @api.post("/jobs/{job}/{do}")
    def change_job(job: str, do: Literal["stop", "retry", "next", "up", "down"], request: Request) -> JobReport:
        """Stop it, let it go on, let it run before all others of yours, or one place earlier or later."""
        owner, texts = owner_of(request), _texts(request)
        _report(queue, owner, job, texts)
        if do in ("up", "down"):
            queue.move(job, owner, -1 if do == "up" else 1)
        else:
            {"stop": queue.stop, "retry": queue.retry, "next": queue.run_next}[do](job, owner)
        return _report(queue, owner, job, texts)

    @api.get("/queue")
    def get_queue(request: Request) -> QueueSaid:
        """Return what runs and what waits, and how long all of it will take."""
        return _say_queue(queue, owner_of(request), _texts(request))

    @api.post("/queue/{do}")
    def change_queue(do: Literal["pause", "go-on"], request: Request) -> QueueSaid:
        """Start no more jobs, what runs goes on; or start them again."""
        owner = owner_of(request)
        queue.pause(owner, do == "pause")
        return _say_queue(queue, owner, _texts(request))


def _add_results(api: APIRouter, queue: Queue, owner_of: OwnerOf) -> None:
    @api.get("/results/{kind}")
    def results(kind: str, request: Request, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> list[JsonValue]:
        """Return what finished jobs of a kind made, the newest first; `scene` lists the scenes."""
        owner = owner_of(request)
        found: list[Any]
        if kind == Scene.kind:
            default_scene(queue.studio.library, owner)
            found = scenes_of(queue.studio.library, owner)[:limit]
        elif kind in KINDS:
            found = list(queue.results(KINDS[kind].result, owner, limit))
        else:
            raise BadInput("result_kind_unknown", kind=kind[:64], kinds=[*KINDS, Scene.kind])
        return [value.model_dump(mode="json") for value in found]

    @api.get("/recall/{upload}")
    def recall_upload(upload: str, request: Request) -> JsonValue:
        """Return what a picture or a bundle that was sent to POST /uploads was made from."""
        owner = owner_of(request)
        path = find_upload(queue.studio.settings, owner, upload)
        found = recall(queue.studio.library, path, owner, queue.studio.donors)
        told: JsonValue = TypeAdapter(Any).dump_python(asdict(found), mode="json")
        return told

    @api.get("/tables")
    def tables() -> Tables:
        """Return what there is to choose from, and what the numbers in results mean."""
        return list_tables()


def _add_unknown(api: APIRouter) -> None:
    @api.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    def unknown(path: str, request: Request) -> None:
        """Refuse what no route takes, or not with this method."""
        raise BadInput("route_unknown", method=request.method, path=f"/api/{path[:100]}")


def _texts(request: Request) -> Texts:
    return Texts(choose_language(request.headers.get("accept-language", "")))


def _explain(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StudioError)
    status = 507 if isinstance(error, OutOfDisk) else _STATUS.get(error.code, 422)
    return answer_refusal(error, request.headers.get("accept-language", ""), status)


def _explain_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return _explain(request, BadInput("body_no_json", at=first["loc"][-1]))
    place = [part for part in first["loc"] if part not in ("body", "query", "path")]
    return _explain(request, invalid_field({**first, "loc": place}))


def _explain_status(request: Request, error: Exception) -> JSONResponse:
    """Say in words what a route, or the router itself, refuses with a bare status."""
    assert isinstance(error, HTTPException)
    accepted, asked = request.headers.get("accept-language", ""), f"{request.method} {request.url.path[:100]}"
    if error.status_code == 401:
        return answer_refusal(BadInput("login_needed"), accepted, 401)
    return answer_refusal(
        BadInput("address_refused", asked=asked, status=error.status_code), accepted, error.status_code
    )


def _read(studio: Studio, body: Mapping[str, Any], owner: str) -> values.Request:
    """Return the request that a body asks for; a persona that it names is drawn as its owner chose."""

    def find(kind: type[Result], key: str) -> Result:
        return as_chosen(studio.records, owner, find_result(studio.records, studio.store, owner, kind, key))

    return parse_body(str(body.get("kind", "")), body, owner, find, usual_way(studio.settings))


def _report(queue: Queue, owner: str, job: str, texts: Texts) -> JobReport:
    row = queue.find(job, owner)
    if row is None:
        raise BadInput("job_not_found", job=job[:64])
    made = queue.result(row, KINDS[row.kind].result).model_dump(mode="json") if row.state == "done" else None
    told = [LicenceWarning.model_validate_json(json.dumps(one)) for one in row.facts.get("licence_warnings", ())]
    warnings = say_warnings(texts, tuple(told))
    unsure = [Doubt.model_validate_json(json.dumps(one)) for one in row.facts.get("doubts", ())]
    return JobReport(
        **_said(row, texts), progress=queue.report(job, owner), result=made, warnings=warnings, doubts=unsure,
        doubt=say_doubts(unsure, texts),
    )  # fmt: skip


def _said(row: JobRecord, texts: Texts) -> Mapping[str, Any]:
    why = say_failure(texts, row.error, row.facts) if row.error else None
    seen = page_of(row)
    return {
        "id": row.id, "kind": row.kind, "state": row.state, "error": why, "created": row.created,
        "name": say_job(texts, row), "about": title_of(row), "page": f"/{texts.language}/{seen}" if seen else "",
    }  # fmt: skip


def _say_queue(queue: Queue, owner: str, texts: Texts) -> QueueSaid:
    line = look_at_line(queue, owner)
    running, *waiting = [None if row is None else Job(**_said(row, texts)) for row in (line.running, *line.waiting)]
    return QueueSaid(
        running=running,
        waiting=[job for job in waiting if job is not None],
        seconds_left=line.seconds_left,
        seconds_in_all=line.seconds_in_all,
        paused=queue.paused(owner),
    )
