"""Values of the studio: they are frozen, strict, versioned, and say which files they are of.

A text that is a key of the store has the type FileKey, so that the files of a value are found by its types alone and
never by what somebody wrote into a caption.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, JsonValue, ValidationError
from pydantic_core import CoreSchema, core_schema

from pipelines.errors import BadInput, StudioError, error_from_json

__all__ = [
    "MOST_CAPTION", "SCHEMA_VERSION", "Caption", "FileKey", "Id", "IndexEntry", "IndexPart", "LeftOutPicture",
    "NamedPicture",
    "Owner", "Request", "Result", "Seed", "Sha256", "Stored", "Value", "find_values",
    "invalid_field", "invalid_request", "later_field",
]  # fmt: skip

SCHEMA_VERSION = 1
V = TypeVar("V")
_KEY = r"^[0-9a-f]{64}$"
_MEMBER = re.compile(r"^constrained-|\[|^(str|int|float|bool)$")
_QUOTED = re.compile(r"'?([^', ]+)'?(?:, | or |$)")
_TYPES = {
    "string_type": "type_text", "int_type": "type_whole", "int_from_float": "type_whole", "int_parsing": "type_whole",
    "float_type": "type_number", "float_parsing": "type_number", "bool_parsing": "type_truth",
    "bool_type": "type_truth", "tuple_type": "type_list", "list_type": "type_list",
    "dict_type": "type_object", "model_type": "type_object", "model_attributes_type": "type_object",
}  # fmt: skip

Id = Annotated[str, Field(min_length=1, max_length=64)]
Owner = Annotated[str, Field(min_length=1, max_length=100)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
MOST_CAPTION = 300
Caption = Annotated[str, Field(max_length=MOST_CAPTION)]
Sha256 = Annotated[str, Field(pattern=_KEY)]  # of a file as it was brought, which the store does not hold


class FileKey(str):
    """A key of the store: the SHA-256 of a stored file in hex."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema(pattern=_KEY))


class Value(BaseModel):
    """A frozen value that takes no field it does not know and changes no type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def make(cls, **fields: Any) -> Self:
        """Return the value of these fields. Raises BadInput where one is not as it should be."""
        try:
            return cls(**fields)
        except ValidationError as error:
            raise invalid_request(error) from error

    def file_keys(self) -> frozenset[FileKey]:
        """Return the keys of all stored files that this value is made of."""
        return frozenset(find_values(self, FileKey))


def later_field(default: Any, **limits: Any) -> Any:
    """Return pydantic's field for one that earlier versions did not know. At its default it is left out of the JSON, so
    that what was asked for before keeps its meaning and its id.
    """
    return Field(default, exclude_if=lambda value: value == default, **limits)


class Stored(Value):
    """A value that is kept as JSON. `schema_version` is that of its fields; see `studio.domain.migration`."""

    schema_version: Literal[1] = 1


@dataclass(frozen=True)
class IndexPart:
    """A part of a result that the library shows by itself; `id` is "kind:id" as a result's own, `faces` an entry's."""

    id: str
    facts: Mapping[str, str | int]
    words: tuple[str, ...]
    faces: tuple[FileKey, ...] = ()


@dataclass(frozen=True)
class IndexEntry:
    """Facts that a card of the library shows of a result, and the texts whose words find it.

    `groups` are those that it belongs to, with all its `parts` (see `studio.library.groups`). `faces` are pictures of
    the one person whom it shows, none where it shows nobody, or no one person.
    """

    facts: Mapping[str, str | int]
    words: tuple[str, ...]
    groups: tuple[str, ...] = ()
    parts: tuple[IndexPart, ...] = ()
    faces: tuple[FileKey, ...] = ()


class Result(Stored):
    """A thing that a job, or the library, made. `kind` is the kind of job; its `id` is made from its content."""

    kind: ClassVar[str] = ""

    id: Id

    def index_entry(self) -> IndexEntry | None:
        """Return how the library shows it; None: not at all."""
        return None


class Request(Stored):
    """A wish for one kind of job, whoever asks: a page, the API, the command line or a file."""

    owner: Owner = "me"

    def check_before(self) -> None:
        """Raise BadInput for what cannot be done, before it is queued: what a stored request need not fulfil."""

    def changed(self, **fields: Any) -> Self:
        """Return the same request with other values in some fields. Raises as `make`."""
        return self.make(**{name: getattr(self, name) for name in type(self).model_fields} | fields)


class NamedPicture(Value):
    """A picture that somebody brought: `name` is what its file is called."""

    name: Annotated[str, Field(max_length=300)]
    picture: FileKey


class LeftOutPicture(Value):
    """A picture that took no part in a job that did the others; `raised` is the error as JSON."""

    name: str
    raised: Mapping[str, JsonValue]

    @property
    def error(self) -> StudioError:
        return error_from_json(self.raised)


def invalid_request(error: ValidationError) -> BadInput:
    """Return the first thing that is wrong with a request: its field, and the limit that it breaks."""
    return invalid_field(error.errors(include_url=False)[0])


def invalid_field(first: Mapping[str, Any]) -> BadInput:
    """Return what one row of pydantic's `errors()` says is wrong. Names of a union's members are no part of a field."""
    field = ".".join(str(part) for part in first["loc"] if not _MEMBER.search(str(part))) or "request"
    if first["type"] in _TYPES:
        return BadInput("request_type_invalid", field=field, wanted=_TYPES[first["type"]])
    if first["type"] == "missing":
        return BadInput("request_field_missing", field=field)
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return BadInput("request_field_unknown", field=field)
    facts = first.get("ctx", {})
    for name, sign in (("min_length", "≥"), ("max_length", "≤")):
        if name in facts:
            return BadInput("request_length_invalid", field=field, limit=f"{sign} {facts[name]}")
    for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
        if name in facts:
            return BadInput("request_invalid", field=field, limit=f"{sign} {facts[name]}")
    if first["type"] in ("literal_error", "enum"):
        return BadInput("request_choice_invalid", field=field, choices=_QUOTED.findall(str(facts["expected"])))
    why = facts.get("pattern") or facts.get("error") or first["msg"]
    return BadInput("request_invalid", field=field, limit=str(why))


def find_values(value: object, kind: type[V]) -> Iterator[V]:
    """Return all values of a class in a typed value, however deep; a found one is not looked into."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from find_values(getattr(value, name), kind)
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from find_values(part, kind)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from find_values(part, kind)
