"""Shots: what one picture of a person should show: in words that every backbone understands, or in somebody's own.

A shot says everything about a picture except who is in it and in which very place it was taken: the person comes
from a LoRA, the place from a scene reference.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipelines.errors import BadInput

FRAMINGS = ("close-up", "half-body", "full-body")
VIEWS = ("front", "left", "right")
EXPRESSIONS = ("neutral", "smiling", "laughing", "serious")
LIGHTS = ("day", "dusk", "night")
OUTFITS = ("t-shirt", "hoodie", "dress", "suit", "coat")
OUTFIT_COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black", "brown")
POSES = ("relaxed", "waving", "hand on hip")
GOODS = ("nothing", "bottle", "cup", "book", "bag")
_BLOCK = 24
_ATTEMPTS = 8  # at a set without a shot of the sets before it
SETTINGS = ("studio", "cafe", "street", "beach", "park", "bedroom", "kitchen", "shop", "office", "gym")
FREE = ("expression", "outfit", "outfit_colour", "pose", "goods")
MOST_LETTERS = 80  # of what is said in own words

_FRAMING_WORDS = {
    "close-up": "close-up portrait",
    "half-body": "half-body shot",
    "full-body": "full-body shot",
}
_VIEW_WORDS = {"front": "facing the camera", "left": "turned to the left", "right": "turned to the right"}
_EXPRESSION_WORDS = {
    "neutral": "calm face",
    "smiling": "smiling",
    "laughing": "laughing with open mouth",
    "serious": "serious frown",
}
_LIGHT_WORDS = {"day": "in daylight", "dusk": "at dusk", "night": "at night"}
_POSE_WORDS = {"relaxed": "arms relaxed", "waving": "waving a hand", "hand on hip": "one hand on the hip"}
_GOODS_WORDS = {
    "bottle": "holding a bottle",
    "cup": "holding a cup",
    "book": "holding a book",
    "bag": "carrying a bag",
}
_SETTING_WORDS = {
    "studio": "in a photo studio",
    "cafe": "in a cafe",
    "street": "on a street",
    "beach": "on a beach",
    "park": "in a park",
    "bedroom": "in a bedroom",
    "kitchen": "in a kitchen",
    "shop": "in a shop",
    "office": "in an office",
    "gym": "in a gym",
}


@dataclass(frozen=True)
class Shot:
    """One picture to take; every field is a word of the tuple of the same name above.

    The fields of FREE may say anything else instead, in at most MOST_LETTERS printable letters: a garment, a thing, an
    action that no list has. Whether a backbone knows it is another question (`pipelines.families.vocabulary`). Such a
    garment that names a colour itself is worn without `outfit_colour`. Raises BadInput.
    """

    framing: str = "half-body"
    view: str = "front"
    expression: str = "neutral"
    light: str = "day"
    outfit: str = "t-shirt"
    outfit_colour: str = "white"
    pose: str = "relaxed"
    setting: str = "studio"
    goods: str = "nothing"

    def __post_init__(self) -> None:
        for name, words in WORDS.items():
            said = getattr(self, name)
            if said in words:
                continue
            if name not in FREE:
                raise BadInput(
                    "shot_word_unknown", field=name.replace("_", " "), said=str(said)[:60], known=list(words)
                )
            object.__setattr__(self, name, _own_words(name, said))

    def prompt(self, subject: str, trigger: str = "", *, with_setting: bool = True) -> str:
        """The English prompt, e.g. "close-up portrait of a young woman, facing the camera, …".

        `subject` comes from the look category; `trigger` is a LoRA's trigger word and may be empty. Without the
        setting's words the place is left to a reference picture.
        """
        who = f"{trigger} {subject}".strip()
        return ", ".join(
            (
                f"{_FRAMING_WORDS[self.framing]} of {who}",
                _VIEW_WORDS[self.view],
                _EXPRESSION_WORDS.get(self.expression, self.expression),
                f"wearing {self._worn}",
                _POSE_WORDS.get(self.pose, self.pose),
                *(() if self.goods == "nothing" else (_GOODS_WORDS.get(self.goods) or _held(self.goods),)),
                *((_SETTING_WORDS[self.setting],) if with_setting else ()),
                _LIGHT_WORDS[self.light],
            )
        )

    @property
    def free(self) -> dict[str, str]:
        """Return by field what is said in own words."""
        return {name: getattr(self, name) for name in FREE if getattr(self, name) not in WORDS[name]}

    @property
    def worn_colour(self) -> str:
        """Return `outfit_colour`, "" where the outfit is said in own words that name a colour themselves."""
        said = self.outfit.casefold()
        if said in OUTFITS:
            return self.outfit_colour
        named = any(f" {colour.casefold()} " in f" {said} " for colour in (*OUTFIT_COLOURS, self.outfit_colour))
        return "" if named or any(letter in said for letter in _COLOUR_LETTERS) else self.outfit_colour

    @property
    def _worn(self) -> str:
        return with_article(f"{self.worn_colour} {self.outfit}".strip())


WORDS: dict[str, tuple[str, ...]] = {
    "framing": FRAMINGS,
    "view": VIEWS,
    "expression": EXPRESSIONS,
    "light": LIGHTS,
    "outfit": OUTFITS,
    "outfit_colour": OUTFIT_COLOURS,
    "pose": POSES,
    "setting": SETTINGS,
    "goods": GOODS,
}
_PHRASES: dict[str, Mapping[str, str]] = {
    "framing": _FRAMING_WORDS, "view": _VIEW_WORDS, "expression": _EXPRESSION_WORDS, "light": _LIGHT_WORDS,
    "pose": _POSE_WORDS, "setting": _SETTING_WORDS, "goods": _GOODS_WORDS,
}  # fmt: skip
_COLOUR_LETTERS = "红橙黄绿蓝青紫粉白黑棕灰米金银"
_DETERMINED = ("a", "an", "her", "his", "no", "one", "some", "the", "their", "two")


def _own_words(field: str, said: object) -> str:
    """Return what somebody said in own words, its spaces tidied; the list's word where it differs in case alone."""
    told = " ".join(said.split()) if isinstance(said, str) else ""
    if told.casefold() in WORDS[field]:
        return told.casefold()
    if not (told.isprintable() and 0 < len(told) <= MOST_LETTERS and any(letter.isalpha() for letter in told)):
        raise BadInput("shot_text_invalid", field=field.replace("_", " "), said=str(said)[:60], most=MOST_LETTERS)
    return told


