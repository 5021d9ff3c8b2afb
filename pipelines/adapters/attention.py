"""Attention that adapters add to a transformer's blocks: each one's is added to what the others give.

In each block the adapter's tokens are attended to by the image's own queries, and the result is added, times a scale:
after the feed-forward part (arXiv:2308.06721 §3.2; diffusers' FluxIPAdapterAttnProcessor, which knows only its own kind
of adapter and takes the place of any other), or to the block's own attention before its last layer (InstantCharacter).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers.models.attention_dispatch import dispatch_attention_fn

__all__ = ["AddedAttention", "AddedInside", "TextLength", "attention_added"]


class Added(Protocol):
    """What an adapter adds to the attention of one block."""

    def around(self, processor: Any) -> Any:
        """Return the attention processor that adds it to what `processor` gives."""


@dataclass(frozen=True, eq=False)
class AddedAttention:
    """Tokens that one double block reads: `tokens` [b, …, c] through `key` and `value`, added at `scale`."""

    tokens: Tensor
    key: nn.Module
    value: nn.Module
    scale: float

    def around(self, processor: Any) -> Any:
        return _AfterBlock(processor, self)


class Reader(Protocol):
    """What one block reads of tokens that change from step to step."""

    @property
    def is_on(self) -> bool:
        """Whether anything is added in this step; where not, the block is exactly as it was."""

    def read(self, query: Tensor) -> Tensor:
        """Return what is added to the attention [b, n, w] of queries [b, n, w]."""


@dataclass(eq=False)
class TextLength:
    """How many tokens of text stand before the image's in single blocks, as the double blocks have seen it."""

    tokens: int = 0


@dataclass(frozen=True, eq=False)
class AddedInside:
    """What one block, double or single, adds to its own attention of the image, before the attention's last layer.

    The queries are those of the image before the block's own norm and rotation. `text` is shared by all blocks.
    """

    reader: Reader
    text: TextLength

    def around(self, processor: Any) -> Any:
        return _Inside(processor, self)


@contextmanager
def attention_added(attentions: Sequence[Any], added: Sequence[Added | None]) -> Iterator[None]:
    """While open, each attention of FLUX.1's blocks adds its part, on top of what others have added before.

    None leaves an attention exactly as it is.
    """
    before = [attention.processor for attention in attentions]
    try:
        for attention, one in zip(attentions, added, strict=True):
            if one is not None:
                attention.set_processor(one.around(attention.processor))
        yield
    finally:
        for attention, processor in zip(attentions, before, strict=True):
            if attention.processor is not processor:
                attention.set_processor(processor)


class _AfterBlock:
    """An attention processor around another; diffusers looks at the names of its arguments."""

    def __init__(self, inner: Any, added: AddedAttention) -> None:
        self._inner, self._added = inner, added

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        image, text, *others = self._inner(attn, hidden_states, encoder_hidden_states, attention_mask, image_rotary_emb)
        added, batch = self._added, hidden_states.shape[0]
        query = attn.norm_q(attn.to_q(hidden_states).unflatten(-1, (attn.heads, -1)))  # [b, n, heads, d]
        key, value = (
            part(added.tokens).view(batch, -1, attn.heads, attn.head_dim) for part in (added.key, added.value)
        )
        read = dispatch_attention_fn(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False)
        mine = added.scale * read.reshape(batch, -1, attn.heads * attn.head_dim).to(query.dtype)
        return image, text, others[0] + mine if others else mine


class _Inside:
    """An attention processor around another, which may itself give more than the two usual values."""

    def __init__(self, inner: Any, added: AddedInside) -> None:
        self._inner, self._added = inner, added

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Tensor | None = None,
    ) -> Any:
        given = (attn, hidden_states, encoder_hidden_states, attention_mask, image_rotary_emb)
        reader, text = self._added.reader, self._added.text
        if not reader.is_on:
            return self._inner(*given)
        if encoder_hidden_states is None:
            more = reader.read(attn.to_q(hidden_states[:, text.tokens :]))
            answer = self._inner(*given)
            return torch.cat([answer[:, : text.tokens], answer[:, text.tokens :] + more], dim=1)
        text.tokens = encoder_hidden_states.shape[1]
        more = reader.read(attn.to_q(hidden_states))
        hook = attn.to_out[0].register_forward_pre_hook(lambda _, args: (args[0] + more,))
        try:
            return self._inner(*given)
        finally:
            hook.remove()
