"""What was heard of a comment, whoever read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from personas.taste.reading import Reading
from pipelines.errors import StudioError

__all__ = ["Hear", "Heard"]


@dataclass(frozen=True)
class Heard:
    """What was read; `failed` is why the model could not, so that the studio's own reader did; None where it could.

    `left_out` are the quotes of items that were dropped: they are no part of the comment, or of no attribute.
    """

    reading: Reading
    failed: StudioError | None = None
    left_out: tuple[str, ...] = ()


Hear = Callable[[str, Mapping[str, str], int], Heard]
"""How a language model reads a comment: of (comment, shown, vote)."""
