"""Errors in a person's words: one table of sentences (`errors/*.json`), by an error's code, in both languages.

A row is {"en": {"message": what happened, "advice": what to do}, "zh": {…}}; {name} stands for the error's field of
that name, {name!w} for it as a word of `texts.json`. A field that is an error itself is said as its message, one by
language in that language.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any

from pipelines.errors import StudioError, error_from_json

if TYPE_CHECKING:
    from studio.texts.texts import Texts

__all__ = ["error_table", "say_error", "say_failure"]

_FOLDER = Path(__file__).resolve().parent / "errors"


@cache
def error_table() -> dict[str, dict[str, dict[str, str]]]:
    """Return all rows by code. Raises ValueError for a code that stands in two files."""
    table: dict[str, dict[str, dict[str, str]]] = {}
    for path in sorted(_FOLDER.glob("*.json")):
        rows = json.loads(path.read_text(encoding="utf-8"))
        if twice := sorted(table.keys() & rows.keys()):
            raise ValueError(f"{path.name} repeats {twice[0]}")
        table |= rows
    return table


def say_error(error: StudioError, texts: Texts) -> tuple[str, str]:
    """Return what happened and what to do ("" for nothing), in the texts' language."""
    words, row = _Words(texts), error_table().get(error.code)
    try:
        said = {} if row is None else row[texts.language]
        return words.format(said["message"], **error.fields), words.format(said.get("advice", ""), **error.fields)
    except KeyError:  # recorded by a studio of another version
        return str(error), ""


def say_failure(texts: Texts, error: str, facts: Mapping[str, Any]) -> str:
    """Return why a job failed and what to do, of what its record says; "" where it says nothing."""
    if raised := facts.get("raised"):
        return texts.error(error_from_json(raised))
    return error  # a sentence of version 0.1


class _Words(Formatter):
    """Formats fields as a person reads them."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        if isinstance(value, Mapping):  # a name, by language
            value = value[self._texts.language]
        if isinstance(value, StudioError):
            return say_error(value, self._texts)[0]
        if conversion == "w" and isinstance(value, list | tuple):
            value = [self._texts.word(str(part)) for part in value]
        elif conversion == "w":
            return self._texts.word(str(value))
        if isinstance(value, list | tuple):
            return (", " if self._texts.language == "en" else "、").join(str(part) for part in value)
        return super().convert_field(value, conversion)
