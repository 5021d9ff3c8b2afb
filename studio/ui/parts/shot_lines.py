"""Shots pasted as lines of text: words in English or Chinese, however a list, a table or a prompt writes them."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from personas import shots as words
from personas.shots import Shot
from pipelines.errors import BadInput
from pipelines.text_files import plain_spaces
from studio.domain.posts import MOST_SHOTS
from studio.texts.texts import LANGUAGES, Texts

__all__ = ["CHOICES", "COLUMNS", "HEADERS", "paste_shots"]

COLUMNS = ("framing", "view", "expression", "outfit", "outfit_colour", "pose", "goods")
HEADERS = (*COLUMNS, "seed", "caption")
CHOICES = {
    "framing": words.FRAMINGS, "view": words.VIEWS, "expression": words.EXPRESSIONS, "outfit": words.OUTFITS,
    "outfit_colour": words.OUTFIT_COLOURS, "pose": words.POSES, "goods": words.GOODS,
}  # fmt: skip
_JOINING = "的和色"
_FILLERS = (
    "a", "an", "and", "carrying", "hand", "her", "his", "holding", "in", "showing", "the", "their", "wearing", "with",
    "一个", "一本", "手", "手持", "手拎", "拎着", "拿", "拿着", "穿", "穿着", "端着", "里",
    "color", "image", "nr", "no", "number", "outfit color", "photo", "picture", "post", "shot", "图", "图片", "序号",
    "编号", "镜头",
)  # fmt: skip
_WEIGHT = re.compile(r"(?<=\w)\s*:\s*\d+(\.\d+)?(?=\s*[)\]}>,;]|\s*$)")  # of a prompt: (smiling:1.2)
_KEYCAP = re.compile("[\ufe0f\u20e3]")
_NUMBER = re.compile(
    r"[\W_]*"
    r"(?:(?:第|no|nr|number|shot|photo|picture|image|post|镜头|图片|图)[\s.#:]*)?"
    r"(?:\d{1,3}(?!\d)|[a-z](?=[.):、\]])|[ivx]{1,5}(?=[.):、\]])|[一二三四五六七八九十]{1,3}(?=[.):、\]\s张条组个幅号]))"
    r"\s*[张条组个幅号]?[\W_]*"
)


def paste_shots(text: str) -> list[Shot]:
    """A shot a line, in English or Chinese words, in any order; what a line leaves out is as usual.

    Numbers and bullets of a list, quotes, brackets, weights of a prompt and every kind of space and punctuation say
    nothing; nor does a line of columns' names. Raises BadInput, naming the line and what was not understood.
    """
    shots = []
    for number, line in enumerate(text.splitlines(), 1):
        if cells := _read_line(_plain(line), number):
            shots.append(Shot(**cells))
    if not 1 <= len(shots) <= MOST_SHOTS:
        raise BadInput("bad_count", most=MOST_SHOTS, count=len(shots))
    return shots


def _plain(line: str) -> str:
    """Return the line in small letters of the usual width, one space between its words, without its list's mark."""
    plain = plain_spaces(unicodedata.normalize("NFKC", _KEYCAP.sub("", line))).casefold()
    plain = _WEIGHT.sub("", " ".join(re.split(r"[-_\s]+", plain)).strip())
    mark = _NUMBER.match(plain)
    return plain[mark.end() :] if mark else plain


def _read_line(line: str, number: int) -> dict[str, str]:
    cells: dict[str, str] = {}
    known, at = _vocabulary(), 0
    while at < len(line):
        said = next((word for word in known if line.startswith(word, at) and _ends(line, at + len(word), word)), None)
        if said is not None:
            if (cell := known[said]) is not None:
                cells[cell[0]] = cell[1]
            at += len(said)
        elif not line[at].isalnum() or line[at] in _JOINING:
            at += 1
        else:
            raise BadInput("bad_shot_word", line=number, said=line[at : at + 20])
    return cells


def _ends(line: str, at: int, word: str) -> bool:
    """English words end where the next letter is none."""
    return at >= len(line) or not (word[-1].isascii() and line[at].isascii() and line[at].isalnum())


@cache
def _vocabulary() -> dict[str, tuple[str, str] | None]:
    """Return what may be said in both languages, longest first, as (column, word); None for words that say nothing."""
    texts = [Texts(language) for language in LANGUAGES]
    found: dict[str, tuple[str, str] | None] = dict.fromkeys(_FILLERS)
    found |= dict.fromkeys(_spaced(text(f"column.{column}")) for column in HEADERS for text in texts)
    found |= dict.fromkeys(_spaced(column) for column in HEADERS)
    for column, choices in CHOICES.items():
        for word in choices:
            for name in (word, *(text.word(word) for text in texts)):
                spaced = _spaced(name)
                found[spaced] = (column, word)
                if "-" in name:
                    found[spaced.replace(" ", "")] = (column, word)
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def _spaced(name: str) -> str:
    return " ".join(re.split(r"[-_\s]+", name.casefold()))
