"""A consent as somebody brings it in a file: who agreed to what, until when."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import BadInput
from pipelines.text_files import parse_json, plain_spaces, read_text_file
from studio.domain.days import read_day

__all__ = ["ConsentForm", "check_not_over", "read_consent"]

_WORDS = ("who", "scope", "expires", "outside")


@dataclass(frozen=True)
class ConsentForm:
    """`who` agreed to `scope` until the day `expires`; None without an end. `outside`: a service that is not on this
    machine may see the pictures, too.
    """

    who: str
    scope: str
    expires: datetime.date | None = None
    outside: bool = False


def read_consent(path: Path) -> ConsentForm:
    """Return what a JSON file says. Raises BadInput, naming what is wrong with it."""
    name = path.name
    try:
        said = parse_json(read_text_file(path))
    except ValueError as error:
        raise BadInput("consent_no_json", file=name) from error
    if not isinstance(said, dict):
        raise BadInput("consent_no_json", file=name)
    if unknown := sorted(set(said) - set(_WORDS)):
        raise BadInput("consent_word_unknown", file=name, word=unknown[0][:40])
    who, scope = _word(said, "who", name), _word(said, "scope", name)
    outside = said.get("outside", False)
    if not isinstance(outside, bool):
        raise BadInput("consent_outside_unclear", file=name, said=str(outside)[:40])
    return ConsentForm(who, scope, _day(said.get("expires"), name), outside)


def check_not_over(form: ConsentForm, today: datetime.date) -> None:
    """Raise BadInput where the consent has ended already."""
    if form.expires is not None and form.expires < today:
        raise BadInput("consent_over", date=form.expires.isoformat())


def _word(said: Mapping[str, object], word: str, name: str) -> str:
    value = said.get(word)
    tidied = " ".join(plain_spaces(value).split()) if isinstance(value, str) else ""
    if not tidied:
        raise BadInput("consent_word_missing", file=name, word=word)
    return tidied


def _day(value: object, name: str) -> datetime.date | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        return read_day(str(value) if isinstance(value, int) else value if isinstance(value, str) else "")
    except ValueError as error:
        raise BadInput("consent_date_unclear", file=name, date=str(value)[:40]) from error
