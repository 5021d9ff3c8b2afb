"""A taste: what its owner said of pictures and changed by hand, in the order in which it happened. Nothing is
overwritten: a change of mind is one more event, and what an event did can be undone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from personas.taste.attributes import load_attributes
from personas.taste.reading import MOST_COMMENT
from pipelines.errors import BadInput
from studio.domain.values import Id, Sha256, Stored, Value

__all__ = [
    "EVERYWHERE", "MOST_EVENTS", "Edited", "Event", "Evidence", "Said", "SaidItem", "Scope", "Taste", "TasteItem",
    "Undone", "Voted", "check_attribute", "join_tastes",
]  # fmt: skip

MOST_EVENTS = 2000  # of one scope; each can be undone once more
_FADING = 0.5  # how much less each older comment on the same attribute counts
Weight = Annotated[float, Field(ge=-1, le=1)]
AttributeId = Annotated[str, Field(min_length=3, max_length=60)]


class Scope(Value):
    """Where a taste holds: everywhere, for one persona, or for one shop, each by the name that its owner gave it."""

    kind: Literal["everywhere", "persona", "shop"] = "everywhere"
    name: str = Field("", max_length=60)

    @model_validator(mode="after")
    def _check(self) -> Scope:
        if (self.kind == "everywhere") != (not self.name.strip()):
            raise BadInput("taste_scope_invalid", kind=self.kind)
        return self

    @property
    def key(self) -> str:
        """Return it as one text: "everywhere", "persona:Lin", "shop:Tea"."""
        return f"{self.kind}:{self.name}" if self.name else self.kind


EVERYWHERE = Scope()


class SaidItem(Value):
    """What a comment says of one attribute, and the words that say so."""

    attribute: AttributeId
    weight: Weight
    quote: str = Field(max_length=MOST_COMMENT)


class Said(Stored):
    """A comment with what was read in it. `picture` is the file that it is about, "" for none, `shown` what that shows,
    `reader` "studio" or the language model that read it.
    """

    kind: Literal["comment"] = "comment"
    id: Id
    at: datetime
    text: str = Field(min_length=1, max_length=MOST_COMMENT)
    picture: Sha256 | Literal[""] = ""
    shown: Mapping[str, str] = Field(default_factory=dict)
    vote: Literal[-1, 0, 1] = 0
    items: tuple[SaidItem, ...] = ()
    reader: str = Field("studio", max_length=300)


class Edited(Stored):
    """A change by hand of one attribute: its weight, or whether it counts; None leaves as it was. `forget` gives the
    attribute back to the comments.
    """

    kind: Literal["hand"] = "hand"
    id: Id
    at: datetime
    attribute: AttributeId
    weight: Weight | None = None
    muted: bool | None = None
    forget: bool = False


class Voted(Stored):
    """A picture was liked (1) or not (-1), or, with `over`, preferred to that one (1), or that one to it (-1); `shown`
    are the words of shots that each shows, by field."""

    kind: Literal["vote"] = "vote"
    id: Id
    at: datetime
    picture: Sha256
    vote: Literal[-1, 1] = 1
    over: Sha256 | Literal[""] = ""
    shown: Mapping[str, str] = Field(default_factory=dict)
    shown_over: Mapping[str, str] = Field(default_factory=dict)


class Undone(Stored):
    """The event of this id counts no more."""

    kind: Literal["undo"] = "undo"
    id: Id
    at: datetime
    event: Id


Event = Annotated[Said | Edited | Voted | Undone, Field(discriminator="kind")]


class Evidence(Value):
    """A comment's words for an attribute; `event` is the comment's id."""

    event: Id
    weight: Weight
    quote: str


class TasteItem(Value):
    """How an attribute is liked, from what its owner did last by hand, else from comments, of which newer ones count
    more. `evidence` is the comments', the newest first. `conflicts`: they say both, or other than the hand did, or its
    opposite is said to be liked just so.
    """

    attribute: AttributeId
    weight: Weight
    source: Literal["comment", "hand"]
    muted: bool = False
    conflicts: bool = False
    evidence: tuple[Evidence, ...] = ()


class Taste(Stored):
    """All events of a scope, undone ones too; its version is how many there are."""

    scope: Scope = EVERYWHERE
    events: tuple[Event, ...] = Field((), max_length=2 * MOST_EVENTS)

    @property
    def version(self) -> int:
        return len(self.events)

    @property
    def standing(self) -> tuple[Said | Edited | Voted, ...]:
        """Return the events that count, in their order."""
        undone = {event.event for event in self.events if isinstance(event, Undone)}
        return tuple(e for e in self.events if not isinstance(e, Undone) and e.id not in undone)

    def items(self) -> tuple[TasteItem, ...]:
        """Return what is liked and disliked, the strongest first; attributes that this studio does not know are left
        out."""
        evidence: dict[str, list[Evidence]] = {}
        edits: dict[str, list[Edited]] = {}
        for event in self.standing[::-1]:
            if isinstance(event, Edited):
                edits.setdefault(event.attribute, []).append(event)
                continue
            if isinstance(event, Voted):
                continue
            for item in event.items:
                told = Evidence(event=event.id, weight=item.weight, quote=item.quote)
                evidence.setdefault(item.attribute, []).append(told)
        known = load_attributes().by_id
        names = [name for name in {**evidence, **edits} if name in known]
        found = [_item(name, evidence.get(name, []), edits.get(name, [])) for name in names]
        return _against_opposites(sorted((one for one in found if one is not None), key=lambda one: -abs(one.weight)))

    def votes(self) -> tuple[Voted, ...]:
        """Return the votes that count, in their order: the last one on a picture, and on a pair."""
        votes = [e for e in self.standing if isinstance(e, Voted)]
        last = {(e.picture, e.over): e.id for e in votes}
        return tuple(e for e in votes if last[e.picture, e.over] == e.id)


def _against_opposites(items: Sequence[TasteItem]) -> tuple[TasteItem, ...]:
    """Return the items; of two that exclude each other and are both liked, or both disliked, each is in conflict."""
    known, counts = load_attributes().by_id, {item.attribute: item for item in items if not item.muted}

    def excluded(item: TasteItem) -> bool:
        other = counts.get(known[item.attribute].opposite)
        return other is not None and not item.muted and other.weight * item.weight > 0

    return tuple(item.model_copy(update={"conflicts": True}) if excluded(item) else item for item in items)


def check_attribute(attribute: str) -> str:
    """Return the attribute's id. Raises BadInput for one that is none."""
    if attribute not in load_attributes().by_id:
        raise BadInput("attribute_unknown", attribute=attribute[:60])
    return attribute


