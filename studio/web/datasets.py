"""Routes for data sets: opened with verdicts and captions, edited, given out as a zip."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from personas.captions.policy import Switch
from pipelines.file_names import file_name
from studio.application import Studio
from studio.datasets.keeping import decide, edits_of, set_limits, set_words, write_captions
from studio.datasets.opened import OpenedDataset, open_dataset
from studio.datasets.pairs import pack_pairs
from studio.datasets.planned import plan_dataset
from studio.datasets.telling import tell_dataset, tell_plan
from studio.domain.dataset import MOST_CAPTION_LETTERS, DataSet, FaceRequest, OfIdentity
from studio.domain.style import StyleRequest
from studio.library.results import find_result
from studio.texts.texts import Texts, choose_language

__all__ = ["FaceBody", "StyleBody", "add_datasets", "face_of", "style_of"]

Numbers = Annotated[tuple[int, ...], Field(max_length=5000)]


class EditsBody(BaseModel):
    """What a person says of a data set; pictures are numbered from 1. What is not named stays as it is: `limits` are
    added to those said before ({"crisp": 0.3}), and `usual_limits` takes all of them back first. "" takes a caption
    back.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    limits: dict[str, float] = Field(default_factory=dict)
    usual_limits: bool = False
    keep: Numbers = ()
    drop: Numbers = ()
    undecide: Numbers = ()
    captions: dict[int, Annotated[str, Field(max_length=MOST_CAPTION_LETTERS)]] = Field(default_factory=dict)
    say: tuple[Switch, ...] | None = None
    trigger: Annotated[str, Field(min_length=1, max_length=40)] | None = None


class FaceBody(BaseModel):
    """How a source face is trained from a data set as it stands; what is None is as usual for the drawing model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    identity: OfIdentity = "stop"
    name: str = Field("", max_length=60)
    licence: str = Field("unknown", max_length=100)
    steps: int = Field(0, ge=0)
    seed: int = Field(1, ge=0, lt=2**32)
    identity_loss: float | None = Field(None, ge=0, le=100)
    several_sizes: bool | None = None


def face_of(studio: Studio, owner: str, dataset: str, body: FaceBody) -> FaceRequest:
    """Return the request for a source face of a data set as it stands. Raises BadInput."""
    found = find_result(studio.records, studio.store, owner, DataSet, dataset)
    return FaceRequest.make(
        owner=owner, dataset=found, edits=edits_of(studio.library, owner, found), **body.model_dump()
    )


class StyleBody(BaseModel):
    """A look to be learnt from a data set, as `StyleRequest`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    steps: int = Field(0, ge=0, le=20_000)
    seed: int = Field(1, ge=0, lt=2**32)


def style_of(studio: Studio, owner: str, dataset: str, body: StyleBody) -> StyleRequest:
    """Return the request for a look that is learnt from a data set as it stands. Raises BadInput."""
    found = find_result(studio.records, studio.store, owner, DataSet, dataset)
    return StyleRequest.make(
        owner=owner, dataset=found, edits=edits_of(studio.library, owner, found), **body.model_dump()
    )


def add_datasets(api: APIRouter, studio: Studio, owner_of: Callable[[Request], str]) -> None:
    """`owner_of` says whose request it is."""

    def opened(request: Request, key: str) -> OpenedDataset:
        owner = owner_of(request)
        return open_dataset(studio.library, owner, find_result(studio.records, studio.store, owner, DataSet, key))

    def said(request: Request, found: OpenedDataset) -> dict[str, JsonValue]:
        return tell_dataset(Texts(choose_language(request.headers.get("accept-language", ""))), found)

    @api.get("/datasets/{dataset}")
    def show_dataset(dataset: str, request: Request) -> dict[str, JsonValue]:
        """Return every picture with its verdict, reasons and caption; what is missing; what is wrong with captions."""
        return said(request, opened(request, dataset))

    @api.put("/datasets/{dataset}")
    def edit_dataset(dataset: str, body: EditsBody, request: Request) -> dict[str, JsonValue]:
        """Judge by other limits, keep or leave out pictures, write captions; return the data set as it stands then."""
        owner, library = owner_of(request), studio.library
        found = opened(request, dataset).dataset
        if body.limits or body.usual_limits:
            before = {} if body.usual_limits else edits_of(library, owner, found).limits
            set_limits(library, owner, found, {**before, **body.limits})
        for numbers, kept in ((body.keep, True), (body.drop, False), (body.undecide, None)):
            if numbers:
                decide(library, owner, found, [number - 1 for number in numbers], kept)
        if body.captions:
            write_captions(library, owner, found, {number - 1: text for number, text in body.captions.items()})
        if body.say is not None or body.trigger is not None:
            set_words(library, owner, found, body.say, body.trigger)
        return said(request, opened(request, dataset))

    @api.get("/datasets/{dataset}/plan")
    def plan(dataset: str, request: Request, several_sizes: bool | None = None) -> dict[str, JsonValue]:
        """Return at which sizes a training would show the good pictures, which part of each, and with which caption."""
        return tell_plan(plan_dataset(opened(request, dataset), studio.backbone_spec, several_sizes))

    @api.get("/datasets/{dataset}/pairs")
    def give_pairs(dataset: str, request: Request) -> Response:
        """Return a zip of the good pictures, each with its caption in a text of the same name."""
        found = opened(request, dataset)
        name = quote(file_name(found.dataset.request.name, ".zip"), safe="")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}", "Cache-Control": "no-store"}
        return Response(pack_pairs(studio.library, found), media_type="application/zip", headers=headers)
