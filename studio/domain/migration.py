"""Stored values read back, whichever version wrote them: the one place that knows how they were.

Version 0.1 wrote results, requests and marks as JSON without a `schema_version`; each function of `_OLD` turns one of
them into today's fields. What a newer studio wrote is refused and left as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from pipelines.errors import BadInput, StudioError
from studio.domain.arrangement import Arrangement
from studio.domain.bundle import ExportRequest
from studio.domain.design import Design, DesignRequest
from studio.domain.persona import ConsolidateRequest, Persona, SwapRequest
from studio.domain.posts import PostRequest, PostSet
from studio.domain.takes import FixRequest, FixTake, StrengthsRequest, VaryRequest, VaryTake
from studio.domain.values import SCHEMA_VERSION, Request, Stored, invalid_request

__all__ = ["Json", "migrate", "read_marks", "read_stored"]

Json = dict[str, Any]
"""A JSON object as it was stored, or is to be."""
S = TypeVar("S", bound=Stored)


def read_stored(kind: type[S], value: Mapping[str, Any]) -> S:
    """Return the stored value of this class.

    Raises StudioError: `result_too_new` where a newer studio wrote it, `request_invalid` or `result_damaged` where it
    is not as it should be.
    """
    try:
        # JSON knows no tuples: reading text keeps all other types strict
        return kind.model_validate_json(json.dumps(migrate(kind, value)))
    except ValidationError as error:
        if issubclass(kind, Request):
            raise invalid_request(error) from error
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise StudioError("result_damaged", result=kind.__name__, field=field, why=first["msg"]) from error
    except BadInput as error:  # a word that this studio does not know
        if issubclass(kind, Request):
            raise
        field = str(error.fields.get("field", ""))
        raise StudioError("result_damaged", result=kind.__name__, field=field, why=error) from error


def migrate(kind: type[Stored], value: Mapping[str, Any]) -> Json:
    """Return the JSON in today's fields. Raises StudioError `result_too_new`."""
    written = value.get("schema_version", 0)
    if isinstance(written, int) and written > SCHEMA_VERSION:
        raise StudioError("result_too_new", result=kind.__name__, version=written, known=SCHEMA_VERSION)
    if "schema_version" in value:
        return dict(value)
    return _OLD[kind](dict(value)) if kind in _OLD else dict(value)


def read_marks(facts: Mapping[str, Any]) -> Arrangement:
    """Return what a person said of a set, from its marks, which hold other things, too."""
    known = {name: facts[name] for name in Arrangement.model_fields if name in facts}
    return Arrangement.model_validate_json(json.dumps(known))


def _design_request(value: Json) -> Json:
    return value | {"templates": [_named(pair) for pair in value.get("templates", ())]}


def _design(value: Json) -> Json:
    return value | {"request": _design_request(value["request"])}


def _consolidate_request(value: Json) -> Json:
    return value | {"design": _design(value["design"])}


def _persona(value: Json) -> Json:
    # what training was not told of yet
    usual = {"steps": 0, "rounds": 1, "pool": 0, "keep": 24, "identity_loss": None}
    return value | {"request": usual | value["request"]}


def _swap_request(value: Json) -> Json:
    return value | {"persona": _persona(value["persona"]), "pictures": [_named(pair) for pair in value["pictures"]]}


def _post_request(value: Json) -> Json:
    told = {name: part for name, part in value.items() if name != "redux"}
    if value.get("redux") is not None:
        told["dials"] = value["redux"]
    return told | {"persona": _persona(value["persona"])}


def _post(value: Json, drawing: str, number: int) -> Json:
    """A set that a person had arranged numbered its drawings."""
    origin = value.get("origin") or (drawing, number)
    return value | {"origin": [str(origin[0]), origin[1]]}


def _posts(rows: list[Json], drawing: str) -> list[Json]:
    return [_post(row, drawing, i) for i, row in enumerate(rows)]


def _post_set(value: Json) -> Json:
    own = {"id", "posts", "batches", "companion", "ip_adapter", "drawings"}
    adapter = value.get("ip_adapter") or None
    drawn = {
        "id": value["id"],
        "request": _post_request({name: part for name, part in value.items() if name not in own}),
        "posts": _posts(value["posts"], str(value["id"])),
        "batches": value["batches"],
        "companion": value.get("companion", ""),
        "drawings": [
            {"id": str(i), "posts": _posts(d["posts"], str(i)), "batches": d["batches"]}
            for i, d in enumerate(value.get("drawings", ()))
        ],
    }
    if adapter is not None:
        drawn["ip_adapter"] = {"sha256": adapter["ip_adapter_sha256"], "licence": adapter["ip_adapter_licence"]}
    return drawn


def _take(value: Json) -> Json:
    told = {name: part for name, part in value.items() if name not in ("kind", "set", "slot")}
    return told | {
        "post_set": value["set"], "number": value["slot"], "posts": _posts(value["posts"], str(value["id"]))
    }  # fmt: skip


def _vary_request(value: Json) -> Json:
    """The set is named by its id; see `studio.jobs.kinds.parse_request`."""
    asked = value["asked"]
    return {
        "owner": value["owner"], "post_set": value["set"], "number": value["slot"], "seed": asked["seed"],
        "count": len(asked["shots"]), "shot": asked["shots"][0],
    }  # fmt: skip


def _fix_request(value: Json) -> Json:
    told = {name: value[name] for name in ("owner", "mask", "seed", "strength")}
    return told | {
        "post_set": value["set"], "number": value["slot"], "post": _post(value["post"], value["set"], value["slot"])
    }  # fmt: skip


def _strengths_request(value: Json) -> Json:
    return value | {"asked": _post_request(value["asked"])}


def _export_request(value: Json) -> Json:
    return value | {"post_set": _post_set(value["post_set"])}


def _named(pair: Any) -> Json:
    return cast(Json, pair) if isinstance(pair, Mapping) else {"name": pair[0], "picture": pair[1]}


_OLD: Mapping[type[Stored], Callable[[Json], Json]] = {
    DesignRequest: _design_request,
    Design: _design,
    ConsolidateRequest: _consolidate_request,
    Persona: _persona,
    SwapRequest: _swap_request,
    PostRequest: _post_request,
    PostSet: _post_set,
    VaryRequest: _vary_request,
    VaryTake: _take,
    FixRequest: _fix_request,
    FixTake: _take,
    StrengthsRequest: _strengths_request,
    ExportRequest: _export_request,
}
