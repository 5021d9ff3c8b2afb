"""Facts that captions may tell: what each post shows, and what the merchant says of the goods; no others are known."""

from __future__ import annotations

import re
from dataclasses import dataclass

from personas.shots import Shot
from studio.domain.captions import CaptionsRequest
from studio.domain.platforms import Platform, find_platform
from studio.domain.posts import PostSet
from studio.texts.english import in_english, says_chinese
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
_LIVELY = re.compile(
    r"\b(?:lively|playful|cheer\w*|fun|funny|young|youthful|cute|warm)\b|活泼|俏皮|可爱|年轻|元气|热情|轻松|亲切",
    re.IGNORECASE | re.ASCII,
)
_FORMAL = re.compile(
    r"\b(?:formal|serious|sober|professional|factual|calm)|正式|专业|严肃|稳重|克制|客观", re.IGNORECASE | re.ASCII
)
_NOT = re.compile(
    r"(?:不|别|没|无|勿|少|避免|拒绝)[要用加带太那么很有再过于是]*$"
    r"|(?:\b(?:no|not|never|without|avoid|few|fewer|less|zero|skip)\b|n['’]t)(?:\s+[\w-]+){0,4}\s*$",
    re.IGNORECASE | re.ASCII,
)
_CLAUSE = re.compile(r"[，,。.;；、!！?？\n]|\bbut\b|但|而", re.IGNORECASE | re.ASCII)


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
    colour, wear = _say(t, shot.worn_colour).removesuffix("色"), _say(t, shot.outfit)
    wear = t("captions.wear", colour=colour, outfit=wear) if colour else wear
    held = "" if shot.goods == "nothing" else _say(t, shot.goods)
    return PostFacts(wear, t.word(place), goods or held, shot.framing, shot.light)


def read_voice(described: str) -> Voice:
    """Return what of a voice, described in free words, the studio's own sentences can follow."""
    style = "formal" if _wants(_FORMAL, described) else "lively" if _wants(_LIVELY, described) else "plain"
    return Voice(style, _wants(_EMOJI, described))


def _wants(words: re.Pattern[str], described: str) -> bool:
    """Whether a description has one of the words, and nothing before it in its clause denies it."""
    return any(
        _NOT.search(_CLAUSE.split(described[: match.start()])[-1]) is None for match in words.finditer(described)
    )


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


def _say(t: Texts, word: str) -> str:
    """Return a word of a shot in the captions' language, own words in it too where every one of them is known."""
    told, left_out = in_english(word)
    return told if t.language == "en" and says_chinese(word) and not left_out else t.word(word)


def _posts(t: Texts, post_set: PostSet) -> tuple[PostFacts, ...]:
    asked = post_set.request
    goods = "" if asked.goods is None or asked.goods.name == "a product" else asked.goods.name
    if t.language == "zh" and not re.search("[一-龥]", goods):
        goods = ""  # what prompts call it is English, and no word of a Chinese caption
    if t.language == "en" and says_chinese(goods):
        goods = "" if in_english(goods)[1] else in_english(goods)[0]
    return tuple(post_facts(t, post.shot, asked.scene.name, goods) for post in post_set.posts)
