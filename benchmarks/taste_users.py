"""Simulated people with a hidden taste: what they like, what they say of pictures, and which of two they prefer.

Nobody real voted here. A person likes 3 to 6 attributes and dislikes 2 to 5, two thirds of them words of shots, one
third what pixels show, each with weight ½ or 1. u(x) = Σ weight · shown(x) is how much they like a picture; of two they
prefer the first with σ(k (u₁ - u₂)) (Bradley & Terry), k such that asked twice they answer alike in .93 of all pairs.
Comments are filled into sentences of `taste_wording.json`: some to build with, and held-out ones, by another hand than
most of the reader. Reader and sentences came in one change, so that nobody can check which was first; of the held-out
ones none stands among those to build with: what once stood in both was taken out or replaced later (35 names, 3
sentences that join two; 3 more whose words the reader had whole). One in five comments says nothing of the picture.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from personas.taste.attributes import Language, load_attributes
from personas.taste.seen import PIXELS

__all__ = ["Author", "Spoken", "User", "choose", "invent_users", "repeating_scale"]

Author = Literal["building", "held_out"]
Shown = Mapping[str, float]
_REPEATS, _OFF_TOPIC, _TWO = 0.93, 0.2, 0.5
_CLEAR, _ABSENT = 0.62, 0.38  # what somebody sees in a picture, and what they miss in it


@dataclass(frozen=True)
class Spoken:
    """A comment with what it means: "+field.value" or "-field.value"; nothing of the picture where `means` is empty."""

    text: str
    language: Language
    means: frozenset[str]


@dataclass(frozen=True)
class User:
    """`weights` by attribute in {-1, -½, ½, 1}."""

    number: int
    language: Language
    weights: Mapping[str, float]

    def utility(self, shown: Shown) -> float:
        """Return how much a picture is liked by what it shows."""
        return sum(weight * shown.get(one, 0.0) for one, weight in self.weights.items())

    def by_words(self) -> User:
        """Return somebody who likes the same words of shots, and to whom pixels say nothing."""
        return replace(self, weights={one: weight for one, weight in self.weights.items() if one not in PIXELS})

    @property
    def signs(self) -> frozenset[str]:
        """Return what is hidden: "+field.value" liked, "-field.value" disliked."""
        return frozenset(_signed(one, weight) for one, weight in self.weights.items())

    def speak(self, shown: Shown, said: set[str], rng: random.Random, author: Author) -> Spoken:
        """Return a comment on a picture; what was `said` before is said again only where nothing else is to say."""
        told: Mapping[str, Sequence[str]] = _wording()[author]["templates"][self.language]
        if rng.random() < _OFF_TOPIC:
            return Spoken(rng.choice(told["off"]), self.language, frozenset())
        seen = [one for one, weight in self.weights.items() if shown.get(one, 0.0) >= _CLEAR]
        missed = [one for one, weight in self.weights.items() if weight > 0 and shown.get(one, 1.0) <= _ABSENT]
        rng.shuffle(seen)
        rng.shuffle(missed)
        points = sorted([*seen, *missed], key=lambda one: one in said)
        if not points:
            return Spoken(rng.choice(told["off"]), self.language, frozenset())
        chosen = points[: 2 if rng.random() < _TWO else 1]
        said.update(chosen)
        if (pair := self._compared(chosen, author)) is not None:
            better, worse = pair
            text = rng.choice(told["over"]).format(a=self._name(better, author, rng), b=self._name(worse, author, rng))
        else:
            parts = [self._say(one, one in seen, author, rng) for one in chosen]
            text = parts[0] if len(parts) == 1 else rng.choice(told["both"]).format(x=parts[0], y=parts[1])
        return Spoken(text, self.language, frozenset(_signed(one, self.weights[one]) for one in chosen))

    def _compared(self, chosen: Sequence[str], author: Author) -> tuple[str, str] | None:
        if len(chosen) < 2 or len({one.partition(".")[0] for one in chosen}) > 1:
            return None
        liked, disliked = ([one for one in chosen if self.weights[one] * sign > 0] for sign in (1, -1))
        things = _wording()[author]["things"]
        both = bool(liked and disliked) and liked[0] in things and disliked[0] in things
        return (liked[0], disliked[0]) if both else None

    def _say(self, one: str, is_seen: bool, author: Author, rng: random.Random) -> str:
        weight = self.weights[one]
        if one in _wording()[author]["qualities"]:
            kind = "lacks" if not is_seen else "is" if weight > 0 else "too"
        elif not is_seen:
            kind = "wish"
        else:
            kind = ("" if abs(weight) == 1 else "mild_") + ("like" if weight > 0 else "dislike")
        sentence = rng.choice(_wording()[author]["templates"][self.language][kind])
        return str(sentence.format(a=self._name(one, author, rng)))

    def _name(self, one: str, author: Author, rng: random.Random) -> str:
        row = _wording()[author]["qualities"].get(one) or _wording()[author]["things"][one]
        return str(rng.choice(row[self.language]))


def invent_users(count: int, seed: int) -> tuple[User, ...]:
    """Return so many people, half of them speaking Chinese."""
    told = _wording()["building"]
    shots = [one for one in told["things"] if not one.startswith("palette.")]
    pixels = [one for one in (*told["qualities"], *told["things"]) if one not in shots]
    found = []
    for number in range(count):
        rng = random.Random(f"taste {seed} {number}")
        liked, disliked = rng.randint(3, 6), rng.randint(2, 5)
        weights: dict[str, float] = {}
        for n in range(liked + disliked):
            one = _draw(pixels if rng.random() < 1 / 3 else shots, weights, rng)
            weights[one] = (1 if n < liked else -1) * rng.choice((0.5, 1.0))
        language: Language = "zh" if number % 2 else "en"
        found.append(User(number, language, weights))
    return tuple(found)


def choose(user: User, first: Shown, second: Shown, scale: float, rng: random.Random) -> float:
    """Return 1 where the first picture is preferred, 0 where the second is, ½ where they are liked alike."""
    apart = user.utility(first) - user.utility(second)
    return 0.5 if abs(apart) < 1e-9 else float(rng.random() < expit(scale * apart))


def repeating_scale(users: Sequence[User], pictures: Sequence[Shown], seed: int) -> float:
    """Return k of σ(k (u₁ - u₂)) with which these people repeat themselves in .93 of pairs of these pictures."""
    rng = np.random.default_rng(seed)
    utilities = np.array([[user.utility(shown) for shown in pictures] for user in users])
    pairs = rng.integers(0, len(pictures), (2, 4000))
    apart = (utilities[:, pairs[0]] - utilities[:, pairs[1]])[:, pairs[0] != pairs[1]]

    def over(scale: float) -> float:
        chance = expit(scale * apart)
        return float((chance**2 + (1 - chance) ** 2).mean() - _REPEATS)

    return float(brentq(over, 0.01, 200.0))


def _draw(pool: Sequence[str], taken: Mapping[str, float], rng: random.Random) -> str:
    """Return an attribute that is neither taken nor the opposite of one that is."""
    known = load_attributes().by_id
    return rng.choice([one for one in pool if one not in taken and known[one].opposite not in taken])


def _signed(attribute: str, weight: float) -> str:
    return f"{'+' if weight > 0 else '-'}{attribute}"


@cache
def _wording() -> Any:
    return json.loads(Path(__file__).with_name("taste_wording.json").read_text(encoding="utf-8"))
