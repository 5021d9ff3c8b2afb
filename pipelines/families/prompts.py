"""Prompts inside a chat template: which of their words a text encoder does not read."""

from __future__ import annotations

from typing import Any

__all__ = ["cut_words"]


def cut_words(tokenizer: Any, written: str, prompt: str, length: int) -> str:
    """Return the end of a prompt that does not fit into `length` tokens; "" where all of it does.

    `written` is the prompt inside its template, as the tokenizer reads it. Behind the prompt the template has a few
    tokens more, which are cut first and are no words of the prompt's.
    """
    read = tokenizer(written, add_special_tokens=False, return_offsets_mapping=True)
    if len(read.input_ids) <= length:
        return ""
    first = int(read.offset_mapping[length][0])
    return prompt[max(first - written.rfind(prompt), 0) :].strip()
