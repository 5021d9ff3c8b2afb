"""The same functions for programs: plain routes under /api, described by /openapi.json, for the owner's own work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from personas.looks import find_category
from personas.shots import Shot
from pipelines.errors import BadInput, StudioError
from studio.domain.requests import ConsolidateRequest, DesignRequest, ExportRequest, PostRequest, plan_shots
from studio.domain.thresholds import Thresholds
from studio.export.platforms import find_platform
from studio.export.recall import recall
from studio.jobs.queue import KINDS, Queue
from studio.library.records import JobRecord
from studio.library.scenes import default_scene, scenes_of
from studio.library.uploads import find_upload
from studio.texts.errors import say_error
from studio.texts.texts import Texts
from studio.web.tables import Tables, list_tables

__all__ = ["add_api"]

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
        job = queue.put(body.kind, asdict(_wish(queue, owner, body)))
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
            default_scene(queue.studio, owner)
            return scenes_of(queue.studio, owner)[:limit]
        if kind not in KINDS:
            raise HTTPException(404)
        return queue.results(owner, kind, limit)

    @api.get("/recall/{upload}")
    def recall_upload(upload: str, request: Request) -> dict[str, Any]:
        """What a picture or a bundle that was sent to POST /uploads was made from."""
        owner = owner_of(request)
        return asdict(recall(queue.studio, find_upload(queue.studio.settings, owner, upload), owner))

    @api.get("/tables")
    def tables() -> Tables:
        """What there is to choose from, and what the numbers in results mean."""
        return list_tables()

    @app.exception_handler(StudioError)
    def explain(_: Request, error: StudioError) -> JSONResponse:
        status = 404 if error.code in ("no_job", "no_upload", "not_found") else 422
        message, advice = say_error(error, Texts("en"))
        return JSONResponse({"code": error.code, "message": message, "advice": advice}, status)

    app.include_router(api)


def _wish(
    queue: Queue, owner: str, body: DesignBody | ConsolidateBody | PostsBody | ExportBody
) -> DesignRequest | ConsolidateRequest | PostRequest | ExportRequest:
    if isinstance(body, DesignBody):
        look = find_category(body.category).id
        return DesignRequest(look, body.seed, owner, donors=body.donors, candidates=body.candidates, gates=body.gates)
    if isinstance(body, ConsolidateBody):
        design = _result(queue, owner, "design", body.design)
        return ConsolidateRequest(
            design, body.name.strip(), body.seed, owner, body.steps, body.rounds, identity_loss=body.identity_loss
        )
    if isinstance(body, ExportBody):
        find_platform(body.platform)
        return ExportRequest(_result(queue, owner, "posts", body.post_set), body.platform, owner)
    scene = next((s for s in scenes_of(queue.studio, owner) if s["id"] == body.scene), None)
    if scene is None:
        raise _missing("scene", body.scene)
    shots = [asdict(shot) for shot in body.shots or plan_shots(body.count, body.seed)]
    persona = _result(queue, owner, "consolidate", body.persona)
    return PostRequest(
        persona,
        scene,
        shots,
        body.seed,
        owner,
        body.scale,
        keep_landmark=body.keep_landmark,
        seeds=body.seeds,
        captions=body.captions,
    )


def _result(queue: Queue, owner: str, kind: str, key: str) -> dict[str, Any]:
    for row in queue.jobs(owner, kind=kind, state="done"):
        if row.facts.get("id") == key:
            return queue.result(row)
    raise _missing(kind, key)


def _missing(kind: str, key: str) -> BadInput:
    return BadInput(f"There is no {kind} {key!r}.", f"See GET /api/results/{kind}.", "not_found")


def _job(queue: Queue, owner: str, job: str) -> dict[str, Any]:
    row = queue.find(job, owner)
    if row is None:
        raise BadInput("There is no such job.", "See GET /api/jobs.", "no_job")
    done = row.state == "done"
    return _said(row) | {"progress": queue.report(job, owner), "result": queue.result(row) if done else None}


def _said(row: JobRecord) -> dict[str, Any]:
    return {"id": row.id, "kind": row.kind, "state": row.state, "error": row.error, "created": row.created.isoformat()}
