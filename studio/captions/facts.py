"""Facts that captions may tell: what each post shows, and what the merchant says of the goods; no others are known."""

from __future__ import annotations

import re
from dataclasses import dataclass

from personas.shots import Shot
from studio.domain.captions import CaptionsRequest
from studio.domain.platforms import Platform, find_platform
from studio.domain.posts import PostSet
from studio.texts.texts import Language, Texts

__all__ = [
    "PostFacts",
    "SetFacts",
    "Voice",
    "language_of",
    "post_facts",
    "read_facts",
    "read_voice",
    "sentence_spans",
    "split_sentences",
]

_SENTENCE = re.compile(r"[^。！？!?\n；;]+[。！？!?；;]?")
_FULL_STOP = re.compile(r"(?<=[a-zß-ÿ)\]\"'”’%0-9]\.)\s+(?=(?:[^\w\s]+\s*)?[A-ZÀ-Þ])")
_ENDS = "。！？!?；;."
_EMOJI = re.compile(r"emoji|表情|颜文字|smiley", re.IGNORECASE)
_NO_EMOJI = re.compile(r"(no|without|不用|不要|不加|没有|无)\s*(emoji|表情|颜文字|smiley)", re.IGNORECASE)
_LIVELY = re.compile(
    r"lively|playful|cheer|\bfun|young|cute|warm|活泼|俏皮|可爱|年轻|元气|热情|轻松|亲切", re.IGNORECASE
)
_FORMAL = re.compile(r"formal|serious|sober|professional|factual|calm|正式|专业|严肃|稳重|克制|客观", re.IGNORECASE)


@dataclass(frozen=True)
class Voice:
    """What the studio's own sentences can follow of a described voice."""

    style: str = "plain"
    emoji: bool = False


@dataclass(frozen=True)
class PostFacts:
    """What one post shows, in words of the captions' language; `place` and `goods` "" where there is none to name."""

    wear: str
    place: str
    goods: str
    framing: str
    light: str


@dataclass(frozen=True)
class SetFacts:
    """`product` are the sentences of the merchant's text, as they stand."""

    name: str
    posts: tuple[PostFacts, ...]
    product: tuple[str, ...]
    voice: Voice
    platform: Platform
    language: Language


def read_facts(request: CaptionsRequest) -> SetFacts:
    """Return what may be told of a set."""
    language = language_of(request)
    return SetFacts(
        name=request.post_set.request.persona.name,
        posts=_posts(Texts(language), request.post_set),
        product=split_sentences(request.product),
        voice=read_voice(request.voice),
        platform=find_platform(request.platform),
        language=language,
    )


def language_of(request: CaptionsRequest) -> Language:
    """Return what is written in: what was asked for, else the platform's language."""
    return request.language or find_platform(request.platform).language


def post_facts(t: Texts, shot: Shot, place: str, goods: str = "") -> PostFacts:
    """Return what a shot shows; `goods` are those of the set, and a shot's own kind of thing is named where it has
    one."""
    colour, wear = t.word(shot.worn_colour).removesuffix("色"), t.word(shot.outfit)
    wear = t("captions.wear", colour=colour, outfit=wear) if colour else wear
    held = "" if shot.goods == "nothing" else t.word(shot.goods)
    return PostFacts(wear, t.word(place), goods or held, shot.framing, shot.light)


def read_voice(described: str) -> Voice:
    """Return what of a voice, described in free words, the studio's own sentences can follow."""
    style = "formal" if _FORMAL.search(described) else "lively" if _LIVELY.search(described) else "plain"
    return Voice(style, bool(_EMOJI.search(described)) and not _NO_EMOJI.search(described))


def split_sentences(text: str) -> tuple[str, ...]:
    """Return the sentences of a text, each with its end; a full stop ends one where a capital letter follows."""
    return tuple(" ".join(text[first:last].split()) for first, last in sentence_spans(text))


def sentence_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Return where the sentences of a text stand, [first, last) letters of each."""
    found = []
    for part in _SENTENCE.finditer(text):
        stops = [(stop.start(), stop.end()) for stop in _FULL_STOP.finditer(text, part.start(), part.end())]
        firsts = [part.start(), *(end for _, end in stops)]
        for first, last in zip(firsts, [*(start for start, _ in stops), part.end()], strict=True):
            said = text[first:last]
            if said.strip(_ENDS + " \t"):
                found.append((first + len(said) - len(said.lstrip()), first + len(said.rstrip())))
    return tuple(found)


def _posts(t: Texts, post_set: PostSet) -> tuple[PostFacts, ...]:
    asked = post_set.request
    goods = "" if asked.goods is None or asked.goods.name == "a product" else asked.goods.name
    if t.language == "zh" and not re.search("[一-龥]", goods):
        goods = ""  # what prompts call it is English, and no word of a Chinese caption
    return tuple(post_facts(t, post.shot, asked.scene.name, goods) for post in post_set.posts)
