"""What was measured and what a vision model says, as one: each is believed in what it is good at. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from personas.captions.schema import GROUPS, CaptionFacts

__all__ = ["Fused", "fuse"]

_MEASURED_WINS = (("shot", "framing"), ("shot", "view"), ("style", "palette"))


@dataclass(frozen=True)
class Fused:
    """`facts` of both; `differs` are the fields, such as "light.time", in which the two say different things."""

    facts: CaptionFacts
    differs: tuple[str, ...]


def fuse(measured: CaptionFacts, told: CaptionFacts | None) -> Fused:
    """Return both as one: framing, view and colours as they were measured, all else as the model says, and what it does
    not say as it was measured.
    """
    if told is None:
        return Fused(measured, ())
    mine, theirs = measured.model_dump(), told.model_dump()
    joined: dict[str, Any] = {}
    differs: list[str] = []
    for group in GROUPS:
        one, other = mine[group], theirs[group]
        if not isinstance(one, dict):
            joined[group] = one if other is None or (other == () and one) else other
            continue
        joined[group] = dict(other)
        for field, value in one.items():
            said = other.get(field)
            if field == "sure" or value in (None, ()):
                continue
            wins = (group, field) in _MEASURED_WINS
            if said in (None, ()) or wins:
                joined[group][field] = value
            if said not in (None, ()) and said != value and field != "palette":
                differs.append(f"{group}.{field}")
    if measured.garments and told.garments:
        differs += _same_garment(mine, joined)
    if measured.goods and told.goods == ():
        joined["goods"] = mine["goods"]
        differs.append("goods")
    return Fused(CaptionFacts.model_validate(joined), tuple(differs))


def _same_garment(mine: dict[str, Any], joined: dict[str, Any]) -> list[str]:
    """Give the garment over the chest its measured colour."""
    upper = [i for i, row in enumerate(joined["garments"]) if row["slot"] in ("top", "dress", "outerwear", None)]
    colour = mine["garments"][0]["colour"]
    if not upper or colour is None:
        return []
    rows = [dict(row) for row in joined["garments"]]
    said = {rows[i]["colour"] for i in upper} - {None}
    differs = bool(said) and colour not in said
    if not said:
        rows[upper[0]]["colour"] = colour
    joined["garments"] = tuple(rows)
    return ["garments.colour"] if differs else []
