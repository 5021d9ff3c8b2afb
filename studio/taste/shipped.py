"""Pictures that come along to be commented on: somebody who has none of their own yet can say what they like.

They were drawn by the miniature, and chosen out of many as those that tell most (`personas.taste.scorer.propose`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from studio.settings import ASSETS

__all__ = ["Shipped", "shipped_pictures", "shipped_shot"]

FOLDER = ASSETS / "walk"


@dataclass(frozen=True)
class Shipped:
    """A picture's file, its key in a store, and the words of its shot by field."""

    file: Path
    key: str
    shot: Mapping[str, str]


@cache
def shipped_pictures() -> tuple[Shipped, ...]:
    """Return the pictures in the order of their names."""
    shots: Mapping[str, Mapping[str, str]] = json.loads((FOLDER / "shots.json").read_text(encoding="utf-8"))
    files = {name: FOLDER / name for name in sorted(shots)}
    return tuple(
        Shipped(file, hashlib.sha256(file.read_bytes()).hexdigest(), shots[name]) for name, file in files.items()
    )


def shipped_shot(key: str) -> Mapping[str, str] | None:
    """Return the words of the shot of a picture that came along, None for any other."""
    return next((one.shot for one in shipped_pictures() if one.key == key), None)
