"""Read what of a picture can be liked, from `attributes.json`: fields with their values, each named in both languages.

A value's `acts` says what follows where it is liked. "clause": words of the field's list in a shot. "words": other
words of the prompt, where the model knows them. "dial": a number of the drawing. "choice": a place that somebody
chooses. "score": the order of pictures, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

__all__ = ["ATTRIBUTES_FILE", "Acts", "Attribute", "Attributes", "Field", "Language", "load_attributes"]

ATTRIBUTES_FILE = Path(__file__).with_name("attributes.json")
Language = Literal["zh", "en"]
Acts = Literal["clause", "words", "dial", "choice", "score"]


@dataclass(frozen=True)
class Attribute:
    """A value of a field; its id is "field.name".

    `shot` are the words of `personas.shots.WORDS[field]` that show it (of "outdoors" several), `words` what a prompt
    says instead, `dial` the number of the drawing that it moves. `tends` says what a comment means that names it and
    nothing else: 1 praise, 2 praise also where it is "太…", -1 complaint, 0 neither. `faults` are words that say there
    is too much of it. `opposite` is the id of what it excludes, "" for none.
    """

    field: str
    name: str
    names: Mapping[Language, str]
    acts: Acts
    said: Mapping[Language, tuple[str, ...]]
    faults: Mapping[Language, tuple[str, ...]]
    shot: tuple[str, ...] = ()
    words: str = ""
    dial: str = ""
    tends: int = 0
    opposite: str = ""

    @property
    def id(self) -> str:
        return f"{self.field}.{self.name}"


@dataclass(frozen=True)
class Field:
    """Name what values are of; `aspects` are words for the whole of it ("the light"), by language."""

    name: str
    names: Mapping[Language, str]
    aspects: Mapping[Language, tuple[str, ...]]
    values: Mapping[str, Attribute]


@dataclass(frozen=True)
class Attributes:
    """All fields by name. `shared` are words of several values, the usual one first; `dimensions` words of a measure
    with the values at its high and at its low end, and perhaps the value that more of it is; both by language.
    """

    fields: Mapping[str, Field]
    shared: Mapping[Language, Mapping[str, tuple[str, ...]]]
    dimensions: Mapping[Language, Mapping[str, tuple[str, ...]]]
    by_id: Mapping[str, Attribute] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_id", {a.id: a for f in self.fields.values() for a in f.values.values()})


@cache
def load_attributes() -> Attributes:
    """Return the vocabulary of `attributes.json`."""
    told: Mapping[str, Any] = json.loads(ATTRIBUTES_FILE.read_text(encoding="utf-8"))
    fields = {name: _field(name, row, told["fields"]) for name, row in told["fields"].items()}
    shared: dict[Language, dict[str, tuple[str, ...]]] = {
        "zh": {word: tuple(ids) for word, ids in told["shared"]["zh"].items()},
        "en": {word: tuple(ids) for word, ids in told["shared"]["en"].items()},
    }
    for name, row in told["fields"].items():
        for value, facts in row["values"].items():
            if "shares" in facts:
                for language, words in _said(facts, told["fields"]).items():
                    for word in words:
                        known = shared[language].get(word, (facts["shares"],))
                        shared[language][word] = (*known, f"{name}.{value}")
    dimensions: dict[Language, dict[str, tuple[str, ...]]] = {
        "zh": {word: tuple(ends) for word, ends in told["dimensions"]["zh"].items()},
        "en": {word: tuple(ends) for word, ends in told["dimensions"]["en"].items()},
    }
    return Attributes(fields, shared, dimensions)


def _field(name: str, row: Mapping[str, Any], rows: Mapping[str, Any]) -> Field:
    values = {value: _attribute(name, value, facts, rows) for value, facts in row["values"].items()}
    aspects: dict[Language, tuple[str, ...]] = {"zh": tuple(row["aspects"]["zh"]), "en": tuple(row["aspects"]["en"])}
    return Field(name, {"zh": row["zh"], "en": row["en"]}, aspects, values)


def _attribute(name: str, value: str, facts: Mapping[str, Any], rows: Mapping[str, Any]) -> Attribute:
    faults = facts.get("faults", {"zh": (), "en": ()})
    return Attribute(
        field=name,
        name=value,
        names={"zh": facts["zh"], "en": facts["en"]},
        acts=facts["acts"],
        said=_said(facts, rows),
        faults={"zh": tuple(faults["zh"]), "en": tuple(faults["en"])},
        shot=tuple(facts.get("shot", ())),
        words=facts.get("words", ""),
        dial=facts.get("dial", ""),
        tends=facts.get("tends", 0),
        opposite=f"{name}.{facts['opposite']}" if "opposite" in facts else "",
    )


def _said(facts: Mapping[str, Any], rows: Mapping[str, Any]) -> dict[Language, tuple[str, ...]]:
    """Return the value's words by language: its own, or those of the value that it `shares`."""
    if "shares" in facts:
        name, _, value = facts["shares"].partition(".")
        facts = rows[name]["values"][value]
    return {"zh": tuple(facts["said"]["zh"]), "en": tuple(facts["said"]["en"])}
