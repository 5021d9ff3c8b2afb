"""Attention that adapters add to a transformer's blocks: each one's is added to what the others give.

In each block the adapter's tokens are attended to by the image's own queries, and the result is added after the
feed-forward part, times a scale (arXiv:2308.06721 §3.2; diffusers' FluxIPAdapterAttnProcessor, which knows only its own
kind of adapter and takes the place of any other).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers.models.attention_dispatch import dispatch_attention_fn

__all__ = ["AddedAttention", "attention_added"]


@dataclass(frozen=True, eq=False)
class AddedAttention:
    """Tokens that one block reads: `tokens` [b, …, c] through `key` and `value`, added at `scale`."""

    tokens: Tensor
    key: nn.Module
    value: nn.Module
    scale: float


@contextmanager
def attention_added(attentions: Sequence[Any], added: Sequence[AddedAttention | None]) -> Iterator[None]:
    """While open, each attention of FLUX.1's double blocks adds its part, on top of what others have added before.

    None leaves an attention exactly as it is.
    """
    before = [attention.processor for attention in attentions]
    try:
        for attention, one in zip(attentions, added, strict=True):
            if one is not None:
                attention.set_processor(_Processor(attention.processor, one))
        yield
    finally:
        for attention, processor in zip(attentions, before, strict=True):
            if attention.processor is not processor:
                attention.set_processor(processor)


class _Processor:
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
