"""The one hierarchy of errors: a stable code and fields. The sentence that a person reads is made at the edge
(`studio.texts.errors`), in their language.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = [
    "BadInput",
    "BadLora",
    "BadPicture",
    "Cancelled",
    "ConsentMissing",
    "ModelMissing",
    "NotEnough",
    "NotEnoughMemory",
    "OutOfDisk",
    "StudioError",
    "UnknownCategory",
    "error_from_json",
]


class StudioError(Exception):
    """Anything that went wrong and that somebody can do something about.

    `code` is stable, in snake_case, and names one sentence of `studio/texts/errors/`; `fields` are the JSON values
    that the sentence mentions (a field may be another StudioError, the cause). Survives pickling and, as JSON, a
    journey through the records.
    """

    def __init__(self, code: str, /, **fields: Any) -> None:
        self.code = code
        self.fields: Mapping[str, Any] = fields
        super().__init__(code)

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"{self.code}({told})"

    def __reduce__(self) -> tuple[Any, ...]:
        return error_from_json, (self.as_json(),)

    @property
    def data(self) -> dict[str, Any]:
        """The error as JSON; the durable engine keeps an attribute of this name beside an error's name and message."""
        return self.as_json()

    def as_json(self) -> dict[str, Any]:
        """Return the error as JSON, for records and pickling; `error_from_json` is the inverse."""
        fields = {n: v.as_json() if isinstance(v, StudioError) else v for n, v in self.fields.items()}
        return {"error": type(self).__name__, "code": self.code, "fields": fields}


class BadInput(StudioError):
    """A value that cannot be used: a negative mix weight, an unknown option, a size that is no size."""


class UnknownCategory(BadInput):
    """A look category that the studio does not have."""


class BadLora(BadInput):
    """A LoRA file that is damaged, unsafe, made for another architecture, or that changes nothing."""


class BadPicture(BadInput):
    """A picture file that cannot be read as one."""


class ConsentMissing(BadInput):
    """A donor whose consent is absent, expired, revoked, or given for another file."""


class NotEnough(StudioError):
    """Too little is left to go on with: no face in the pictures, all candidates gated out, too few donors."""


class NotEnoughMemory(NotEnough):
    """A model that fits neither the device nor the machine."""


class OutOfDisk(StudioError):
    """No room to write. What was already written is kept."""


class ModelMissing(StudioError):
    """A model's folder or one of its files is not where it should be."""


class Cancelled(StudioError):
    """Somebody asked to stop. What was already made is kept."""


def error_from_json(value: Mapping[str, Any]) -> StudioError:
    """Return the error that `StudioError.as_json` told of; an unknown class becomes a plain StudioError."""
    known = globals().get(str(value.get("error")))
    kind = known if isinstance(known, type) and issubclass(known, StudioError) else StudioError
    fields = {n: error_from_json(v) if isinstance(v, dict) and "error" in v else v for n, v in value["fields"].items()}
    return kind(str(value["code"]), **fields)
