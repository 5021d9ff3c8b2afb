"""The one hierarchy of errors: a stable code and fields. The sentence that a person reads is made at the edge
(`studio.texts.errors`), in their language.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

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

    A sentence and an advice instead of a code and fields is the old form: it goes when every raise site has a code.
    """

    default_code: ClassVar[str] = "studio_error"

    def __init__(self, code: str, advice: str | None = None, old_code: str | None = None, /, **fields: Any) -> None:
        old_code = fields.pop("code", old_code)
        is_old = advice is not None or old_code is not None or " " in code
        self.message = code if is_old else ""
        self.advice = advice or ""
        self.code = (self.default_code if old_code is None else old_code) if is_old else code
        self.fields: Mapping[str, Any] = fields
        super().__init__(code)

    def __str__(self) -> str:
        if self.message:
            return f"{self.message} {self.advice}".rstrip()
        told = ", ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"{self.code}({told})"

    def __reduce__(self) -> tuple[Any, ...]:
        return error_from_json, (self.as_json(),)

    def as_json(self) -> dict[str, Any]:
        """Return the error as JSON, for records and pickling; `error_from_json` is the inverse."""
        fields = {n: v.as_json() if isinstance(v, StudioError) else v for n, v in self.fields.items()}
        told = {"error": type(self).__name__, "code": self.code, "fields": fields}
        return told | ({"message": self.message, "advice": self.advice} if self.message else {})


class BadInput(StudioError):
    """A value that cannot be used: a negative mix weight, an unknown option, a size that is no size."""

    default_code = "bad_input"


class UnknownCategory(BadInput):
    """A look category that the studio does not have."""

    default_code = "unknown_category"


class BadLora(BadInput):
    """A LoRA file that is damaged, unsafe, made for another architecture, or that changes nothing."""

    default_code = "bad_lora"


class BadPicture(BadInput):
    """A picture file that cannot be read as one."""

    default_code = "bad_picture"


class ConsentMissing(BadInput):
    """A donor whose consent is absent, expired, revoked, or given for another file."""

    default_code = "consent_missing"


class NotEnough(StudioError):
    """Too little is left to go on with: no face in the pictures, all candidates gated out, too few donors."""

    default_code = "not_enough"


class NotEnoughMemory(NotEnough):
    """A model that fits neither the device nor the machine."""

    default_code = "not_enough_memory"


class OutOfDisk(StudioError):
    """No room to write. What was already written is kept."""

    default_code = "out_of_disk"


class ModelMissing(StudioError):
    """A model's folder or one of its files is not where it should be."""

    default_code = "model_missing"


class Cancelled(StudioError):
    """Somebody asked to stop. What was already made is kept."""

    default_code = "cancelled"


def error_from_json(value: Mapping[str, Any]) -> StudioError:
    """Return the error that `StudioError.as_json` told of; an unknown class becomes a plain StudioError."""
    known = globals().get(str(value.get("error")))
    kind = known if isinstance(known, type) and issubclass(known, StudioError) else StudioError
    if value.get("message"):
        return kind(str(value["message"]), str(value.get("advice", "")), str(value["code"]))
    fields = {n: error_from_json(v) if isinstance(v, dict) and "error" in v else v for n, v in value["fields"].items()}
    return kind(str(value["code"]), **fields)
