"""A look before the export in a person's words: what crop and label do to a picture."""

from __future__ import annotations

from collections.abc import Sequence

from studio.domain.bundle import CheckedPicture, Part
from studio.texts.texts import Texts

__all__ = ["say_checked", "say_troubles"]


def say_troubles(texts: Texts, row: CheckedPicture) -> tuple[str, ...]:
    """Return what is not as it should be, a sentence each."""
    told = (("covers", row.covers), ("cut", row.cut), ("hidden", row.hidden))
    said = tuple(texts(f"check.{name}", parts=_say_parts(texts, parts)) for name, parts in told if parts)
    return (*said, texts("check.flagged", score=f"{row.content_score:.2f}")) if row.flagged else said


def say_checked(texts: Texts, row: CheckedPicture) -> str:
    """Return where the label stands, and what is not as it should be."""
    return (" " if texts.language == "en" else "").join((texts(f"corner.{row.corner}"), *say_troubles(texts, row)))


def _say_parts(texts: Texts, parts: Sequence[Part]) -> str:
    return (", " if texts.language == "en" else "、").join(texts(f"part.{part}") for part in parts)
