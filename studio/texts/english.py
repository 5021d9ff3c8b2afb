"""Merchants' Chinese words in English, for models that read no Chinese: `english.json`, one row a word.

Its rows stand under the field of a shot that they are said in, "" where they go with words of any.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

__all__ = ["field_words", "in_english", "is_thing_unknown", "says_chinese"]

_CHINESE = re.compile("[㐀-鿿豈-﫿]")
_PARTS = re.compile("([㐀-鿿豈-﫿]+)")
_T_SHIRT = re.compile("[Tt]恤衫?")
_SAYING_NOTHING = "的了着在上里中边款个件条双只支本把张台套和与及色用来一"


@cache
def field_words() -> dict[str, dict[str, str]]:
    """Return by field, and under "", Chinese words with their English."""
    told: dict[str, dict[str, str]] = json.loads((Path(__file__).parent / "english.json").read_text(encoding="utf-8"))
    return told


@cache
def _words() -> dict[str, str]:
    told = {chinese: english for rows in field_words().values() for chinese, english in rows.items()}
    return dict(sorted(told.items(), key=lambda row: -len(row[0])))


def says_chinese(text: str) -> bool:
    """Return whether there is a Chinese letter in a text."""
    return _CHINESE.search(text) is not None


def in_english(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a text with its Chinese words in English, and those that no row has; what is not Chinese stays."""
    said: list[str] = []
    unknown: list[str] = []
    for part in _PARTS.split(_T_SHIRT.sub("短袖", text)):
        if not says_chinese(part):
            said += part.replace("，", " ").replace("、", " ").split()
            continue
        at, left = 0, ""
        while at < len(part):
            found = _known_at(part, at, not left)
            if found is None:
                left += "" if not left and part[at] in _SAYING_NOTHING else part[at]
            if left and (found is not None or at + 1 == len(part)):
                unknown.append(left.rstrip(_SAYING_NOTHING) or left)
                left = ""
            said += [] if found is None else [_words()[found]]
            at += 1 if found is None else len(found)
    return " ".join(said), tuple(unknown)


def is_thing_unknown(text: str) -> bool:
    """Return whether a text's last Chinese word, which says what a thing is, stands in no row: 粮 of 猫粮."""
    unknown = in_english(text)[1]
    return bool(unknown) and text.rstrip(_SAYING_NOTHING + " ").endswith(unknown[-1])


def _known_at(part: str, at: int, is_first: bool) -> str | None:
    """Return the longest word that begins here. One letter is a word only where all around it is known: 金 is none in
    金属; behind what is not known it is at the end, as 包 in 兰蔻包.
    """
    for word in _words():
        if not part.startswith(word, at):
            continue
        last = at + len(word)
        goes_on = last < len(part) and part[last] not in _SAYING_NOTHING and _known_at(part, last, True) is None
        if len(word) > 1 or (not goes_on and (is_first or last == len(part))):
            return word
    return None
