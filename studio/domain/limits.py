"""The limits of a request's fields, read from its class: pages and the command line keep none of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from studio.domain.values import Value

__all__ = ["Limits", "limits_of"]


@dataclass(frozen=True)
class Limits:
    """Limits of a field: numbers from `least` to `most`, texts of at most `longest` characters, one of `choices`.

    None and () where there is no such limit. `default` is None for a field that must be given.
    """

    default: Any
    least: float | None = None
    most: float | None = None
    longest: int | None = None
    choices: tuple[Any, ...] = ()


def limits_of(request: type[Value], name: str) -> Limits:
    """Return the limits of the field `name`. Raises KeyError."""
    field = request.model_fields[name]
    found = {key: value for part in field.metadata for key, value in _read(part).items()}
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    return Limits(default, found.get("ge"), found.get("le", found.get("lt")), found.get("max_length"), choices)


def _read(part: object) -> Mapping[str, Any]:
    """Whole numbers under `lt` end one below it."""
    read = {key: getattr(part, key, None) for key in ("ge", "le", "lt", "max_length")}
    if read["lt"] is not None:
        read["lt"] -= 1
    return {key: value for key, value in read.items() if value is not None}
