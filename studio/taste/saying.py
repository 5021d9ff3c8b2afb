"""Tastes in words: attributes, questions with their chips, and why a shot is as it is, in the reader's language."""

from __future__ import annotations

from collections.abc import Iterable

from personas.taste.attributes import load_attributes
from personas.taste.reading import Question
from studio.domain.guidance import GuidedChoice
from studio.domain.taste import TasteItem
from studio.texts.texts import Texts

__all__ = ["say_attribute", "say_choice", "say_item", "say_question"]


def say_attribute(texts: Texts, attribute: str) -> str:
    """Return an attribute's name, or a field's; what is none as it stands."""
    told = load_attributes()
    if attribute in told.by_id:
        return told.by_id[attribute].names[texts.language]
    return told.fields[attribute].names[texts.language] if attribute in told.fields else attribute


def say_question(texts: Texts, question: Question) -> str:
    """Return the question in a sentence; its chips are said one by one."""
    field = say_attribute(texts, question.field) if question.field else ""
    chips = _join(texts, (say_attribute(texts, chip) for chip in question.chips))
    return texts(f"taste.ask.{question.why}", field=field, chips=chips)


def say_item(texts: Texts, item: TasteItem) -> str:
    """Return how an attribute is liked, e.g. "likes smiling (0.75)"."""
    key = "taste.likes" if item.weight > 0 else "taste.dislikes" if item.weight < 0 else "taste.neither"
    field = say_attribute(texts, item.attribute.partition(".")[0])
    line = texts(key, field=field, value=say_attribute(texts, item.attribute), weight=f"{abs(item.weight):.2g}")
    notes = [texts("taste.by_hand")] if item.source == "hand" else []
    notes += [texts("taste.muted")] if item.muted else []
    notes += [texts("taste.conflicts")] if item.conflicts else []
    return " · ".join((line, *notes))


def say_choice(texts: Texts, choice: GuidedChoice) -> str:
    """Return why a field is as it is."""
    spoke = _join(texts, (_say_reason(texts, one, choice) for one in choice.attributes))
    where = texts("taste.all_shots") if choice.number < 0 else texts("taste.shot", number=choice.number + 1)
    field = say_attribute(texts, choice.field)
    own = (one for one in choice.attributes if _words_of(one) == choice.word)  # no list of shots has a name for these
    named = next(own, None)
    word = texts.word(choice.word) if named is None else say_attribute(texts, named)
    return texts("taste.why", where=where, field=field, word=word, spoke=spoke)


def _say_reason(texts: Texts, attribute: str, choice: GuidedChoice) -> str:
    """Return an attribute that spoke: of the same field it is what the word shows, or what is avoided by it."""
    name, known = say_attribute(texts, attribute), load_attributes().by_id.get(attribute)
    if known is None or known.field != choice.field or choice.word in (*known.shot, known.words) or choice.number < 0:
        return name
    return texts("taste.avoids", what=name)


def _words_of(attribute: str) -> str:
    known = load_attributes().by_id.get(attribute)
    return "" if known is None or known.shot else known.words


def _join(texts: Texts, words: Iterable[str]) -> str:
    return ("、" if texts.language == "zh" else ", ").join(words)
