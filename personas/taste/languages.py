"""Whether a comment is in a language that is not read: neither Chinese nor English."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from personas.taste.tokens import Token

__all__ = ["is_other_language"]

_LEAST_WORDS, _LEAST_KNOWN = 4, 0.3
_MOST_OTHER = 0.3


def is_other_language(comment: str, tokens: Sequence[Token]) -> bool:
    """Whether many of its letters are neither Latin nor Chinese, or hardly any of its words is known."""
    letters = [c for c in comment if c.isalpha()]
    scripts = [unicodedata.name(c, "").split(" ")[0] for c in letters]
    if sum(s not in ("LATIN", "CJK", "FULLWIDTH") for s in scripts) > _MOST_OTHER * len(letters):
        return True
    words = [t for t in tokens if t.kind not in ("end", "comma", "joint")]
    known = sum(t.kind != "unknown" for t in words)
    return "CJK" not in scripts and len(words) >= _LEAST_WORDS and known < _LEAST_KNOWN * len(words)
