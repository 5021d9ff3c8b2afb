"""Names that a person gives to what they make: a persona, a place."""

from __future__ import annotations

from pipelines.errors import BadInput

__all__ = ["MOST_NAME", "check_name"]

MOST_NAME = 60


def check_name(name: str) -> str:
    """Return the name without needless spaces: any characters that a person likes, but some, and not too many.

    Raises BadInput.
    """
    tidied = " ".join(name.split())
    if not 1 <= len(tidied) <= MOST_NAME or not tidied.isprintable():
        raise BadInput("name_invalid", most=MOST_NAME)
    return tidied
