"""Guidance: open fields of shots are drawn from what somebody likes; what was said stays, letter for letter. Pure.

For each shot and each of its open fields of which the taste knows something, a word is sampled with

    p(word) ∝ exp(weight(word) / τ),  τ = 0.12 · 12^adventurous

over the field's words, disliked ones left out: a set stays varied, and the more so, the more adventurous. The chance of
a field comes from the seed, the shot's number and the field's name, so that nothing else moves it.

What no word says is reached by words that lean that way: a bright picture by daylight, a green one by a park
(`leans.json`: how much of the attribute a word adds to a picture, as `benchmarks.taste_leans` measures it on 480
renders). A lean weighs `_LEANING` times what it adds, and leaves nothing out.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from personas.shots import FREE, WORDS, Shot
from personas.taste.attributes import Attribute, load_attributes

__all__ = ["LEANS_FILE", "OPEN_FIELDS", "Choice", "Guided", "guide_shots", "temperature"]

OPEN_FIELDS = tuple(load_attributes().fields)
MOST_WORDS = 3  # behind a prompt
_SAFE, _RANGE = 0.12, 12.0
_LEANING = 2.0
LEANS_FILE = Path(__file__).with_name("leans.json")
_MOST_DETAIL = 0.5  # of a fully liked sharpness; `pipelines.sampling.detail` calls 0.1 to 1 usual
_BEHIND = ("light", "tone", "palette", "composition", "finish", "mood")  # fields whose words go behind a prompt
Knows = Callable[[str], bool]


@dataclass(frozen=True)
class Choice:
    """Why a field of the shot `number` (from 0; -1: all shots) is `word`: the attributes that spoke for it, and how
    likely it was."""

    number: int
    field: str
    was: str
    word: str
    attributes: tuple[str, ...]
    probability: float


@dataclass(frozen=True)
class Guided:
    """`words` go behind every prompt; `detail` is the drawing's, 0 for as it was. `choices` say why."""

    shots: tuple[Shot, ...]
    words: tuple[str, ...] = ()
    detail: float = 0.0
    choices: tuple[Choice, ...] = ()


def temperature(adventurous: float) -> float:
    """Return τ of the dial in [0, 1]: safe at 0, adventurous at 1."""
    return float(_SAFE * _RANGE ** min(1.0, max(0.0, adventurous)))


def guide_shots(
    shots: Sequence[Shot],
    open_fields: Sequence[Collection[str]],
    weights: Mapping[str, float],
    seed: int,
    *,
    adventurous: float = 0.3,
    knows: Knows | None = None,
    together: Collection[str] = (),
) -> Guided:
    """Return the shots with their open fields to somebody's taste.

    `open_fields` are names of OPEN_FIELDS a shot; those of no shot's field count where they are open in all. `weights`
    are those of attributes, in [-1, 1]. `knows` says whether the drawing model knows words that no list has; without it
    none are said. Fields of `together` are the same in all shots in which they are open. Where nothing is open, or
    nothing is known of it, the shots are the very same.
    """
    found, choices = list[Shot](), list[Choice]()
    for number, (shot, names) in enumerate(zip(shots, open_fields, strict=True)):
        changed = dict[str, str]()
        for field in (name for name in WORDS if name in names):
            leaning = _leaning(field, weights)
            if not leaning and not any(weights.get(v.id) for v in load_attributes().fields[field].values.values()):
                continue
            pool = {word: weight + leaning.get(word, 0.0) for word, weight in _pool(field, weights, knows).items()}
            rng = random.Random(f"{seed} {'all' if field in together else number} {field}")
            word, probability = _sample(pool, temperature(adventurous), rng)
            if word != getattr(shot, field):
                changed[field] = word
            spoke = _spoke(field, word, weights)
            choices.append(Choice(number, field, getattr(shot, field), word, spoke, probability))
        found.append(replace(shot, **changed) if changed else shot)
    everywhere = set(OPEN_FIELDS).intersection(*map(set, open_fields)) if open_fields else set()
    said = _words_behind(everywhere, weights, seed, adventurous, knows)
    sharp = weights.get("finish.sharp", 0.0) if "finish" in everywhere else 0.0
    detail = round(_MOST_DETAIL * max(0.0, sharp), 2)
    if detail:
        choices.append(Choice(-1, "finish", "", "", ("finish.sharp",), 1.0))
    choices += [Choice(-1, value.field, "", value.words, (value.id,), p) for value, p in said]
    return Guided(tuple(found), tuple(value.words for value, _ in said), detail, tuple(choices))


