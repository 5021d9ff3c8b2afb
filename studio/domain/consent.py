"""A consent as somebody brings it in a file: who agreed to what, until when."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import BadInput
from pipelines.file_names import file_name
from pipelines.text_files import parse_json, plain_spaces, read_text_file
from studio.domain.days import read_day

__all__ = ["ConsentForm", "check_consented", "check_not_over", "hash_document", "read_consent", "tidy"]

_MOST_NAME, _MOST_WORDS = 60, 300
_WORDS = ("who", "scope", "expires", "outside", "document", "adult")


@dataclass(frozen=True)
class ConsentForm:
    """`who` agreed to `scope` until the day `expires`; None without an end. `outside`: a service that is not on this
    machine may see the pictures, too. `document` is the SHA-256 of what they signed, "" where nobody named it; `adult`
    that they are of age, None where nobody said so.
    """

    who: str
    scope: str
    expires: datetime.date | None = None
    outside: bool = False
    document: str = ""
    adult: bool | None = None


def read_consent(path: Path) -> ConsentForm:
    """Return what a JSON file says; `document` names a file beside it. Raises BadInput, naming what is wrong."""
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
    outside, adult = said.get("outside", False), said.get("adult")
    if not isinstance(outside, bool):
        raise BadInput("consent_outside_unclear", file=name, said=str(outside)[:40])
    if adult is not None and adult is not True:
        raise BadInput("consent_of_minor", file=name)
    day, document = _day(said.get("expires"), name), _document(said.get("document"), path)
    return ConsentForm(who, scope, day, outside, document, adult)


def tidy(text: object) -> object:
    """Return a text with single spaces; anything else as it is."""
    return " ".join(text.split()) if isinstance(text, str) else text


def check_consented(name: str, who: str, scope: str, expires: str, *others: str) -> None:
    """Raise BadInput, naming what is missing or too long of what somebody brings under a name, with a consent; `others`
    are further words.
    """
    if not 1 <= len(name) <= _MOST_NAME or name != file_name(name):
        raise BadInput("bad_name", most=_MOST_NAME)
    if not who or not scope:
        raise BadInput("no_consent")
    if max(map(len, (who, scope, *others))) > _MOST_WORDS:
        raise BadInput("too_long", most=_MOST_WORDS)
    try:
        if expires:
            read_day(expires)
    except ValueError as error:
        raise BadInput("bad_date", date=expires[:30]) from error


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


def _document(value: object, consent: Path) -> str:
    """Return the SHA-256 of the file that was signed, which lies beside the consent."""
    if value is None or value == "":
        return ""
    try:
        if not isinstance(value, str):
            raise OSError
        return hash_document(consent.parent / value)
    except OSError as error:
        raise BadInput("consent_document_missing", file=consent.name, document=str(value)[:60]) from error


def hash_document(path: Path) -> str:
    """Return the SHA-256 of what somebody signed. Raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _day(value: object, name: str) -> datetime.date | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        return read_day(str(value) if isinstance(value, int) else value if isinstance(value, str) else "")
    except ValueError as error:
        raise BadInput("consent_date_unclear", file=name, date=str(value)[:40]) from error
