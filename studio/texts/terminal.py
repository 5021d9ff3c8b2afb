"""Errors on a terminal: a sentence and an advice in the language that it is set to."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pipelines.errors import StudioError
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts

__all__ = ["LANGUAGE", "in_words", "print_error", "terminal_texts"]

LANGUAGE = "PERSONA_STUDIO_LANGUAGE"
"""The variable of the environment that goes before the locale; processes that a command starts see it, too."""


def terminal_texts(environment: Mapping[str, str] = os.environ) -> Texts:
    """Return the texts of the language that was asked for (LANGUAGE), else of the terminal's: Chinese where its locale
    is, English for all others.
    """
    chosen = environment.get(LANGUAGE, "")
    for language in LANGUAGES:
        if language == chosen:
            return Texts(language)
    said = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    return Texts("zh" if said.casefold().startswith("zh") else "en")


@contextmanager
def in_words(as_json: bool = False) -> Iterator[None]:
    """End the program with a sentence (or JSON), not with a traceback, at an error that somebody can act on."""
    try:
        yield
    except StudioError as error:
        print_error(error, as_json)
        raise SystemExit(1) from error


def print_error(error: StudioError, as_json: bool) -> None:
    """Print an error: a sentence and an advice on standard error, or JSON on standard output.

    The JSON is what the API answers: {"code", "fields", "message", "advice"}.
    """
    message, advice = say_error(error, terminal_texts())
    if as_json:
        told = {"code": error.code, "fields": error.as_json()["fields"], "message": message, "advice": advice}
        print(json.dumps(told, ensure_ascii=False), flush=True)
    else:
        print(f"{message}\n  → {advice}" if advice else message, file=sys.stderr)
