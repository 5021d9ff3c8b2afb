"""Captions by a language model: what it is told, and how its answer is held to what is seen and said."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipelines.errors import BadInput
from studio.captions.claims import drop_claims, unsupported_claims
from studio.captions.endpoint import Answer, Message, Suggestion, parse_suggestion
from studio.captions.facts import SetFacts
from studio.captions.templates import Written, cut, fit_tags, shorten, untaken, write_set
from studio.domain.platforms import tag_text, text_length
from studio.domain.values import MOST_CAPTION

__all__ = ["Checked", "ask_for_set"]

_LANGUAGES = {"zh": "Simplified Chinese", "en": "English"}
_TRIES = 3
_UNITS = {
    "characters": "characters", "utf16": "UTF-16 units", "half_ascii": "characters, two of ASCII counting as one"
}  # fmt: skip
Ask = Callable[[Sequence[Message]], Answer]


@dataclass(frozen=True)
class Checked:
    """What was written, and the sentences that were left out: they claimed what the product's text does not say."""

    written: Written
    left_out: tuple[str, ...]


def ask_for_set(facts: SetFacts, product: str, voice: str, seed: int, ask: Ask) -> Checked:
    """Return what the model writes of a set. Where it answers with something else it is told so and asked again; what
    is too long is cut, what claims too much is left out, and the studio's own sentences stand where nothing is left.

    Raises BadInput `endpoint_answers_otherwise` where it never answers with the JSON that it was asked for, and what
    `ask` raises.
    """
    messages = _question(facts, product, voice)
    kept: Suggestion | None = None
    for _ in range(_TRIES):
        text = ask(messages).text
        try:
            kept = parse_suggestion(text, len(facts.posts))
            wrong = _faults(facts, product, kept)
        except ValueError as error:
            wrong = [f"Your answer cannot be used: {error}."]
        if not wrong:
            break
        again = " ".join(wrong) + " Answer again, with the whole JSON object and nothing else."
        messages = [*messages, {"role": "assistant", "content": text[:8000]}, {"role": "user", "content": again}]
    if kept is None:
        raise BadInput("endpoint_answers_otherwise")
    return _mend(facts, product, kept, seed)


def _question(facts: SetFacts, product: str, voice: str) -> list[Message]:
    platform = facts.platform
    limits = []
    if platform.max_title:
        limits.append(f"title: at most {platform.max_title} {_UNITS[platform.title_unit]}")
    if platform.max_body:
        limits.append(f"body and tags together: at most {platform.max_body} {_UNITS[platform.body_unit]}")
    limits.append(f"each caption: at most {MOST_CAPTION} characters, all of them different")
    limits.append(f"tags: at most {platform.max_tags or 5}, without #")
    shown = [
        {"outfit": p.wear, "place": p.place, "goods": p.goods, "framing": p.framing, "light": p.light}
        for p in facts.posts
    ]
    system = (
        "You write captions for a shop's picture posts. The pictures are made by AI and labelled so. Answer with one "
        'JSON object and nothing else: {"title": str, "body": str, "tags": [str], "captions": [str]}, one caption a '
        "picture, in their order. Say only what the pictures show, and of the goods only what the product text says: "
        "no material, effect, number, price, offer or superlative that does not stand there. Write in "
        f"{_LANGUAGES[facts.language]}."
    )
    told = {
        "platform": platform.name_en, "limits": limits, "person": facts.name, "pictures": shown,
        "product text": product, "voice": voice or "plain and friendly",
    }  # fmt: skip
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": json.dumps(told, ensure_ascii=False)},
    ]


def _faults(facts: SetFacts, product: str, said: Suggestion) -> list[str]:
    """What the model is told of an answer whose form is right, a sentence each."""
    platform, wrong = facts.platform, []
    if 0 < platform.max_title < text_length(said.title, platform.title_unit):
        wrong.append(f"The title is longer than {platform.max_title} {_UNITS[platform.title_unit]}.")
    whole = f"{said.body}\n{tag_text(said.tags)}".strip()
    if 0 < platform.max_body < text_length(whole, platform.body_unit):
        wrong.append(f"Body and tags are longer than {platform.max_body} {_UNITS[platform.body_unit]}.")
    claims = [c for text in (said.title, said.body, *said.captions) for c in _claims(facts, product, text)]
    if claims:
        wrong.append(f"The product text does not say: {', '.join(dict.fromkeys(claims))}.")
    if len(set(said.captions)) < len(said.captions):
        wrong.append("Some captions are the same.")
    return wrong


def _claims(facts: SetFacts, product: str, text: str) -> tuple[str, ...]:
    return unsupported_claims(text, product, _seen(facts))


def _seen(facts: SetFacts) -> list[str]:
    words = [str(len(facts.posts)), facts.name]
    return words + [word for p in facts.posts for word in (p.wear, p.place, p.goods)]


def _mend(facts: SetFacts, product: str, said: Suggestion, seed: int) -> Checked:
    """The answer within all limits and without claims."""
    own, platform, left_out = write_set(facts, seed), facts.platform, list[str]()

    def honest(text: str) -> str:
        kept, dropped = drop_claims(text, product, _seen(facts))
        left_out.extend(dropped)
        return kept

    tags = fit_tags([tag for tag in said.tags if not _claims(facts, product, tag)], platform) or own.tags
    title = shorten(honest(" ".join(said.title.split())), platform.max_title, platform, "title")
    room = max(1, platform.max_body - text_length(tag_text(tags), platform.body_unit) - 1)
    body = shorten(honest(said.body), room, platform, "body") if platform.max_body else ""
    captions: list[str] = []
    for text, instead in zip(said.captions, own.captions, strict=True):
        kept = cut(honest(" ".join(text.split())), lambda said: len(said) <= MOST_CAPTION)
        captions.append(untaken(instead, captions) if not kept or kept in captions else kept)
    written = replace(
        own,
        title=(title or own.title) if platform.max_title else "",
        body=body or own.body,
        tags=tags,
        captions=tuple(captions),
    )
    return Checked(written, tuple(dict.fromkeys(left_out)))
