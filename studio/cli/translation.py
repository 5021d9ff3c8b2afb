"""The help of commands and options in the terminal's language: English is written beside each, Chinese in help.json."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from typer import rich_utils

from studio.texts import texts
from studio.texts.texts import Language

__all__ = ["translate_command", "translate_help"]

_FILE = Path(texts.__file__).with_name("help.json")


@cache
def _table() -> dict[str, str]:
    return dict(json.loads(_FILE.read_text(encoding="utf-8")))


def translate_help(help_text: str) -> str:
    """Return the Chinese of an English help; what follows its first ": " may be choices, which stay as they are.

    Raises KeyError where there is none.
    """
    plain = " ".join(help_text.split())
    if plain in _table():
        return _table()[plain]
    head, _, choices = plain.partition(": ")
    return _table()[f"{head}:"] + choices.removesuffix(".") + "。"


def translate_command(command: Any, language: Language) -> None:
    """Put the help of a command, its options and its subcommands into this language; English is as it stands."""
    if language == "en":
        return
    for name in ("ARGUMENTS", "OPTIONS", "COMMANDS"):
        setattr(rich_utils, f"{name}_PANEL_TITLE", translate_help(name.title()))
    rich_utils.DEFAULT_STRING = "[默认：{}]"
    rich_utils.REQUIRED_LONG_STRING = "[必填]"
    _translate(command)


def _translate(command: Any) -> None:
    for name in ("help", "short_help", "epilog"):
        if said := getattr(command, name, None):
            setattr(command, name, translate_help(said))
    for param in command.params:
        if param.help:
            param.help = translate_help(param.help)
    for part in getattr(command, "commands", {}).values():
        _translate(part)
