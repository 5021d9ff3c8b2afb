"""The studio's own sentences: varied, in both languages, of what is seen and of the merchant's own words, no more.

sentences.json holds them by language and style. A caption is a first sentence about the outfit, then something that is
seen beside it, or a sentence of the product's text as it stands. In a set no two are the same: where the sentences do
not last, they are numbered.
"""

from __future__ import annotations

import json
import random
import re
from bisect import bisect_left
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from studio.captions.claims import claim_spans
from studio.captions.facts import PostFacts, SetFacts, Voice
from studio.domain.bundle import MOST_BODY, MOST_TITLE
from studio.domain.platforms import Platform, tag_text, text_length
from studio.domain.values import MOST_CAPTION
from studio.texts.texts import Language

__all__ = ["Written", "cut", "fit_tags", "plain_posts", "shorten", "untaken", "write_posts", "write_set"]

_FILE = Path(__file__).with_name("sentences.json")
_EMOJI = ("✨", "🌿", "💫", "🍃", "🎈", "👀", "🌟", "🤍")
_NOT_IN_TAGS = str.maketrans("", "", "#-–'’.,&/")  # a platform's tag ends before these
_USUAL_TAGS = 5  # where a platform's own number is not known
_TRIES = 60
_LOOSE = " ,，、;；:：-·"
_MARK = re.compile(r"[。！？；，!?;\n]|,(?!\d)|\.(?=\s)")
Sentences = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Written:
    """What goes with all pictures of a set, and a caption for each."""

    title: str
    body: str
    tags: tuple[str, ...]
    captions: tuple[str, ...]


def write_set(facts: SetFacts, seed: int) -> Written:
    """Return title, text, tags and captions within the platform's limits. Same facts and seed, same words."""
    rows, platform = _sentences(facts.language, facts.voice.style), facts.platform
    tags = fit_tags(_tags(facts), platform)
    title = _title(facts, rows) if platform.max_title else ""
    return Written(title, _body(facts, rows, tags, seed), tags, write_posts(facts, seed))


def write_posts(facts: SetFacts, seed: int) -> tuple[str, ...]:
    """Return a caption for each post, no two of them the same."""
    rng, taken, used = random.Random(seed), set[str](), dict[str, int]()
    rows = _sentences(facts.language, facts.voice.style)
    found = []
    for number, post in enumerate(facts.posts):
        options = list(_options(facts, rows, post, number, rng))
        if all(text in taken for _, text in options):  # the product's sentences are few
            options = list(_options(replace(facts, product=()), rows, post, number, rng))
        # a beginning that was used least, so that nine posts do not begin alike
        best = min(options, key=lambda option: (option[1] in taken, used.get(option[0], 0)))
        used[best[0]] = used.get(best[0], 0) + 1
        found.append(untaken(best[1], taken))
        taken.add(found[-1])
    return tuple(found)


def untaken(text: str, taken: Container[str]) -> str:
    """Return the text, or, where it is taken, with the first number from 2 with which it is not."""
    room = cut(text, lambda kept: len(kept) <= MOST_CAPTION - len(" (999)"))
    numbered = (f"{room} ({n})" for n in range(2, 1000))
    return text if text not in taken else next(one for one in numbered if one not in taken)


def fit_tags(tags: Sequence[str], platform: Platform) -> tuple[str, ...]:
    """Return as many tags as a platform takes; none where it takes no text."""
    if not platform.max_body:
        return ()
    plain = ["".join(tag.split()).translate(_NOT_IN_TAGS) for tag in tags]
    return tuple(dict.fromkeys(tag for tag in plain if tag))[: platform.max_tags or _USUAL_TAGS]


def shorten(text: str, most: int, platform: Platform, field: str) -> str:
    """Return the text, cut behind a word or a mark where it is longer than `most` in the platform's unit (0: any)."""
    unit = platform.title_unit if field == "title" else platform.body_unit
    limit = MOST_TITLE if field == "title" else MOST_BODY
    return cut(text, lambda kept: len(kept) <= limit and (not most or text_length(kept, unit) <= most))


def cut(text: str, fits: Callable[[str], bool]) -> str:
    """Return the text where it `fits`, else as much of it as does: up to a mark in its second half, else to a word.

    A claim stays whole or is left out: of 1299元 nobody shall read 12, nor 防水 of 防水性不好.
    """
    whole = text.strip()
    if fits(whole):
        return whole
    kept = whole[: bisect_left(range(1, len(whole) + 1), True, key=lambda n: not fits(whole[:n]))]
    marks = [mark.end() for mark in _MARK.finditer(whole) if len(kept) / 2 < mark.end() <= len(kept)]
    if marks:
        return kept[: marks[-1]].rstrip(_LOOSE)
    if " " in kept and whole[len(kept) : len(kept) + 1].strip():
        kept = kept.rsplit(" ", 1)[0]
    within = (first for first, last in claim_spans(whole) if first < len(kept) < last)
    return kept[: next(within, len(kept))].rstrip(_LOOSE)