def join_tastes(tastes: Sequence[Taste]) -> Mapping[str, float]:
    """Return the weights by attribute of all these tastes together, without what is muted: a later one wins where both
    speak of the same."""
    found: dict[str, float] = {}
    for taste in tastes:
        for item in taste.items():
            found[item.attribute] = 0.0 if item.muted else item.weight
    return {attribute: weight for attribute, weight in found.items() if weight}


def _item(attribute: str, evidence: Sequence[Evidence], edits: Sequence[Edited]) -> TasteItem | None:
    """Return an attribute's item from its evidence and edits, the newest first; None where nothing is left of it."""
    since = next((n for n, edit in enumerate(edits) if edit.forget), len(edits))
    weight = next((edit.weight for edit in edits[:since] if edit.weight is not None), None)
    muted = next((edit.muted for edit in edits[:since] if edit.muted is not None), False)
    said = max(-1.0, min(1.0, sum(one.weight * _FADING**n for n, one in enumerate(evidence))))
    if weight is None and not evidence:
        return None
    signs = {one.weight > 0 for one in evidence if one.weight}
    if weight is not None and weight:
        signs.add(weight > 0)
    return TasteItem(
        attribute=attribute,
        weight=said if weight is None else weight,
        source="comment" if weight is None else "hand",
        muted=muted,
        conflicts=len(signs) > 1,
        evidence=tuple(evidence),
    )
