"""Shots pasted as lines of text: words in English or Chinese, however a list, a table or a prompt writes them.

Words that no list has are kept, in the field that they are said in: what follows "wearing" is a garment, what follows
"holding" a thing, what is called a garment or a thing is one, and all else is something that somebody does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from personas import shots as words
from personas.shots import FREE, MOST_LETTERS, Shot
from pipelines.errors import BadInput
from pipelines.text_files import plain_spaces
from studio.domain.posts import MOST_SHOTS
from studio.texts.english import field_words, in_english
from studio.texts.texts import LANGUAGES, Texts

__all__ = ["CHOICES", "COLUMNS", "HEADERS", "known_word", "paste_shots"]

COLUMNS = ("framing", "view", "expression", "outfit", "outfit_colour", "pose", "goods", "light")
HEADERS = (*COLUMNS, "seed", "caption")
CHOICES = {
    "framing": words.FRAMINGS, "view": words.VIEWS, "expression": words.EXPRESSIONS, "outfit": words.OUTFITS,
    "outfit_colour": words.OUTFIT_COLOURS, "pose": words.POSES, "goods": words.GOODS, "light": words.LIGHTS,
}  # fmt: skip
_JOINING = "的和色"
_FILLERS = (
    "a", "an", "and", "her", "his", "in", "on", "the", "their", "with", "hand", "手", "里",
    "一个", "一本", "一件", "一条", "一双", "一顶", "一支", "一只", "一把", "一张", "一款",
    "color", "image", "nr", "no", "number", "outfit color", "photo", "picture", "post", "shot", "图", "图片", "序号",
    "编号", "镜头",
)  # fmt: skip
_VERBS = {
    "outfit": ("wearing", "dressed in", "穿", "穿着", "身穿", "戴", "戴着"),
    "goods": ("carrying", "holding", "showing", "手持", "手拎", "拎着", "提着", "拿", "拿着", "端着", "捧着", "举着"),
}
_BEFORE = {"with": "goods", "in": "outfit"}  # what follows is one only where no list knows it
_WEIGHT = re.compile(r"(?<=\w)\s*:\s*\d+(\.\d+)?(?=\s*[)\]}>,;]|\s*$)")  # of a prompt: (smiling:1.2)
_TAG = re.compile(r"<\s*(\w+)\s*:[^>]*>")  # of a prompt: <lora:name:0.8>
_KEYCAP = re.compile("[\ufe0f\u20e3]")
_NUMBER = re.compile(
    r"[\W_]*"
    r"(?:(?:第|no|nr|number|shot|photo|picture|image|post|镜头|图片|图)[\s.#:]*)?"
    r"(?:\d{1,3}(?!\d)|[a-z](?=[.):、\]])|[ivx]{1,5}(?=[.):、\]])|[一二三四五六七八九十]{1,3}(?=[.):、\]\s张条组个幅号]))"
    r"\s*[张条组个幅号]?[\W_]*"
)
_Kind = Literal["listed", "named", "verb", "filler", "unknown", "end"]


@dataclass(frozen=True)
class _Token:
    """A piece of a line: `listed` is a word of CHOICES; `named` one that is known to be said in a field (""): in any;
    `end` parts what belongs together. `value` is what the field's cell becomes.
    """

    kind: _Kind
    first: int
    last: int
    field: str = ""
    value: str = ""


def paste_shots(text: str) -> list[Shot]:
    """A shot a line, in English or Chinese words, in any order; what a line leaves out is as usual.

    Numbers and bullets of a list, quotes, brackets, weights of a prompt and every kind of space and punctuation say
    nothing; nor does a line of columns' names. Raises BadInput, naming the line and what is no word at all.
    """
    shots = []
    for number, line in enumerate(text.splitlines(), 1):
        if cells := _read_line(_plain(line), number):
            shots.append(Shot(**cells))
    if not 1 <= len(shots) <= MOST_SHOTS:
        raise BadInput("bad_count", most=MOST_SHOTS, count=len(shots))
    return shots


def known_word(field: str, said: str, texts: Texts) -> str | None:
    """Return the word of CHOICES that a cell says, in the page's language or in English; None where it says none."""
    for word in (texts.word_back(said).casefold(), in_english(said)[0].casefold()):
        if word in CHOICES[field]:
            return word
    return None


