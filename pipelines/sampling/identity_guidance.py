"""Identity guidance: classifier-free guidance whose negative side is the model without the LoRA.

v = v⁻ + s · (v⁺ - v⁻), v⁺ of prompt and LoRA, v⁻ of the negative prompt and the model's own weights. What the LoRA adds
is pushed on like what the prompt adds, at the cost of plain guidance: a model guided by a weaker version of itself
agrees more with itself (autoguidance, arXiv:2406.02507).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from pipelines.hooks import hooked
from pipelines.lora.stack import LoraStack

__all__ = ["paused_lora"]


@contextmanager
def paused_lora(stack: LoraStack, transformer: nn.Module, negative: Tensor | None) -> Iterator[None]:
    """While open, passes of the transformer that read the negative prompt compute without the stack's LoRAs.

    `negative`, the negative prompt's pooled embeddings, is known by identity: the pipelines hand on what they are
    given. None: all stays as it is.
    """
    if negative is None or not stack.changed:
        yield
        return

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if kwargs.get("pooled_projections") is negative:
            stack.pause()

    def after(*_: object) -> None:
        stack.resume()

    try:
        with hooked(transformer, before, after):
            yield
    finally:
        stack.resume()  # a pass that failed had no end
