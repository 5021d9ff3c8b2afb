"""Every word a page says, in English and Chinese: texts.json by key, errors/ by an error's code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from pipelines.errors import StudioError
from studio.texts.errors import say_error

__all__ = ["LANGUAGES", "LOCALES", "Language", "Texts", "choose_language"]

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
LOCALES: dict[str, str] = {"en": "en", "zh": "zh-CN"}
_HERE = Path(__file__).resolve().parent


@cache
def _load(name: str) -> Any:
    return json.loads((_HERE / name).read_text(encoding="utf-8"))


class Texts:
    """The words of one language; `texts("design.title")`, with {fields} filled in."""

    def __init__(self, language: Language) -> None:
        self.language: Language = language

    def __call__(self, key: str, **fields: object) -> str:
        """Raises KeyError for a key that texts.json lacks."""
        text = str(_load("texts.json")[key][self.language])
        return text.format(**fields) if fields else text

    def of_gradio(self) -> dict[str, str]:
        """Return what Gradio's own translations lack, by Gradio's keys."""
        rows = _load("texts.json").items()
        return {key.removeprefix("i18n."): row[self.language] for key, row in rows if key.startswith("i18n.")}

    @property
    def said_by_gradio(self) -> list[tuple[str, str]]:
        """Return what Gradio says with no way to tell it otherwise, and what the page says instead."""
        rows = _load("texts.json").items()
        return [(key.removeprefix("gradio."), row[self.language]) for key, row in rows if key.startswith("gradio.")]

    def word(self, word: str) -> str:
        """A word of a shot, a stage or a verdict in this language; the word itself where none is known."""
        return str(_load("texts.json").get(f"word.{word}", {}).get(self.language, word))

    def setting(self, name: str) -> str:
        """A setting's name in this language; the name itself where it is of another program."""
        return str(_load("texts.json").get(f"setting.{name}", {}).get(self.language, name))

    def word_back(self, said: str) -> str:
        """The studio's own word for what `word` said."""
        for key, row in _load("texts.json").items():
            if key.startswith("word.") and row[self.language] == said:
                return str(key.removeprefix("word."))
        return said

    def error(self, error: StudioError) -> str:
        """Return what happened and what to do."""
        return (" " if self.language == "en" else "").join(part for part in say_error(error, self) if part)


def choose_language(accepted: str) -> Language:
    """Return the language of an Accept-Language header: Chinese if it is wanted more than English, else English."""
    best: Sequence[Any] = (0.0, "en")
    for part in accepted.split(","):
        tag, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        language = tag.split("-")[0].casefold()
        if language in LANGUAGES and weight > best[0]:
            best = (weight, language)
    return "zh" if best[1] == "zh" else "en"
