"""The same functions for programs: plain routes under /api, described by /openapi.json, for the owner's own work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from personas.looks import find_category
from personas.shots import Shot
from pipelines.errors import BadInput, StudioError
from studio.domain.bundle import ExportRequest
from studio.domain.design import Design, DesignRequest
from studio.domain.persona import ConsolidateRequest, Persona
from studio.domain.posts import PostRequest, PostSet, plan_shots
from studio.domain.scene import Scene
from studio.domain.thresholds import Thresholds
from studio.domain.values import Result
from studio.export.platforms import find_platform
from studio.export.recall import recall
from studio.jobs.kinds import KINDS
from studio.jobs.queue import Queue
from studio.library.records import JobRecord
from studio.library.results import find_result
from studio.library.scenes import default_scene, scenes_of
from studio.library.uploads import find_upload
from studio.texts.errors import say_error
from studio.texts.texts import Texts
from studio.web.tables import Tables, list_tables

__all__ = ["add_api"]

R = TypeVar("R", bound=Result)
_Id = Annotated[str, Field(min_length=1, max_length=64)]
_Seed = Annotated[int, Field(ge=0, lt=2**32)]
_Caption = Annotated[str, Field(max_length=300)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DesignBody(_Body):
    """A new face of a look category (sweet, mature, ceo, boyish)."""

    kind: Literal["design"]
    category: str = Field(max_length=40)
    seed: _Seed = 1
    donors: int = Field(4, ge=3, le=8)
    candidates: int = Field(48, ge=2, le=200)
    gates: Thresholds = Field(default_factory=dict)


class ConsolidateBody(_Body):
    """A persona LoRA of a finished design; `steps` 0 and no `identity_loss` leave the default."""

    kind: Literal["consolidate"]
    design: _Id
    name: str = Field(min_length=1, max_length=40)
    seed: _Seed = 1
    steps: int = Field(0, ge=0, le=20_000)
    rounds: int = Field(1, ge=1, le=5)
    identity_loss: float | None = Field(None, ge=0, le=10)


class PostsBody(_Body):
    """A set of one persona in one scene: these `shots`, or `count` varied ones; each may have its own seed and caption
    (null leaves it to the studio)."""

    kind: Literal["posts"]
    persona: _Id
    scene: _Id
    shots: list[Shot] = Field(default_factory=list, max_length=35)
    seeds: list[_Seed | None] = Field(default_factory=list, max_length=35)
    captions: list[_Caption | None] = Field(default_factory=list, max_length=35)
    count: int = Field(9, ge=1, le=35)
    seed: _Seed = 1
    scale: float = Field(1.0, ge=0, le=1)
    keep_landmark: bool = True


class ExportBody(_Body):
    """A set's bundle for a platform; the finished job's `bundle` is a key for /files/{key}."""

    kind: Literal["export"]
    post_set: _Id
    platform: str = Field("xiaohongshu", max_length=40)


JobBody = Annotated[DesignBody | ConsolidateBody | PostsBody | ExportBody, Field(discriminator="kind")]


def add_api(app: FastAPI, queue: Queue, owner_of: Callable[[Request], str]) -> None:
    """`owner_of` says whose request it is, as it does for the pages."""
    api = APIRouter(prefix="/api", tags=["api"])

    @api.post("/jobs", status_code=202)
    def put_job(body: JobBody, request: Request) -> dict[str, Any]:
        """Queue a job. The same request is the same job: asking twice does the work once."""
        owner = owner_of(request)
        job = queue.put(_wish(queue, owner, body))
        return _job(queue, owner, job)

    @api.get("/jobs")
    def list_jobs(request: Request, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> list[dict[str, Any]]:
        """The newest first."""
        return [_said(row) for row in queue.jobs(owner_of(request), limit)]

    @api.get("/jobs/{job}")
    def get_job(job: str, request: Request) -> dict[str, Any]:
        """A job with its progress and, once it is done, its result."""
        return _job(queue, owner_of(request), job)

    @api.post("/jobs/{job}/{do}")
    def change_job(job: str, do: Literal["stop", "retry", "next"], request: Request) -> dict[str, Any]:
        """Stop it, let it go on, or let it run before all others that wait."""
        owner = owner_of(request)
        _job(queue, owner, job)
        {"stop": queue.stop, "retry": queue.retry, "next": queue.run_next}[do](job, owner)
        return _job(queue, owner, job)

    @api.get("/results/{kind}")
    def results(kind: str, request: Request, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> list[dict[str, Any]]:
        """Of finished jobs of a kind, the newest first; `scene` lists the scenes."""
        owner = owner_of(request)
        if kind == "scene":
            default_scene(queue.studio.library, owner)
            return [_json(scene) for scene in scenes_of(queue.studio.library, owner)[:limit]]
        if kind not in KINDS:
            raise HTTPException(404)
        return [_json(result) for result in queue.results(KINDS[kind].result, owner, limit)]

    @api.get("/recall/{upload}")
    def recall_upload(upload: str, request: Request) -> dict[str, Any]:
        """What a picture or a bundle that was sent to POST /uploads was made from."""
        owner = owner_of(request)
        return asdict(
            recall(queue.studio.library, find_upload(queue.studio.settings, owner, upload), owner, queue.studio.donors)
        )

    @api.get("/tables")
    def tables() -> Tables:
        """What there is to choose from, and what the numbers in results mean."""
        return list_tables()

    @app.exception_handler(StudioError)
    def explain(_: Request, error: StudioError) -> JSONResponse:
        status = 404 if error.code in ("no_job", "no_upload", "not_found", "file_not_yours") else 422
        message, advice = say_error(error, Texts("en"))
        return JSONResponse({"code": error.code, "message": message, "advice": advice}, status)

    app.include_router(api)


def _wish(
    queue: Queue, owner: str, body: DesignBody | ConsolidateBody | PostsBody | ExportBody
) -> DesignRequest | ConsolidateRequest | PostRequest | ExportRequest:
    if isinstance(body, DesignBody):
        look = find_category(body.category).id
        return DesignRequest.make(
            category=look,
            seed=body.seed,
            owner=owner,
            donors=body.donors,
            candidates=body.candidates,
            gates=body.gates,
        )
    if isinstance(body, ConsolidateBody):
        return ConsolidateRequest.make(
            design=_result(queue, owner, Design, body.design), name=body.name, seed=body.seed, owner=owner,
            steps=body.steps, rounds=body.rounds, identity_loss=body.identity_loss,
        )  # fmt: skip
    if isinstance(body, ExportBody):
        find_platform(body.platform)
        post_set = _result(queue, owner, PostSet, body.post_set)
        return ExportRequest.make(post_set=post_set, platform=body.platform, owner=owner)
    return PostRequest.make(
        persona=_result(queue, owner, Persona, body.persona),
        scene=_result(queue, owner, Scene, body.scene),
        shots=tuple(body.shots) or plan_shots(body.count, body.seed),
        seed=body.seed,
        owner=owner,
        scale=body.scale,
        keep_landmark=body.keep_landmark,
        seeds=tuple(body.seeds),
        captions=tuple(body.captions),
    )


def _result(queue: Queue, owner: str, kind: type[R], key: str) -> R:
    return find_result(queue.studio.records, queue.studio.store, owner, kind, key)


def _json(result: Result) -> dict[str, Any]:
    return result.model_dump(mode="json")


def _job(queue: Queue, owner: str, job: str) -> dict[str, Any]:
    row = queue.find(job, owner)
    if row is None:
        raise BadInput("There is no such job.", "See GET /api/jobs.", "no_job")
    done = row.state == "done"
    return _said(row) | {
        "progress": queue.report(job, owner),
        "result": _json(queue.result(row, KINDS[row.kind].result)) if done else None,
    }


def _said(row: JobRecord) -> dict[str, Any]:
    return {"id": row.id, "kind": row.kind, "state": row.state, "error": row.error, "created": row.created.isoformat()}