def say_word(field: str, word: str) -> str:
    """Return how a prompt says a field's word, such as "in a cafe"; "" for a word that the field does not have."""
    return _PHRASES[field].get(word, "")


def with_article(thing: str) -> str:
    """Return a thing with an article, unless it has one, is more than one, or is not said in English."""
    several = thing.endswith("s") and not thing.endswith("ss")
    return thing if thing.casefold().split()[0] in _DETERMINED or several or not thing.isascii() else f"a {thing}"


def _held(thing: str) -> str:
    """Return words for a thing in somebody's hand; what says itself how it is held is left as it is."""
    return thing if thing.casefold().split()[0].endswith("ing") else f"holding {with_article(thing)}"


def vary_shots(
    count: int,
    seed: int,
    *,
    framings: Sequence[str] = FRAMINGS,
    settings: Sequence[str] = SETTINGS,
    lights: Sequence[str] = LIGHTS,
    goods: Sequence[str] = ("nothing",),
    again: int = 0,
) -> tuple[Shot, ...]:
    """Return `count` shots in which every word of every field occurs about equally often; same seed, same shots.

    Each field is a shuffled repetition of its words, so that a small set already holds every view and expression
    (independent draws would leave holes, and a LoRA trained on the set would learn the holes). `again` ≥ 0 is the
    number of another set of the same kind: it repeats no shot of those of its block of 24 before it, as long as there
    are enough words. Blocks do not look at each other, so the thousandth set takes no longer than the tenth.
    """
    choices = {
        **WORDS,
        "framing": tuple(framings),
        "setting": tuple(settings),
        "light": tuple(lights),
        "goods": tuple(goods),
    }
    shots, seen = tuple[Shot, ...](), set[Shot]()
    for number in range(again - again % _BLOCK, again + 1):
        for attempt in range(_ATTEMPTS):
            shots = _vary(count, random.Random(f"{seed} {number} {attempt}" if number else seed), choices)
            if seen.isdisjoint(shots):
                break
        seen.update(shots)
    return shots


def _vary(count: int, rng: random.Random, choices: Mapping[str, Sequence[str]]) -> tuple[Shot, ...]:
    columns: dict[str, list[str]] = {}
    for name, words in choices.items():
        column: list[str] = []
        while len(column) < count:
            block = list(words)
            rng.shuffle(block)
            column += block
        columns[name] = column[:count]
    return tuple(replace(Shot(), **{name: column[i] for name, column in columns.items()}) for i in range(count))
