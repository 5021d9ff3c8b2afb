"""InstantCharacter's published forward pass, written down once more from its formulas: for tests to compare with.

Nothing here is shared with the adapter's own modules: tensors by the file's names, and torch's plain functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers.models.embeddings import apply_rotary_emb

__all__ = ["RestatedProcessor", "project", "resample"]

Tensors = Mapping[str, Tensor]


def _linear(t: Tensors, name: str, x: Tensor) -> Tensor:
    return F.linear(x, t[f"{name}.weight"], t.get(f"{name}.bias"))


def _norm(t: Tensors, name: str, x: Tensor, eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], t[f"{name}.weight"], t[f"{name}.bias"], eps)


def _split(x: Tensor, heads: int) -> Tensor:
    return x.view(*x.shape[:-1], heads, x.shape[-1] // heads)


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ / √d + bias) v for each head; all are [b, n, w]."""
    q, k, v = (_split(x, heads).transpose(1, 2) for x in (q, k, v))
    logits = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if bias is not None:
        logits = logits + bias
    return (logits.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)


def _attention(t: Tensors, name: str, x: Tensor, context: Tensor, heads: int) -> Tensor:
    q, k, v = (_linear(t, f"{name}.{p}", y) for p, y in (("to_q", x), ("to_k", context), ("to_v", context)))
    return _linear(t, f"{name}.to_out.0", _attend(q, k, v, heads))


def _stack(t: Tensors, name: str, x: Tensor, context: Tensor, heads: int) -> Tensor:
    """Blocks of self-attention, attention to the context, and a gated feed-forward part."""
    number = 0
    while f"{name}.{number}.norm1.weight" in t:
        block = f"{name}.{number}"
        y = _norm(t, f"{block}.norm1", x, 1e-6)
        x = x + _attention(t, f"{block}.attn1", y, y, heads)
        x = x + _attention(t, f"{block}.attn2", _norm(t, f"{block}.norm2", x, 1e-6), context, heads)
        value, gate = _linear(t, f"{block}.ff.net.0.proj", _norm(t, f"{block}.norm3", x, 1e-6)).chunk(2, dim=-1)
        x = x + _linear(t, f"{block}.ff.net.2", value * F.gelu(gate))
        number += 1
    return x


def _mlp(t: Tensors, name: str, x: Tensor) -> Tensor:
    return _linear(t, f"{name}.fc2", F.gelu(_linear(t, f"{name}.fc1", x), approximate="tanh"))


def project(t: Tensors, deep: Tensor, shallow: Tensor, crops: Tensor | None, heads: int) -> Tensor:
    """x = [proj(deep) + proj_cross_scale(C) ; proj_cross_layer(L)]."""
    p = "image_proj"
    layered = _stack(t, f"{p}.cross_layer_blocks", deep, shallow, heads)
    plain = _mlp(t, f"{p}.proj", deep)
    if crops is not None:
        plain = plain + _mlp(t, f"{p}.proj_cross_scale", _stack(t, f"{p}.cross_scale_blocks", deep, crops, heads))
    return torch.cat([plain, _mlp(t, f"{p}.proj_cross_layer", layered)], dim=1)


def resample(t: Tensors, x: Tensor, region: int, time: float, heads: int) -> Tensor:
    """The queries of a region read the tokens x [b, n, c], all of it modulated by the time in 0…1000."""
    p = "image_proj.resampler"
    half = t[f"{p}.time_embedding.linear_1.weight"].shape[1] // 2
    angles = time * torch.exp(-math.log(10_000) * torch.arange(half) / half)
    moment = torch.cat([angles.cos(), angles.sin()])[None]
    moment = _linear(t, f"{p}.time_embedding.linear_2", F.silu(_linear(t, f"{p}.time_embedding.linear_1", moment)))
    x = _linear(t, f"{p}.proj_in", x) + moment[:, None]
    latents = t[f"{p}.latents"][region].expand(len(x), -1, -1)
    number = 0
    while f"{p}.layers.{number}.0.to_q.weight" in t:
        layer = f"{p}.layers.{number}"
        shift, scale, shift_ff, scale_ff = _linear(t, f"{layer}.2.1", F.silu(moment))[:, None].chunk(4, dim=-1)
        y = _norm(t, f"{layer}.0.norm2", latents, 1e-5) * (1 + scale) + shift
        keys = torch.cat([_norm(t, f"{layer}.0.norm1", x, 1e-5), y], dim=1)
        k, v = _linear(t, f"{layer}.0.to_kv", keys).chunk(2, dim=-1)
        read = _attend(_linear(t, f"{layer}.0.to_q", y), k, v, heads)
        latents = latents + _linear(t, f"{layer}.0.to_out", read)
        y = _norm(t, f"{layer}.1.0", latents, 1e-5) * (1 + scale_ff) + shift_ff
        latents = latents + _linear(t, f"{layer}.1.3", F.gelu(_linear(t, f"{layer}.1.1", y)))
        number += 1
    return _norm(t, f"{p}.norm_out", _linear(t, f"{p}.proj_out", latents), 1e-5)


class RestatedProcessor:
    """FLUX.1's attention with the character's in it, all of one block: `tokens` [b, m, d] at `scale`."""

    def __init__(
        self, t: Tensors, block: int, tokens: Tensor, scale: float, text: int, bias: Tensor | None = None
    ) -> None:
        self._t, self._name, self._tokens, self._bias = t, f"ip_adapter.{block}", tokens, bias
        self._scale, self._text = scale, text

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None, image_rotary_emb: Any = None,
    ) -> Any:  # fmt: skip
        heads = attn.heads
        own = [part(hidden_states).unflatten(-1, (heads, -1)) for part in (attn.to_q, attn.to_k, attn.to_v)]
        image_query = own[0].flatten(2)
        own[0], own[1] = attn.norm_q(own[0]), attn.norm_k(own[1])
        if encoder_hidden_states is None:
            image_query = image_query[:, self._text :]
        else:
            text = [
                part(encoder_hidden_states).unflatten(-1, (heads, -1))
                for part in (attn.add_q_proj, attn.add_k_proj, attn.add_v_proj)
            ]
            text[0], text[1] = attn.norm_added_q(text[0]), attn.norm_added_k(text[1])
            own = [torch.cat([a, b], dim=1) for a, b in zip(text, own, strict=True)]
        q, k = (apply_rotary_emb(x, image_rotary_emb, sequence_dim=1) for x in own[:2])
        read = _attend(q.flatten(2), k.flatten(2), own[2].flatten(2), heads)
        read[:, self._text :] += self._scale * self._character(image_query, heads)
        if encoder_hidden_states is None:
            return read
        return attn.to_out[0](read[:, self._text :]), attn.to_add_out(read[:, : self._text])

    def _character(self, query: Tensor, heads: int) -> Tensor:
        k, v = (_linear(self._t, f"{self._name}.{part}", self._tokens) for part in ("to_k_ip", "to_v_ip"))
        q, k = self._rms(query, "norm_ip_q", heads), self._rms(k, "norm_ip_k", heads)
        return _attend(q, k, v, heads, self._bias)

    def _rms(self, x: Tensor, name: str, heads: int) -> Tensor:
        x = _split(x, heads)
        return (self._t[f"{self._name}.{name}.scale"] * x / (x.pow(2).mean(-1, keepdim=True).sqrt() + 1e-6)).flatten(2)
