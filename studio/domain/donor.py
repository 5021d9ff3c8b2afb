"""A LoRA file that somebody brings as a donor, with the consent of the person whose face it draws."""

from __future__ import annotations

import datetime
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from personas.looks import find_category
from pipelines.families.catalogue import find_family
from studio.domain.consent import check_consented, tidy
from studio.domain.days import read_day
from studio.domain.values import Request, Result, Sha256, later_field

__all__ = ["DonorAdded", "DonorRequest"]


def _stripped(text: object) -> object:
    return text.strip() if isinstance(text, str) else text


def _licence(text: object) -> object:
    return (text.strip() or "unknown") if isinstance(text, str) else text


class DonorRequest(Request):
    """`upload` is the token of an uploaded LoRA file; `who` agreed to `scope` until `expires` (ISO date, "" no end).

    `category` is a look category's id or name in either language. `family` is the id of the model family that a person
    stated, needed where the file itself leaves the choice. `adult` is that person's word that who agreed is of age.
    Words are trimmed.
    """

    upload: Sha256
    category: str = Field(max_length=40)
    name: Annotated[str, BeforeValidator(tidy)]
    who: Annotated[str, BeforeValidator(tidy)]
    scope: Annotated[str, BeforeValidator(tidy)]
    expires: Annotated[str, BeforeValidator(_stripped)] = ""
    trigger: Annotated[str, BeforeValidator(_stripped)] = ""
    licence: Annotated[str, BeforeValidator(_licence)] = "unknown"
    family: Annotated[str, BeforeValidator(_stripped)] = ""
    adult: bool = later_field(False)

    @model_validator(mode="after")
    def _check(self) -> DonorRequest:
        """Raises BadInput, naming what is missing or too long."""
        find_category(self.category)
        if self.family:
            find_family(self.family)
        check_consented(self.name, self.who, self.scope, self.expires, self.trigger, self.licence)
        return self

    @property
    def until(self) -> datetime.date | None:
        """The last day of the consent; None without an end."""
        return read_day(self.expires) if self.expires else None


class DonorAdded(Result):
    """The donor as it lies in the donors' folder; `id` is made from the LoRA file's content."""

    kind: ClassVar[str] = "donor"

    name: str
    category: str
