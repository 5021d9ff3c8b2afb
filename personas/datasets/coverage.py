"""What the good pictures of a data set show, and what none of them does: framings, views, places, clothes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from personas.datasets.facts import PictureFacts, thumb_of
from personas.measures.scene import to_lab
from personas.shots import FRAMINGS, VIEWS

__all__ = ["Coverage", "Hole", "cover", "framing_of", "view_of"]

_CLOSE, _HALF = 0.3, 0.14  # of the picture's height, a face's
_BODY = 9.2  # heights of a face's box from its top down to the feet
_TURNED = 15.0  # degrees
_LEAST_SHARE, _LEAST_PLACES, _LEAST_OUTFITS, _MOST_ALIKE = 0.15, 4, 3, 0.8
_ENOUGH = 12
_PLACE_APART = 14.0  # CIE76, mean over the cells of the surroundings
HoleKind = Literal["few", "framing", "view", "places", "outfits", "one_outfit", "one_place", "expression"]


@dataclass(frozen=True)
class Hole:
    """`kind` with the word that is missing or that there is too much of ("" where it needs none), how many pictures
    show it, and how many should at least, or do at most.
    """

    kind: HoleKind
    word: str
    count: int
    wanted: int


@dataclass(frozen=True)
class Coverage:
    """How many of `total` good pictures show what: {field: {word: count}}, and `holes`."""

    total: int
    counts: Mapping[str, Mapping[str, int]]
    holes: tuple[Hole, ...]


def framing_of(facts: PictureFacts) -> str | None:
    """Return a word of FRAMINGS: by the reader that knows such pictures, else by the face's size and the joints; None
    where neither tells.
    """
    if word := facts.words.get("framing"):
        return word
    face = facts.face
    if face is None:
        return None
    if face.height >= _CLOSE:
        return "close-up"
    if facts.feet is not None:
        return "full-body" if facts.feet else "half-body" if face.height >= _HALF or not facts.hips else None
    if face.height >= _HALF:
        return "half-body"
    return "full-body" if face.box[1] + _BODY * face.height <= 1.02 else None


def view_of(facts: PictureFacts) -> str | None:
    """Return a word of VIEWS, as the picture is seen; None without a face."""
    if word := facts.words.get("view"):
        return word
    if facts.face is None:
        return None
    yaw = facts.face.yaw
    return "front" if abs(yaw) < _TURNED else "left" if yaw < 0 else "right"


def cover(facts: Sequence[PictureFacts]) -> Coverage:
    """Return what the good pictures of a set show and what is missing among them."""
    total = len(facts)
    counts = {
        "framing": _counted(framing_of(one) for one in facts),
        "view": _counted(view_of(one) for one in facts),
        "expression": _counted(one.words.get("expression") for one in facts),
        "light": _counted(one.words.get("light") for one in facts),
        "outfit": _counted(_outfit(one) for one in facts),
        "place": _counted(_places(facts)),
    }
    holes: list[Hole] = []
    if total < _ENOUGH:
        holes.append(Hole("few", "", total, _ENOUGH))
    known = sum(counts["framing"].values())
    if known:
        wanted = max(1, round(_LEAST_SHARE * known))
        for framing in FRAMINGS:
            if (shown := counts["framing"].get(framing, 0)) < wanted:
                holes.append(Hole("framing", framing, shown, wanted))
        for view in VIEWS:
            if not counts["view"].get(view):
                holes.append(Hole("view", view, 0, 1))
    kinds: tuple[tuple[HoleKind, HoleKind, str, int], ...] = (
        ("outfits", "one_outfit", "outfit", _LEAST_OUTFITS),
        ("places", "one_place", "place", _LEAST_PLACES),
    )
    for kind, one, field, least in kinds:
        seen = counts[field]
        if total < 4 or not seen:
            continue
        word, most = max(seen.items(), key=lambda item: item[1])
        if most >= _MOST_ALIKE * total:
            holes.append(Hole(one, word if field == "outfit" else "", most, total))
        elif len(seen) < least:
            holes.append(Hole(kind, "", len(seen), least))
    said = counts["expression"]
    if total >= 4 and len(said) == 1 and sum(said.values()) >= _MOST_ALIKE * total:
        holes.append(Hole("expression", next(iter(said)), sum(said.values()), total))
    return Coverage(total, counts, tuple(holes))


def _counted(words: Iterable[str | None]) -> dict[str, int]:
    return dict(Counter(word for word in words if word is not None).most_common())


def _outfit(facts: PictureFacts) -> str | None:
    if "outfit" in facts.words and "outfit_colour" in facts.words:
        return f"{facts.words['outfit_colour']} {facts.words['outfit']}"
    return facts.outfit.name if facts.outfit is not None and facts.outfit.share >= 0.5 else None


def _places(facts: Sequence[PictureFacts]) -> list[str | None]:
    """A number of a place for each picture: what the reader calls it, else by the colours left and right of a head."""
    middles = np.empty((len(facts), 16, 3))
    found: list[str | None] = []
    known = 0
    for one in facts:
        if word := one.words.get("setting"):
            found.append(word)
            continue
        lab = to_lab((thumb_of(one.thumb) * 255).astype(np.uint8))
        sides = np.concatenate([lab[:16, :8], lab[:16, 24:]], axis=1).reshape(4, 4, 4, 4, 3).mean(axis=(1, 3))
        row = sides.reshape(-1, 3)
        apart = np.linalg.norm(row - middles[:known], axis=2).mean(axis=1)
        if not known or apart.min() > _PLACE_APART:
            middles[known] = row
            known += 1
            found.append(f"#{known}")
        else:
            found.append(f"#{int(apart.argmin()) + 1}")
    return found