def _options(
    facts: SetFacts, rows: Sentences, post: PostFacts, number: int, rng: random.Random
) -> Iterator[tuple[str, str]]:
    """Yield (first sentence's pattern, caption), in an order by chance."""
    beginnings = list(rows["look" if post.place else "bare"])
    beside = [*rows[post.framing], *rows[post.light]] if post.framing in rows and post.light in rows else [""]
    if post.goods:
        beside += list(rows["goods"]) * 2  # what is sold is worth more than the light
    for _ in range(_TRIES):
        first, second = rng.choice(beginnings), rng.choice(beside)
        parts = [_say(first, post, facts.language), _say(second, post, facts.language)]
        if facts.product and number % 2 == 0:  # every other post says something of what is sold, in turn
            parts[1] = facts.product[number // 2 % len(facts.product)]
        text = _join(parts, facts.language)
        if len(text) > MOST_CAPTION - 2:
            text = parts[0]
        yield first, _decorate(text, facts.voice, rng)


def _say(pattern: str, post: PostFacts, language: Language) -> str:
    said = pattern.format(wear=post.wear, place=post.place, goods=post.goods)
    return said[:1].upper() + said[1:] if language == "en" else said


def _join(parts: Sequence[str], language: Language) -> str:
    return (" " if language == "en" else "").join(part for part in parts if part)


def _decorate(text: str, voice: Voice, rng: random.Random) -> str:
    return f"{text} {rng.choice(_EMOJI)}" if voice.emoji else text


def _title(facts: SetFacts, rows: Sentences) -> str:
    """What the product's text begins with where that fits, else what is seen."""
    platform, first = facts.platform, facts.posts[0]
    named = [sentence.rstrip("。！？!?；;.") for sentence in facts.product[:1]]
    named += [clause for sentence in named for clause in re.split(r"，|,(?!\d)", sentence)[:1]]
    seen = [
        _say(pattern, first, facts.language) for pattern in rows["title"] if first.place or "{place}" not in pattern
    ]
    fitting = [t for t in (*named, *seen) if text_length(t, platform.title_unit) <= platform.max_title]
    return fitting[0] if fitting else shorten(seen[-1], platform.max_title, platform, "title")


def _body(facts: SetFacts, rows: Sentences, tags: Sequence[str], seed: int) -> str:
    """A line about the pictures, and of the product's text as many whole sentences as there is room for."""
    platform = facts.platform
    if not platform.max_body:
        return ""
    places = {post.place for post in facts.posts} - {""}
    lines = list(facts.product)
    if len(places) == 1:
        intro = random.Random(seed).choice(list(rows["intro"]))
        lines.insert(0, intro.format(count=len(facts.posts), place=places.pop()))
    room, text = platform.max_body, ""
    for line in lines:
        longer = f"{text}\n{line}".strip()
        whole = "\n".join(part for part in (longer, tag_text(tags)) if part)
        if text_length(whole, platform.body_unit) > room or len(longer) > MOST_BODY:
            break
        text = longer
    return text[:1].upper() + text[1:]


def _tags(facts: SetFacts) -> list[str]:
    """What is seen most, goods first."""
    posts = facts.posts
    goods, places = [p.goods for p in posts if p.goods], [p.place for p in posts if p.place]
    outfits = sorted({p.wear for p in posts}, key=lambda wear: -sum(p.wear == wear for p in posts))
    usual = ["穿搭", "今日穿搭"] if facts.language == "zh" else ["outfit", "ootd"]
    return [*dict.fromkeys((*goods[:1], usual[0], *places[:1], *outfits[:3], *goods[1:], usual[1], *outfits[3:]))]


def plain_posts(post: PostFacts, language: Language) -> tuple[str, ...]:
    """Return captions of one post that is not drawn yet: what it shows, in the plain style, always the same ones in
    the same order. One after the other they begin differently, so that set after set can take the next.
    """
    rows, rng = _sentences(language, "plain"), random.Random(repr(post))
    firsts = list(rows["look" if post.place else "bare"])
    seconds = list(rows["goods"] if post.goods else rows.get(post.framing, ("",)))
    rng.shuffle(firsts)
    rng.shuffle(seconds)
    pairs = [(one, seconds[(i + turn) % len(seconds)]) for turn in range(len(seconds)) for i, one in enumerate(firsts)]
    return tuple(_join([_say(one, post, language), _say(two, post, language)], language) for one, two in pairs)


@cache
def _sentences(language: Language, style: str) -> Sentences:
    table: Mapping[str, Mapping[str, Sentences]] = json.loads(_FILE.read_text(encoding="utf-8"))
    return table[language][style]
