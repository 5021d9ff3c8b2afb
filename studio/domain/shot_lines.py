"""Shots pasted as lines of text: words in English or Chinese, however a list, a table or a prompt writes them.

Words that no list has are kept, in the field that they are said in: what follows "wearing" is a garment, what follows
"holding" a thing, what is called a garment or a thing is one, and all else, places among it, goes to what somebody
does. What a line says is never lost for something else that it says: two garments are both worn.
"""

from __future__ import annotations

import re
import unicodedata

from personas.shots import FREE, MOST_LETTERS, Shot
from pipelines.errors import BadInput
from pipelines.text_files import plain_spaces
from studio.domain.posts import MOST_SHOTS
from studio.domain.shot_phrases import Cells, NothingDenied, read_tokens
from studio.domain.shot_words import CHOICES, COLUMNS, HEADERS, NumberSaid, tokens
from studio.texts.english import in_english, says_chinese
from studio.texts.texts import Texts

__all__ = ["CHOICES", "COLUMNS", "HEADERS", "known_word", "paste_cells", "paste_shots"]

_WEIGHT = re.compile(r"(?<=\w)\s*:\s*\d+(\.\d+)?(?=\s*[)\]}>,;]|\s*$)")  # of a prompt: (smiling:1.2)
_TAG = re.compile(r"<\s*(\w+)\s*:[^>]*>")  # of a prompt: <lora:name:0.8>
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
    nothing; nor does a line of columns' names. Raises BadInput, naming the line and what is no word at all, what is
    said not to be seen, or what cannot be seen in one picture.
    """
    return [Shot(**cells) for cells in paste_cells(text)]


def paste_cells(text: str) -> list[dict[str, str]]:
    """Return by line what it says, by field; what it leaves out is left out. Raises as `paste_shots`."""
    told = [cells for n, line in enumerate(text.splitlines(), 1) if (cells := _read_line(_plain(line), n))]
    if not 1 <= len(told) <= MOST_SHOTS:
        raise BadInput("bad_count", most=MOST_SHOTS, count=len(told))
    return told


def known_word(field: str, said: str, texts: Texts) -> str | None:
    """Return the word of CHOICES that a cell says, in the page's language or in English; None where it says none."""
    english, left_out = in_english(said)
    for word in (texts.word_back(said).casefold(), "" if left_out else english.casefold()):
        if word in CHOICES[field]:
            return word
    return None


def _plain(line: str) -> str:
    """Return the line in small letters of the usual width, one space between its words, without its list's mark."""
    apart = _KEYCAP.sub("", line).replace("’", "'").replace("\t", ", ")  # a table's cells do not belong together
    plain = plain_spaces(unicodedata.normalize("NFKC", apart)).casefold()
    plain = _WEIGHT.sub("", " ".join(re.split(r"[-_\s]+", plain)).strip())
    mark = _NUMBER.match(plain)
    return plain[mark.end() :] if mark else plain


def _read_line(line: str, number: int) -> dict[str, str]:
    if tag := _TAG.search(line):
        raise BadInput("bad_shot_word", line=number, said=line[tag.start(1) : tag.start(1) + 20])
    try:
        cells = read_tokens(line, list(tokens(line)))
    except NumberSaid as error:
        raise BadInput("bad_shot_word", line=number, said=line[error.args[0] : error.args[0] + 20]) from error
    except NothingDenied as error:
        raise BadInput("shot_denied", line=number, said=error.args[0]) from error
    texts = Texts("zh" if says_chinese(line) else "en")
    return {field: _one(field, said, number, texts) for field, said in _told(cells).items()}


def _told(cells: Cells) -> dict[str, list[str]]:
    """Return what is said by field, each once."""
    told = {field: list(dict.fromkeys(said)) for field, said in cells.others.items() if said}
    if worn := list(dict.fromkeys(cells.garments)):
        # of several garments each says its own colour, so that none is worn in another's
        several = len(worn) > 1 and any(garment.colour for garment in worn[1:])
        told["outfit"] = [garment.whole if several else garment.words for garment in worn]
        if len(worn) == 1:
            told["outfit"] = [worn[0].listed or worn[0].words]
        colours = [garment.colour for garment in worn if garment.colour][: 1 if several else None]
        told["outfit_colour"] = list(dict.fromkeys([*colours, *told.get("outfit_colour", ())]))
    if len(told.get("goods", ())) > 1:
        told["goods"] = [said for said in told["goods"] if said != "nothing"]
    if not told.get("goods") and cells.handled:
        told["goods"] = list(dict.fromkeys(cells.handled))[:1]
    return {field: said for field, said in told.items() if said}


def _one(field: str, said: list[str], number: int, texts: Texts) -> str:
    """Return a cell of all that is said in a field. Raises BadInput where it does not go into one."""
    if len(said) > 1 and field not in FREE:
        raise BadInput("shot_said_twice", line=number, first=said[0], second=said[1])
    if len(said) > 1:  # beside others a list's word is said in the line's language, if it comes back from there
        said = [texts.word(one) if in_english(texts.word(one))[0] == one else one for one in said]
    comma = field in ("expression", "pose")
    told = (", " if comma else "和" if texts.language == "zh" else " and ").join(said)
    if len(told) > MOST_LETTERS:
        raise BadInput(
            "shot_too_long", line=number, field=field.replace("_", " "), said=f"{told[:40]}…", most=MOST_LETTERS
        )
    return told
