"""What somebody says in own words, as the drawing model reads it best, and which of it the model may not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from personas.shots import Shot, with_article
from pipelines.families.vocabulary import Vocabulary
from studio.domain.values import Value
from studio.texts.english import in_english, is_thing_unknown, says_chinese
from studio.texts.texts import Texts

__all__ = ["PLAIN_GOODS", "Doubt", "doubts", "say_doubts", "tell_goods", "tell_shot"]

PLAIN_GOODS = "a product"


class Doubt(Value):
    """`words` that the model may not know, as somebody wrote them: in a `field` of the shot of this `row`, from 1; of
    row 0 in the name of the goods.
    """

    row: int
    field: str
    words: str


def tell_shot(shot: Shot, vocabulary: Vocabulary | None) -> Shot:
    """Return a shot whose own words are those that a prompt says; the words of the lists stay as they are."""
    told = {
        field: "" if field in ("outfit", "goods") and is_thing_unknown(said) else _tell(said, vocabulary)
        for field, said in shot.free.items()
    }
    return replace(shot, **{field: words or shot.free[field] for field, words in told.items()})


def tell_goods(name: str, vocabulary: Vocabulary | None) -> str:
    """Return what a prompt calls goods: their own name, in English where the model reads no Chinese."""
    if not says_chinese(name) or (vocabulary is not None and not vocabulary.unknown(name)):
        return name
    told = "" if is_thing_unknown(name) else _tell(name, vocabulary)
    return with_article(told) if told else PLAIN_GOODS


def doubts(shots: Sequence[Shot], goods: str, vocabulary: Vocabulary | None) -> tuple[Doubt, ...]:
    """Return what the model may not know of shots and of the name of goods ("": none); () where that cannot be told.

    The words of the lists are left out: every model is expected to know them, and its posts are measured on them.
    """
    if vocabulary is None:
        return ()
    said = [(row, field, words) for row, shot in enumerate(shots, 1) for field, words in shot.free.items()]
    if goods and goods != PLAIN_GOODS:
        said.append((0, "goods", goods))
    return tuple(
        Doubt(row=row, field=field, words=words) for row, field, words in said if _is_doubtful(words, vocabulary)
    )


def say_doubts(found: Sequence[Doubt], texts: Texts) -> str:
    """Return in a sentence what the model may not know, and where it is said; "" for nothing."""
    if not found:
        return ""
    places = [
        texts("doubt.cell", row=one.row, column=texts(f"column.{one.field}"), words=one.words)
        if one.row
        else texts("doubt.goods", words=one.words)
        for one in found
    ]
    return texts("doubt.shots", words=("; " if texts.language == "en" else "；").join(places))


def _is_doubtful(words: str, vocabulary: Vocabulary) -> bool:
    if not vocabulary.unknown(words):
        return False
    told, left_out = in_english(words)
    return bool(left_out) or not told or bool(vocabulary.unknown(_as_lists_say(told, vocabulary)))


def _tell(words: str, vocabulary: Vocabulary | None) -> str:
    """Return words as the model reads them best; "" for Chinese of which nothing can be said in English."""
    if vocabulary is not None and not vocabulary.unknown(words):
        return words
    if not says_chinese(words):
        return words if vocabulary is None else _as_lists_say(words, vocabulary)
    told, left_out = in_english(words)
    return words if vocabulary is None and left_out else told


def _as_lists_say(words: str, vocabulary: Vocabulary) -> str:
    """Return words in small letters where that is how the model knows more of them."""
    small = words.casefold()
    return small if len(vocabulary.unknown(small)) < len(vocabulary.unknown(words)) else words
