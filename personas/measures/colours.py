"""Colours by the names that people call them: one table for tastes, captions and data sets."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["COLOUR_LAB"]

COLOUR_LAB: Mapping[str, tuple[float, float, float]] = {
    "red": (45, 62, 40), "orange": (66, 38, 62), "yellow": (86, -4, 70), "green": (52, -42, 36),
    "blue": (44, 4, -46), "purple": (40, 40, -40), "pink": (74, 34, 6), "white": (95, 0, 2),
    "black": (10, 0, 0), "brown": (38, 18, 28), "grey": (58, 0, 0), "beige": (84, 3, 16),
}  # fmt: skip
"""CIELAB (D65) of the names: middles of what people call so (Berlin & Kay's eleven without the pale and the dark ends),
and beige."""