def _plain(line: str) -> str:
    """Return the line in small letters of the usual width, one space between its words, without its list's mark."""
    plain = plain_spaces(unicodedata.normalize("NFKC", _KEYCAP.sub("", line))).casefold()
    plain = _WEIGHT.sub("", " ".join(re.split(r"[-_\s]+", plain)).strip())
    mark = _NUMBER.match(plain)
    return plain[mark.end() :] if mark else plain


def _read_line(line: str, number: int) -> dict[str, str]:
    if tag := _TAG.search(line):
        raise BadInput("bad_shot_word", line=number, said=line[tag.start(1) : tag.start(1) + 20])
    listed: dict[str, str] = {}
    own: dict[str, list[str]] = {}
    for phrase in _phrases(list(_tokens(line, number))):
        for field, value, is_listed in _cells(line, phrase):
            if is_listed:
                listed[field] = value
            else:
                own.setdefault(field, []).append(value)
    for field, said in own.items():
        # somebody may smile and wink, wave and walk; of two garments the one in own words is meant
        first = [listed[field]] if field in listed and field in ("expression", "pose") else []
        told = ", ".join([*first, *said])
        if len(told) > MOST_LETTERS:
            raise BadInput("bad_shot_word", line=number, said=told[:20])
        listed[field] = told
    return listed


def _tokens(line: str, number: int) -> Iterator[_Token]:
    at, unknown_to = 0, -1  # behind the last unknown word
    while at < len(line):
        said = _known_at(line, at, unknown_to)
        if said is not None:
            kind, field, value = _vocabulary()[said]
            yield _Token(kind, at, at + len(said), field, value)
            at += len(said)
        elif line[at].isalpha() and line[at] not in _JOINING:
            last = at + 1
            while line[at].isascii() and last < len(line) and (line[last].isalnum() or line[last] == "'"):
                last += 1
            yield _Token("unknown", at, last)
            at = unknown_to = last
        elif line[at].isalnum() and line[at] not in _JOINING:
            raise BadInput("bad_shot_word", line=number, said=line[at : at + 20])
        else:
            if line[at] not in _JOINING and not (line[at] == " " and _joins(line, at)):
                yield _Token("end", at, at + 1)
            at += 1


def _known_at(line: str, at: int, unknown_to: int) -> str | None:
    """Return the longest word of the vocabulary that begins here.

    One Chinese letter is a word only by itself, or before another word: else it is a part of one that is not known.
    """
    for word in _vocabulary():
        last = at + len(word)
        if not line.startswith(word, at) or not _ends(line, last, word):
            continue
        if len(word) > 1 or word.isascii():
            return word
        alone = last >= len(line) or not line[last].isalpha() or line[last] in _JOINING
        if at != unknown_to and (alone or _known_at(line, last, -1) is not None):
            return word
    return None


def _joins(line: str, at: int) -> bool:
    """Whether a space stands between English words: Chinese ones need none, so that it parts them."""
    return line[at - 1 : at].isascii() and line[at + 1 : at + 2].isascii()


def _phrases(tokens: Sequence[_Token]) -> Iterator[list[_Token]]:
    """Yield what belongs together: from a verb, or from an end, to the next."""
    phrase: list[_Token] = []
    for token in tokens:
        if token.kind in ("end", "verb") and phrase:
            yield phrase
            phrase = []
        if token.kind != "end":
            phrase.append(token)
    if phrase:
        yield phrase


