"""The help of commands and options in the terminal's language: English is written beside each, Chinese in help.json."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import typer
from rich.highlighter import RegexHighlighter
from rich.text import Text
from typer import rich_utils

from personas.measures.catalogue import MEASURES
from studio.texts import texts
from studio.texts.texts import Language

__all__ = ["translate_command", "translate_help"]

_USAGE = "Usage:"
_FILE = Path(texts.__file__).with_name("help.json")


@cache
def _table() -> dict[str, str]:
    return dict(json.loads(_FILE.read_text(encoding="utf-8")))


def translate_help(help_text: str) -> str:
    """Return the Chinese of an English help, paragraph by paragraph; what follows the first ": " of one may be choices,
    which stay as they are, but for measures, which are said by their names.

    Raises KeyError where there is none.
    """
    plain = " ".join(help_text.split())
    if plain in _table():
        return _table()[plain]
    if "\n\n" in help_text:
        return "\n\n".join(map(translate_help, help_text.split("\n\n")))
    head, _, choices = plain.partition(": ")
    measures = {row.words["en"]: row.words["zh"] for row in MEASURES}
    said = choices.removesuffix(".").split(", ")
    if all(choice in measures for choice in said):
        return _table()[f"{head}:"] + "、".join(measures[choice] for choice in said) + "。"
    return _table()[f"{head}:"] + ", ".join(said) + "。"


class _Folding(RegexHighlighter):
    """What is longer than its column goes on in the next line: Chinese has no spaces to break at, and typer cuts it."""

    def __call__(self, text: str | Text) -> Text:
        found = super().__call__(text)
        found.overflow = "fold"
        return found


class _FoldingOptions(_Folding, rich_utils.OptionHighlighter):
    """Of the names of options and arguments, and of their help; `usage` stands before how a command is called."""

    usage = _USAGE

    def __call__(self, text: str | Text) -> Text:
        told = isinstance(text, str) and text.startswith(_USAGE)
        return super().__call__(self.usage + text.removeprefix(_USAGE) if told and isinstance(text, str) else text)


class _FoldingNegative(_Folding, rich_utils.NegativeOptionHighlighter):
    """Of the names that switch an option off."""


def translate_command(command: Any, language: Language) -> None:
    """Put the help of a command, its options and its subcommands into this language; English is as it stands."""
    rich_utils.highlighter, rich_utils.negative_highlighter = _FoldingOptions(), _FoldingNegative()
    if language == "en":
        return
    rich_utils.highlighter.usage = translate_help(_USAGE)
    for name in ("ARGUMENTS", "OPTIONS", "COMMANDS"):
        setattr(rich_utils, f"{name}_PANEL_TITLE", translate_help(name.title()))
    rich_utils.DEFAULT_STRING = "[默认 {}]"
    rich_utils.REQUIRED_LONG_STRING = "[必填]"
    _translate(command)


def _translate(command: Any) -> None:
    for name in ("help", "short_help", "epilog"):
        if said := getattr(command, name, None):
            setattr(command, name, translate_help(said))
    command.options_metavar = f"[{translate_help('Options')}]"
    if hasattr(command, "subcommand_metavar"):
        command.subcommand_metavar = f"{translate_help('Commands')} [{translate_help('Arguments')}]..."
    for param in command.get_params(typer.Context(command)):  # that of --help is made when it is asked for
        if param.help:
            param.help = translate_help(param.help)
    for part in getattr(command, "commands", {}).values():
        _translate(part)
