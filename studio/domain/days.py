"""A day as people write it."""

from __future__ import annotations

import datetime
import re
import unicodedata

from pipelines.text_files import plain_spaces

__all__ = ["read_day"]

_TIME = r"(?:(?:[Tt]|\s+)\d{1,2}:?\d{2}(?::?\d{2}(?:\.\d+)?)?\s*(?:[Zz]|[+-]\d{2}:?\d{2})?)?"
_DAYS = tuple(
    re.compile(rf"{day}{_TIME}")
    for day in (
        r"(\d{4})(\d{2})(\d{2})",
        r"(\d{4})\s*-\s*(\d{1,2})\s*-\s*(\d{1,2})",
        r"(\d{4})\s*/\s*(\d{1,2})\s*/\s*(\d{1,2})",
        r"(\d{4})\s*\.\s*(\d{1,2})\s*\.\s*(\d{1,2})",
        r"(\d{4})\s*年\s*(\d{1,2})\s*月\s*(\d{1,2})\s*[日号]?",
    )
)


def read_day(text: str) -> datetime.date:
    """Return the day that a text names, year first: 2030-12-31, 20301231, 2030/12/31, 2030年12月31日, also with a time.

    Raises ValueError for what is no day, and for what could be two (01/02/2030).
    """
    plain = plain_spaces(unicodedata.normalize("NFKC", text)).strip()
    for shape in _DAYS:
        if found := shape.fullmatch(plain):
            year, month, day = map(int, found.groups())
            return datetime.date(year, month, day)
    raise ValueError(f"no day: {text[:40]}")