def _cells(line: str, phrase: Sequence[_Token]) -> Iterator[tuple[str, str, bool]]:
    """Yield (field, value, whether it is a list's word) of all that a phrase says."""
    verb = phrase[0].field if phrase[0].kind == "verb" else ""
    at = 0
    while at < len(phrase):
        token = phrase[at]
        if token.kind == "listed":
            yield token.field, token.value, True
        if token.kind not in ("named", "unknown"):
            at += 1
            continue
        last = at + 1
        while (more := _next_word(phrase, last)) is not None and _goes_on(phrase[at:last], phrase[more]):
            last = more + 1
        told = list(phrase[at:last])
        if any(t.kind == "unknown" for t in told) and last < len(phrase) and phrase[last].field in ("outfit", "goods"):
            told.append(phrase[last])  # "reddish dress": the unknown word says which
            last += 1
        field = verb or _field_of(told, line) or _BEFORE.get(_before(line, phrase[:at]), "") or "pose"
        yield field, line[told[0].first : told[-1].last], False
        at = last


def _next_word(phrase: Sequence[_Token], at: int) -> int | None:
    """Return the place of the next word that no list has, over articles and the like; None where there is none."""
    while at < len(phrase) and phrase[at].kind == "filler":
        at += 1
    return at if at < len(phrase) and phrase[at].kind in ("named", "unknown") else None


def _goes_on(told: Sequence[_Token], token: _Token) -> bool:
    """Whether a word says more of the same: it does, but for one that is known to be said in another field."""
    fields = {t.field for t in told if t.field}
    return not token.field or not fields or token.field in fields


def _field_of(told: Sequence[_Token], line: str) -> str:
    """Return the field in which these words are said; "" where they do not tell."""
    fields = [t.field for t in told if t.field]
    first = line[told[0].first : told[0].last]
    acts = told[0].kind == "unknown" and (first.endswith("ing") if first.isascii() else _is_short(told))
    if "pose" in fields or acts:
        return "pose"
    return fields[-1] if fields else ""


def _is_short(told: Sequence[_Token]) -> bool:
    """Whether one Chinese letter goes before a thing: in "浇花" it is what somebody does with it."""
    return len(told) == 2 and told[1].field == "goods" and told[0].last - told[0].first == 1


def _before(line: str, tokens: Sequence[_Token]) -> str:
    """Return the word that leads to what comes next, articles aside."""
    said = (line[t.first : t.last] for t in reversed(tokens) if t.kind == "filler")
    return next((word for word in said if word in _BEFORE), "")


def _ends(line: str, at: int, word: str) -> bool:
    """English words end where the next letter is none."""
    return at >= len(line) or not (word[-1].isascii() and line[at].isascii() and line[at].isalnum())


@cache
def _vocabulary() -> Mapping[str, tuple[_Kind, str, str]]:
    """Return what may be said in both languages, longest first, as the kind, field and value of its token."""
    texts = [Texts(language) for language in LANGUAGES]
    found: dict[str, tuple[_Kind, str, str]] = {}
    for field, rows in field_words().items():
        for chinese, english in rows.items():
            is_listed = english in CHOICES.get(field, ())
            told: tuple[_Kind, str, str] = ("listed" if is_listed else "named", field, english if is_listed else "")
            found |= {_spaced(chinese): told} if field in (*FREE, "") else {}
            if field and not is_listed:
                found[_spaced(english)] = told
    found |= dict.fromkeys(_FILLERS, ("filler", "", ""))
    found |= dict.fromkeys((_spaced(text(f"column.{c}")) for c in HEADERS for text in texts), ("filler", "", ""))
    found |= dict.fromkeys((_spaced(column) for column in HEADERS), ("filler", "", ""))
    for field, verbs in _VERBS.items():
        found |= dict.fromkeys(verbs, ("verb", field, ""))
    for column, choices in CHOICES.items():
        for word in choices:
            for name in (word, *(text.word(word) for text in texts)):
                spaced = _spaced(name)
                found[spaced] = ("listed", column, word)
                if "-" in name:
                    found[spaced.replace(" ", "")] = ("listed", column, word)
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def _spaced(name: str) -> str:
    return " ".join(re.split(r"[-_\s]+", name.casefold()))
