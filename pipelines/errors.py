"""The one hierarchy of errors: a stable code, a message that a merchant understands, and what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

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
    "in_words",
]


class StudioError(Exception):
    """Anything that went wrong and that somebody can do something about.

    `code` is stable and meant for machines; `message` says what happened; `advice` says what to do ("" if
    nothing). All three are the constructor's arguments, so that the error survives pickling and a journey
    through the records.
    """

    default_code: ClassVar[str] = "studio_error"

    def __init__(self, message: str, advice: str = "", code: str | None = None) -> None:
        self.message = message
        self.advice = advice
        self.code = self.default_code if code is None else code
        super().__init__(message, advice, self.code)

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".rstrip()


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


@contextmanager
def in_words() -> Iterator[None]:
    """Errors that somebody can act on end the program with a sentence, not with a traceback."""
    try:
        yield
    except StudioError as error:
        print(f"{error.message}\n  → {error.advice}" if error.advice else error.message, file=sys.stderr)
        raise SystemExit(1) from error
