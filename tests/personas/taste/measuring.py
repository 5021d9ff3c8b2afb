"""Comments with what they say, and how much of it a reader finds.

A row: `text`, `items` that must be found ("+field.value", one of several behind "|"), `may` that may be, `asks` where
a question must be left, `picture` and `vote` that the reader is told. Both sets were written for this, by one hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personas.taste.reading import Reading

FOLDER = Path(__file__).parent
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Measured:
    """Shares in [0, 1]: `polarity` of the found attributes whose sign is right, `invented` of what was said that no
    comment says, `asked` of unclear comments that leave a question. `wrong` are the rows that are not wholly right."""

    f1: float
    precision: float
    recall: float
    polarity: float
    invented: float
    asked: float
    count: int
    wrong: tuple[str, ...]


def comments_of(name: str, language: str) -> Sequence[Row]:
    told: Mapping[str, Sequence[Row]] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return told[language]


def measure(rows: Sequence[Row], read: Callable[[str, Mapping[str, str], int], Reading]) -> Measured:
    right = said = wanted = found = turned = invented = asked = unclear = 0
    wrong = []
    for row in rows:
        reading = read(row["text"], row.get("picture", {}), row.get("vote", 0))
        told = {("+" if item.weight > 0 else "-") + item.attribute for item in reading.items}
        must = [_options(one) for one in row["items"]]
        may = {option for one in row.get("may", ()) for option in _options(one)}
        hit = [one for one in must if one & told]
        allowed = {option for one in must for option in one} | may
        plain = {one[1:] for one in allowed}
        extra = {one for one in told if one not in allowed}
        right += len(hit)
        wanted += len(must)
        said += len(hit) + len(extra)
        found += sum(any(t[1:] in {o[1:] for o in one} for t in told) for one in must)
        turned += len({t for t in extra if t[1:] in plain})
        invented += len({t for t in extra if t[1:] not in plain})
        missed = row.get("asks") and (reading.question is None or reading.items)
        unclear += bool(row.get("asks"))
        asked += bool(row.get("asks")) and not missed
        if extra or len(hit) < len(must) or missed:
            wrong.append(f"{row['text']!r}: {sorted(told)} for {row['items']}{' asks' if row.get('asks') else ''}")
    precision, recall = right / max(1, said), right / max(1, wanted)
    return Measured(
        f1=2 * precision * recall / max(1e-9, precision + recall),
        precision=precision,
        recall=recall,
        polarity=1 - turned / max(1, found),
        invented=invented / max(1, said),
        asked=asked / max(1, unclear),
        count=len(rows),
        wrong=tuple(wrong),
    )


def _options(item: str) -> frozenset[str]:
    """ "+a.b|c.d" and "-a.b|+c.d": a sign goes on until there is another."""
    sign, found = "+", set()
    for one in item.split("|"):
        sign = one[0] if one[0] in "+-" else sign
        found.add(sign + one.lstrip("+-"))
    return frozenset(found)
