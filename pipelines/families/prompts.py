"""Prompts inside a chat template: whether it holds them, and which of their words a text encoder does not read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipelines.errors import BadInput

__all__ = ["check_template", "cut_words"]

_PROBE = "a red lantern"


def check_template(write: Callable[[str], str], model: str) -> None:
    """Raise BadInput where a model's chat template is damaged, or leaves out what is written in it.

    `write` returns a prompt inside the template. Templates are programs of strangers, which transformers runs in
    Jinja's sandbox; they may raise anything. `model` is the model's name.
    """
    try:
        written = write(_PROBE)
    except Exception as error:
        raise BadInput("chat_template_damaged", model=model, reason=str(error) or type(error).__name__) from error
    if _PROBE not in written:
        raise BadInput("chat_template_without_prompt", model=model)


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
