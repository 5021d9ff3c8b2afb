"""Shots: what one picture of a person should show, in words that every backbone understands.

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
_ATTEMPTS = 8  # at a set without a shot of the sets before it
SETTINGS = ("studio", "cafe", "street", "beach", "park", "bedroom", "kitchen", "shop", "office", "gym")

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
    """One picture to take; every field is a word of the tuple of the same name above. Raises BadInput for others."""

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
        for name, words in _FIELDS.items():
            if getattr(self, name) not in words:
                said = str(getattr(self, name))[:60]
                raise BadInput("shot_word_unknown", field=name.replace("_", " "), said=said, known=list(words))

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
                _EXPRESSION_WORDS[self.expression],
                f"wearing a {self.outfit_colour} {self.outfit}",
                _POSE_WORDS[self.pose],
                *((_GOODS_WORDS[self.goods],) if self.goods in _GOODS_WORDS else ()),
                *((_SETTING_WORDS[self.setting],) if with_setting else ()),
                _LIGHT_WORDS[self.light],
            )
        )


_FIELDS: dict[str, tuple[str, ...]] = {
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
    number of another set of the same kind: it repeats no shot of those before it, as long as there are enough words.
    """
    choices = {
        **_FIELDS,
        "framing": tuple(framings),
        "setting": tuple(settings),
        "light": tuple(lights),
        "goods": tuple(goods),
    }
    shots, seen = _vary(count, random.Random(seed), choices), set[Shot]()
    for number in range(1, again + 1):
        seen.update(shots)
        for attempt in range(_ATTEMPTS):
            shots = _vary(count, random.Random(f"{seed} {number} {attempt}"), choices)
            if seen.isdisjoint(shots):
                break
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
