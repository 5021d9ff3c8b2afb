"""Networks of a character adapter: from encoders' features to what each block of the transformer reads.

The stacks are diffusers' `BasicTransformerBlock`, and the resampler is its `IPAdapterTimeImageProjection`, which was
made for SD3 and computes what InstantCharacter's does. In the projector, tokens of the whole are changed by its own
shallow features (cross layer) and by its second scale, quarters or regions (cross scale); a region has no second scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.embeddings import IPAdapterTimeImageProjection

from pipelines.adapters.character_layout import Dimensions

__all__ = ["BlockAttention", "Projector", "Resampler", "build_blocks", "build_projector", "build_resampler"]

Network = TypeVar("Network", bound=nn.Module)

_EPS = 1e-6
_RENAMED = (
    (".0.norm1.", ".ln0."), (".0.norm2.", ".ln1."), (".0.to_out.", ".attn.to_out.0."), (".0.to_", ".attn.to_"),
    (".1.0.", ".adaln_norm."), (".1.1.", ".ff.net.0.proj."), (".1.3.", ".ff.net.2."), (".2.1.", ".adaln_proj."),
)  # fmt: skip
"""Names inside of the resampler's layers, the file's and diffusers'."""


class _Mlp(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
        return projected


class Projector(nn.Module):
    """Makes tokens of a photo, or of a region of one, that do not depend on the time: once for each photo."""

    def __init__(self, sizes: Dimensions) -> None:
        super().__init__()
        heads, width = sizes.stack_heads, sizes.features

        def stack() -> nn.ModuleList:
            return nn.ModuleList(
                BasicTransformerBlock(
                    width, heads, width // heads, cross_attention_dim=width, norm_eps=_EPS,
                    ff_inner_dim=sizes.stack_hidden,
                )
                for _ in range(sizes.stack_blocks)
            )  # fmt: skip

        self.cross_layer_blocks, self.cross_scale_blocks = stack(), stack()
        self.proj, self.proj_cross_layer, self.proj_cross_scale = (_Mlp(width, sizes.mlp_hidden) for _ in range(3))

    def forward(self, deep: Tensor, shallow: Tensor, scale: Tensor | None = None) -> Tensor:
        """Return tokens [b, 2n, c] of `deep` [b, n, c], `shallow` [b, m, c] and the deep features of the second scale,
        [b, k, c] or None.
        """
        layered, scaled = deep, deep
        for block in self.cross_layer_blocks:
            layered = block(layered, encoder_hidden_states=shallow)
        plain = self.proj(deep)
        if scale is not None:
            for block in self.cross_scale_blocks:
                scaled = block(scaled, encoder_hidden_states=scale)
            plain = plain + self.proj_cross_scale(scaled)
        return torch.cat([plain, self.proj_cross_layer(layered)], dim=1)


class Resampler(IPAdapterTimeImageProjection):
    """Makes the tokens of a step from a projector's. Each region has queries of its own, and all else is shared."""

    def __init__(self, sizes: Dimensions) -> None:
        super().__init__(
            embed_dim=sizes.features, output_dim=sizes.token_width, hidden_dim=sizes.width, depth=sizes.depth,
            dim_head=sizes.width // sizes.resampler_heads, heads=sizes.resampler_heads, num_queries=sizes.queries,
            ffn_ratio=sizes.ratio, timestep_in_dim=sizes.sinusoids,
        )  # fmt: skip
        self.latents = nn.Parameter(torch.empty(sizes.regions, sizes.queries, sizes.width))

    def resample(self, tokens: Tensor, regions: Tensor, time: Tensor) -> Tensor:
        """Return [r, q, d] of tokens [r, n, c], at the time [1] in 0…1000; `regions` [r] are each row's number."""
        moment = self.time_embedding(self.time_proj(time).to(tokens.dtype)).expand(len(tokens), -1)
        tokens = self.proj_in(tokens) + moment[:, None]
        latents = self.latents[regions]
        for layer in self.layers:
            latents = layer(tokens, latents, moment)
        resampled: Tensor = self.norm_out(self.proj_out(latents))
        return resampled


class _HeadNorm(nn.Module):
    """RMS norm of each head: scale · x / (rms + 1e-6)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        rms = wide.square().mean(dim=-1, keepdim=True).sqrt()
        return (wide / (rms + _EPS)).to(x.dtype) * self.scale


class BlockAttention(nn.Module):
    """What one block of the transformer reads the tokens with."""

    def __init__(self, sizes: Dimensions) -> None:
        super().__init__()
        self.to_k_ip = nn.Linear(sizes.token_width, sizes.block_width)
        self.to_v_ip = nn.Linear(sizes.token_width, sizes.block_width)
        self.norm_ip_q, self.norm_ip_k = _HeadNorm(sizes.block_head), _HeadNorm(sizes.block_head)
        self._heads = sizes.block_width // sizes.block_head

    def forward(self, query: Tensor, tokens: Tensor, picture: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return what the queries [b, n, w] read, [b, n, w], before it is scaled.

        `tokens` [p, m, d] are those of different people, `picture` [b] says whose each picture's are, and `bias` [m] is
        added to the attention's logits.
        """
        q = self.norm_ip_q(query.unflatten(-1, (self._heads, -1)))
        k = self.norm_ip_k(self.to_k_ip(tokens).unflatten(-1, (self._heads, -1)))[picture]
        v = self.to_v_ip(tokens).unflatten(-1, (self._heads, -1))[picture]
        mask = None if bias is None else bias.to(q.dtype)[None, None, None, :]
        read = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2).to(q.dtype), v.transpose(1, 2).to(q.dtype), attn_mask=mask
        )
        return read.transpose(1, 2).flatten(2)


def build_projector(sizes: Dimensions, tensors: Mapping[str, Tensor]) -> Projector:
    """Return the projector with the file's numbers, which it takes as they are."""
    own = {name: t for name, t in _under("image_proj.", tensors).items() if not name.startswith("resampler.")}
    return _filled(Projector, sizes, own)


def build_resampler(sizes: Dimensions, tensors: Mapping[str, Tensor]) -> Resampler:
    """Return the resampler with the file's numbers."""
    return _filled(
        Resampler, sizes, {_renamed(name): t for name, t in _under("image_proj.resampler.", tensors).items()}
    )


def build_blocks(sizes: Dimensions, tensors: Mapping[str, Tensor]) -> tuple[BlockAttention, ...]:
    """Return what each block reads with, the double blocks' first."""
    return tuple(
        _filled(BlockAttention, sizes, _under(f"ip_adapter.{number}.", tensors)) for number in range(sizes.blocks)
    )


def _filled(kind: Callable[[Dimensions], Network], sizes: Dimensions, tensors: Mapping[str, Tensor]) -> Network:
    """Build it without numbers of its own first: at full size they would take as much memory again."""
    with torch.device("meta"):
        network = kind(sizes)
    network.load_state_dict(tensors, assign=True)
    return network.requires_grad_(False).eval()


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _renamed(name: str) -> str:
    if not name.startswith("layers."):
        return name
    _, number, rest = name.split(".", 2)
    rest = f".{rest}"
    found, new = next(row for row in _RENAMED if rest.startswith(row[0]))
    return f"layers.{number}{new}{rest.removeprefix(found)}"
