"""Words of a comment: the longest that a list knows at each place, in Chinese and English, mixed as people mix them.

No segmenter is needed: `attributes.json` and `opinions.json` are all that is looked for.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from personas.taste.attributes import Attributes, Language, load_attributes

__all__ = ["OPINIONS_FILE", "Plain", "Token", "opinion_words", "plain_text", "tokens_of"]

OPINIONS_FILE = Path(__file__).with_name("opinions.json")
_ENDS, _COMMAS, _JOINTS = frozenset(".!?;。…\n"), frozenset(",:()[]{}—"), frozenset("、/+&\"'“”‘’*_#~^-|")
_GLAD = frozenset("😍🥰😘👍❤♥💕💖💗🔥😊😄😃😁🤩👏💯✨🙌😻💙💚💜🧡💛🤍🖤🫶😋🥳⭐🌟")
_CROSS = frozenset("👎😒🙄😑😞😡🤮🤢💩😤😖😬😕😠😫🥱😩❌🚫")
_TAG = re.compile(r"<[^<>]{0,200}>|https?://\S+|&[a-z]{2,8};", re.IGNORECASE)
_WORD = re.compile(r"[a-z0-9][a-z0-9'&]*")
_INFLECTED = (("ies", "y"), ("ier", "y"), ("er", "e"), ("er", ""), ("es", ""), ("s", ""))


@dataclass(frozen=True)
class Token:
    """`kind` is a kind of `opinions.json`, or: "value", "aspect", "end", "comma", "joint", "unknown".

    `ids` are the attributes that a value may be, the usual one first; `fields` those of an aspect; `dimension` the
    attributes at the high and the low end. A fault says that there is too much of its value. `start` and `end` are
    places in the comment as it was written.
    """

    kind: str
    start: int
    end: int
    text: str
    ids: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    dimension: tuple[str, ...] | None = None
    is_fault: bool = False

    @property
    def is_english(self) -> bool:
        return self.text.isascii()


@dataclass(frozen=True)
class Plain:
    """A text in small letters of the usual width; `places` are where each letter stood, and one behind the last."""

    text: str
    places: tuple[int, ...]


@dataclass(frozen=True)
class _Entry:
    kind: str
    ids: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    dimension: tuple[str, ...] | None = None
    is_fault: bool = False


def plain_text(comment: str) -> Plain:
    """Return the comment as it is read: NFKC, small letters, one space for a run of them, no tags or addresses."""
    letters: list[str] = []
    places: list[int] = []
    hidden = {at for match in _TAG.finditer(comment) for at in range(*match.span())}
    for at, letter in enumerate(comment):
        plain = " " if at in hidden else unicodedata.normalize("NFKC", letter).casefold().replace("’", "'")
        for one in plain:
            told = " " if one.isspace() and one != "\n" else one
            if told == " " and letters and letters[-1] == " ":
                continue
            letters.append(told)
            places.append(at)
    return Plain("".join(letters), (*places, len(comment)))


def tokens_of(comment: str) -> Iterator[Token]:
    """Yield the tokens in their order."""
    plain, lexicon = plain_text(comment), _lexicon()
    text, at = plain.text, 0
    while at < len(text):
        known = _known_at(text, at)
        if known is not None:
            word, entry = known
            yield _token(plain, at, at + len(word), entry)
            at += len(word)
            continue
        letter = text[at]
        if match := _WORD.match(text, at):
            yield from _inflected(plain, at, match.end(), lexicon)
            at = match.end()
            continue
        kind = _mark(letter)
        if kind:
            yield Token(kind, plain.places[at], plain.places[at] + 1, letter)
        at += 1


@cache
def opinion_words() -> Mapping[str, Mapping[Language, tuple[str, ...]]]:
    """Return by kind and language the words of `opinions.json`."""
    told = json.loads(OPINIONS_FILE.read_text(encoding="utf-8"))
    return {kind: {"zh": tuple(row["zh"]), "en": tuple(row["en"])} for kind, row in told.items()}


def _mark(letter: str) -> str:
    """Return the kind of a letter that begins no word; "" for one that says nothing."""
    if letter in _ENDS:
        return "end"
    if letter in _COMMAS:
        return "comma"
    if letter in _GLAD:
        return "good"
    if letter in _CROSS:
        return "bad"
    if letter in _JOINTS:
        return "joint"
    if letter in "><":
        return "better_than" if letter == ">" else "worse_than"
    return "unknown" if letter.isalpha() else ""


def _known_at(text: str, at: int) -> tuple[str, _Entry] | None:
    """Return the longest word of the lists that begins here, and what it is."""
    if text[at].isascii() and at and text[at - 1].isascii() and text[at - 1].isalnum():
        return None  # inside an English word
    for word in _by_first_letter().get(text[at], ()):
        last = at + len(word)
        if not text.startswith(word, at):
            continue
        inside = word[-1].isascii() and last < len(text) and text[last].isascii() and (text[last].isalnum())
        if not inside:
            return word, _lexicon()[word]
    return None


def _inflected(plain: Plain, at: int, end: int, lexicon: Mapping[str, _Entry]) -> Iterator[Token]:
    """Yield an English word that no list has as it stands: its base, and "more" before it for a comparative."""
    word = plain.text[at:end]
    for ending, instead in _INFLECTED:
        if not word.endswith(ending) or len(word) < len(ending) + 3:
            continue
        stem = word[: -len(ending)] + instead
        bases = (stem, stem[:-1]) if ending == "er" and not instead and stem[-1:] == stem[-2:-1] else (stem,)
        for base in bases:
            entry = lexicon.get(base)
            if entry is None or (entry.kind not in ("value", "aspect", "good", "bad") and ending.endswith("er")):
                continue
            if ending.endswith("er"):
                yield Token("more", plain.places[at], plain.places[end - 1] + 1, word)
            yield _token(plain, at, end, entry)
            return
    yield Token("unknown", plain.places[at], plain.places[end - 1] + 1, word)


def _token(plain: Plain, at: int, end: int, entry: _Entry) -> Token:
    return Token(
        entry.kind, plain.places[at], plain.places[end - 1] + 1, plain.text[at:end], entry.ids, entry.fields,
        entry.dimension, entry.is_fault,
    )  # fmt: skip


@cache
def _by_first_letter() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for word in sorted(_lexicon(), key=len, reverse=True):
        found.setdefault(word[0], []).append(word)
    return {letter: tuple(words) for letter, words in found.items()}


@cache
def _lexicon() -> Mapping[str, _Entry]:
    """Return all words of the lists; a hyphen may be a space, and a space a hyphen."""
    told = load_attributes()
    found: dict[str, _Entry] = {}
    for language in ("zh", "en"):
        found |= _opinions(language) | _attributes(told, language)
    found |= {word.replace("-", " "): entry for word, entry in found.items() if "-" in word}
    joined = {word.replace(" ", "-"): entry for word, entry in found.items() if " " in word and entry.kind == "value"}
    found = joined | found
    several = {f"{w}s": e for w, e in found.items() if " " in w or "-" in w if e.kind == "value" and w[-1] != "s"}
    return several | found


def _opinions(language: Language) -> dict[str, _Entry]:
    return {word: _Entry(kind) for kind, row in opinion_words().items() for word in row[language]}


def _attributes(told: Attributes, language: Language) -> dict[str, _Entry]:
    ids: dict[str, tuple[str, ...]] = {}
    fields: dict[str, tuple[str, ...]] = {}
    for field in told.fields.values():
        for word in field.aspects[language]:
            fields[word.casefold()] = (*fields.get(word.casefold(), ()), field.name)
        for value in field.values.values():
            for word in value.said[language]:
                ids[word.casefold()] = (*ids.get(word.casefold(), ()), value.id)
    ids |= {word.casefold(): chosen for word, chosen in told.shared[language].items()}
    faults = {w.casefold(): a.id for a in told.by_id.values() for w in a.faults[language]}
    dimensions = {word.casefold(): ends for word, ends in told.dimensions[language].items()}
    return {
        word: _Entry(
            "value" if word in ids else "aspect", ids.get(word, ()), fields.get(word, ()), dimensions.get(word)
        )
        for word in {*ids, *fields, *dimensions}
    } | {word: _Entry("value", (one,), is_fault=True) for word, one in faults.items()}
