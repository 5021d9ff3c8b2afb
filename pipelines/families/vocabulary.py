"""Which words a backbone's text encoder was taught, as far as its tokenizer's files tell. No torch.

A word that the tokenizer has no pieces for (its unknown token, or halves of letters), or that it can only spell letter
by letter, is one that it hardly ever met when it was trained. An encoder that learnt whole words alone
(`BackboneSpec.prompt_words`) knows none that is put together from pieces either.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipelines.families.protocol import Family

__all__ = ["PROMPT_WORDS", "Vocabulary", "read_vocabulary"]

PROMPT_WORDS = ("pieces", "whole")
_AROUND = " ,.;:!?()[]{}<>\"'“”‘’，。；：！？（）【】《》、·…"
_PARTS = re.compile(r"[㐀-鿿豈-﫿]+|[^㐀-鿿豈-﫿]+")  # Chinese, whose words no space parts, and the rest
_MARKS = "▁Ġ "
_SHORT = 3  # a word of so few letters may well be a name for itself when it is spelled


class Vocabulary:
    """A tokenizer's words; `whole`: the encoder learnt whole words only."""

    def __init__(self, file: Path, whole: bool) -> None:
        """Raises ValueError or OSError for a file that is none."""
        from tokenizers import Tokenizer

        try:
            self._tokenizer: Any = Tokenizer.from_file(str(file))
        except Exception as error:  # the package raises plain Exceptions only
            raise ValueError(f"{file.name} is no tokenizer: {error}") from error
        told = json.loads(file.read_text(encoding="utf-8"))["model"]
        unknown = told.get("unk_id")
        name = told.get("unk_token")
        # a byte-level tokenizer has no unknown pieces, whatever its file calls so
        self._unknown = unknown if unknown is not None else self._tokenizer.token_to_id(name) if name else None
        self._whole = whole

    def unknown(self, text: str) -> tuple[str, ...]:
        """Return the words of a text that it does not know, as they are written, each once and in their order."""
        words = [part for word in text.split() for part in _PARTS.findall(word.strip(_AROUND))]
        return tuple(dict.fromkeys(w for w in words if w.replace("-", "").isalpha() and not self._knows(w)))

    def _knows(self, word: str) -> bool:
        pieces = self._pieces(f" {word}")
        if pieces is None:
            return False
        letters = [piece for piece in pieces if len(piece) == 1 and piece.isalnum()]
        if self._whole:
            return not letters or len(word) == 1
        spelled = len(letters) == len(pieces) and len(word) > _SHORT
        return not spelled or not word.isascii()

    def _pieces(self, text: str) -> list[str] | None:
        """Return the pieces of a word without the marks of its beginning; None where it has none for some letter."""
        read = self._tokenizer.encode(text, add_special_tokens=False)
        if self._unknown is not None and self._unknown in read.ids:
            return None
        said = [self._tokenizer.decode([number], skip_special_tokens=False) for number in read.ids]
        if any("\ufffd" in piece for piece in said):
            return None
        return [piece.strip(_MARKS) for piece in said if piece.strip(_MARKS)]


def read_vocabulary(family: Family, folder: Path, prompt_words: str = PROMPT_WORDS[0]) -> Vocabulary | None:
    """Return the words of the tokenizer that reads prompts in a backbone's folder; None where its files do not say."""
    file = folder / family.tokenizers[-1] / "tokenizer.json"
    return _read(file, file.stat().st_mtime_ns, prompt_words == "whole") if file.is_file() else None


@lru_cache(maxsize=4)
def _read(file: Path, changed: int, whole: bool) -> Vocabulary | None:
    """`changed` is when the file was, so that another one in its place is read anew."""
    try:
        return Vocabulary(file, whole)
    except (KeyError, OSError, ValueError):
        return None