def _pool(field: str, weights: Mapping[str, float], knows: Knows | None) -> dict[str, float]:
    """Return the words that a field may be, with what the taste says of each; disliked ones only where all are."""
    pool = dict.fromkeys(WORDS[field], 0.0)
    for value in load_attributes().fields[field].values.values():
        weight = weights.get(value.id, 0.0)
        for word in value.shot:
            pool[word] += weight
        if value.acts == "words" and field in FREE and weight > 0 and knows is not None and knows(value.words):
            pool[value.words] = weight
    return {word: weight for word, weight in pool.items() if weight >= 0} or pool


def _leaning(field: str, weights: Mapping[str, float]) -> dict[str, float]:
    """Return what words of a field are worth for what they lean to; {} where the taste knows of no such thing."""
    found: dict[str, float] = {}
    for attribute, words in _leans().items():
        for name, share in words.items():
            of, _, word = name.partition(".")
            if of == field and weights.get(attribute):
                found[word] = found.get(word, 0.0) + _LEANING * share * weights[attribute]
    return found


@cache
def _leans() -> Mapping[str, Mapping[str, float]]:
    """Return by attribute how much of it each word ("field.word") adds; an opposite has the same, the other way."""
    told: Mapping[str, Mapping[str, float]] = json.loads(LEANS_FILE.read_text(encoding="utf-8"))
    known = load_attributes().by_id
    against = {
        known[one].opposite: {name: -share for name, share in words.items()}
        for one, words in told.items()
        if known[one].opposite
    }
    return {**told, **against}


def _sample(pool: Mapping[str, float], tau: float, rng: random.Random) -> tuple[str, float]:
    most = max(pool.values())
    shares = [math.exp((weight - most) / tau) for weight in pool.values()]
    (word,) = rng.choices(list(pool), shares)
    return word, shares[list(pool).index(word)] / sum(shares)


def _spoke(field: str, word: str, weights: Mapping[str, float]) -> tuple[str, ...]:
    """Return the attributes that speak for a word; where none does, those that speak against the others."""
    values = load_attributes().fields[field].values.values()
    told = [value for value in values if weights.get(value.id)]
    own = [value.id for value in told if word in (*value.shot, value.words)]
    leans = [one for one, words in _leans().items() if weights.get(one, 0.0) * words.get(f"{field}.{word}", 0.0) > 0]
    against = [value.id for value in told if weights[value.id] < 0]
    away = [
        one
        for one, words in _leans().items()
        if any(weights.get(one, 0.0) * words.get(f"{field}.{w}", 0.0) < 0 for w in WORDS[field])
    ]
    return tuple([*own, *leans] or against or away)


def _words_behind(
    fields: Collection[str], weights: Mapping[str, float], seed: int, adventurous: float, knows: Knows | None
) -> list[tuple[Attribute, float]]:
    """Return attributes whose words go behind the prompts, sampled without repeating, none the opposite of another."""
    known = load_attributes().by_id.values()
    pool = {
        value.id: value
        for value in known
        if value.field in fields and value.field in _BEHIND and value.words and weights.get(value.id, 0.0) > 0
        if knows is not None and knows(value.words)
    }  # fmt: skip
    rng, found = random.Random(f"{seed} words"), list[tuple[Attribute, float]]()
    while pool and len(found) < MOST_WORDS:
        chosen, probability = _sample({key: weights[key] for key in pool}, temperature(adventurous), rng)
        value = pool.pop(chosen)
        pool.pop(value.opposite, None)
        found.append((value, probability))
    return found
