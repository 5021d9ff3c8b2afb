"""Bodies with which a program asks for a kind of job: the request's own fields, made from its class.

In place of an earlier result (a design, a persona, a scene, a set) its id may stand; whose job it is, is never said. A
new row in KINDS has its body by itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, create_model

from studio.domain.character import wear
from studio.domain.posts import MOST_SHOTS, PostRequest, plan_shots
from studio.domain.values import Id, Request, Result, invalid_request
from studio.jobs.kinds import Find, find_kind, optional_result, parse_request, result_of_list

__all__ = ["body_of", "parse_body"]

Json = Mapping[str, Any]
_NOT_ASKED = frozenset({"owner", "schema_version"})
_USUAL_COUNT = 9
_COUNT: Any = Field(_USUAL_COUNT, ge=1, le=MOST_SHOTS, description="So many varied shots, where `shots` names none.")


@cache
def body_of(kind: str) -> type[BaseModel]:
    """Return the model of what a job of this kind is asked for with, for schemas. Raises BadInput."""
    return _model(find_kind(kind).request, kind)


def parse_body(kind: str, value: Json, owner: str, find: Find, way: Json = MappingProxyType({})) -> Request:
    """Return the request that the owner asks for; `find` looks up results by their ids. Raises BadInput.

    `way` are the fields of a set of posts for which nobody named a way to show the place
    (`studio.domain.capabilities.usual_way`).
    """
    told = {name: part for name, part in value.items() if name != "kind"}
    try:
        body_of(kind).model_validate_json(json.dumps({**told, "kind": kind}))
    except ValidationError as error:
        raise invalid_request(error) from error
    asked = parse_request(kind, _written_out(find_kind(kind).request, told, owner, way), find)
    if isinstance(asked, PostRequest) and not told.get("shots") and asked.photos is not None:
        return asked.changed(shots=wear(asked.shots, asked.photos.worn))
    return asked


def _model(request: type[Request], kind: str = "") -> type[BaseModel]:
    fields: dict[str, Any] = {"kind": (Literal[kind], ...)} if kind else {}  # type: ignore[valid-type]
    for name, field in request.model_fields.items():
        if name not in _NOT_ASKED:
            fields[name] = (_asked(field.annotation), field)
    if request is PostRequest:
        fields["count"] = (int, _COUNT)
        fields["shots"] = (request.model_fields["shots"].annotation, Field((), max_length=MOST_SHOTS))
    config = ConfigDict(extra="forbid", frozen=True, strict=True)
    name = f"{kind.title()}Body" if kind else f"{request.__name__}Fields"
    return create_model(name, __config__=config, __doc__=request.__doc__, **fields)


def _asked(annotation: Any) -> Any:
    """Results may be named, requests inside of requests are bodies, too."""
    if isinstance(annotation, type) and issubclass(annotation, Result):
        return Union[Id, annotation]  # noqa: UP007
    if (one := optional_result(annotation)) is not None:
        return Union[Id, one, None]  # noqa: UP007
    if isinstance(annotation, type) and issubclass(annotation, Request):
        return _model(annotation)
    if (one := result_of_list(annotation)) is not None:
        return tuple[Union[Id, one], ...]  # type: ignore[valid-type]  # noqa: UP007
    return annotation


def _written_out(request: type[Request], value: Json, owner: str, way: Json) -> dict[str, JsonValue]:
    """The request's own fields: `count` becomes shots, and requests inside of it are the same owner's."""
    told = {**value, "owner": owner}
    if request is PostRequest:
        told = {**way, **told} if "inject" not in told else told
        count = told.pop("count", _USUAL_COUNT)
        if not told.get("shots"):
            told["shots"] = [asdict(shot) for shot in plan_shots(count, told.get("seed", 1), told.get("again", 0))]
    for name, field in request.model_fields.items():
        inner, given = field.annotation, told.get(name)
        if isinstance(inner, type) and issubclass(inner, Request) and isinstance(given, Mapping):
            told[name] = _written_out(inner, given, owner, way)
    return told
