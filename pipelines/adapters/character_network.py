"""Networks of a character adapter: from encoders' features to what each block of the transformer reads.

The stacks are diffusers' `BasicTransformerBlock`, and the resampler is its `IPAdapterTimeImageProjection`, which was
made for SD3 and computes what InstantCharacter's does. In the projector, tokens of the whole are changed by its own
shallow features (cross layer) and by its second scale, quarters or regions (cross scale); a region has no second scale.
Where an adapter reads parts, tokens of the face and of colours stand behind them, and a name is added to the text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.embeddings import IPAdapterTimeImageProjection

from pipelines.adapters.character_layout import Dimensions

__all__ = ["BlockAttention", "Name", "Projector", "Resampler", "build_blocks", "build_name", "build_projector",
           "build_resampler", "file_tensors"]  # fmt: skip

Network = TypeVar("Network", bound=nn.Module)

_EPS = 1e-6
_UNSEEN = -1e4  # added to logits of what is not there
_RENAMED = (
    (".0.norm1.", ".ln0."), (".0.norm2.", ".ln1."), (".0.to_out.", ".attn.to_out.0."), (".0.to_", ".attn.to_"),
    (".1.0.", ".adaln_norm."), (".1.1.", ".ff.net.0.proj."), (".1.3.", ".ff.net.2."), (".2.1.", ".adaln_proj."),
)  # fmt: skip
"""Names inside of the resampler's layers, the file's and diffusers'."""


class _Mlp(nn.Module):
    def __init__(self, width: int, hidden: int, out: int | None = None) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, out or width)

    def forward(self, x: Tensor) -> Tensor:
        projected: Tensor = self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
        return projected


class Name(_Mlp):
    """Who the recogniser says it is, unit embeddings [b, e], to what is added to every token of the text [b, d]."""

    def __init__(self, sizes: Dimensions) -> None:
        super().__init__(sizes.embedding, sizes.name_hidden, sizes.token_width)


class Projector(nn.Module):
    """Makes tokens of a photo, or of a region of one, that do not depend on the time: once for each photo.

    `whitening` [2, 2, c], of deep and of shallow features, and `whitening_face` [2, f] are means and deviations.
    """

    whitening: Tensor
    whitening_face: Tensor

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
        if sizes.has_parts:
            self.face_map, self.face_embedding = nn.Linear(sizes.face_map, width), nn.Linear(sizes.embedding, width)
            self.colour = nn.Linear(sizes.colours, width)
            unit = torch.tensor([0.0, 1.0])  # mean and deviation
            self.register_buffer("whitening", unit[None, :, None].repeat(2, 1, width))
            self.register_buffer("whitening_face", unit[:, None].repeat(1, sizes.face_map))
        self._embedding_scale = sizes.embedding**0.5

    def whiten(self, deep: Tensor, shallow: Tensor) -> tuple[Tensor, Tensor]:
        """Return encoders' features [b, n, c] in the scale that the adapter learnt in, which the file says."""
        (mean, deviation), (other_mean, other_deviation) = self.whitening
        return (deep - mean) / deviation, (shallow - other_mean) / other_deviation

    def colour_tokens(self, colours: Tensor) -> Tensor:
        """Return [b, 1, c] of the colours [b, 7] of a region."""
        tokens: Tensor = self.colour(colours)[:, None]
        return tokens

    def face_tokens(self, seen: Tensor) -> Tensor:
        """Return [b, n, c] of a recogniser's last map of the aligned face, [b, n, f]."""
        mean, deviation = self.whitening_face
        tokens: Tensor = self.face_map((seen - mean) / deviation)
        return tokens

    def embedding_tokens(self, embedding: Tensor) -> Tensor:
        """Return [b, 1, c] of a recogniser's unit embeddings [b, e]."""
        tokens: Tensor = self.face_embedding(embedding * self._embedding_scale)[:, None]
        return tokens

    def forward(self, deep: Tensor, shallow: Tensor, scale: Tensor | None = None, seen: Tensor | None = None) -> Tensor:
        """Return tokens [b, 2n, c] of `deep` [b, n, c], `shallow` [b, m, c] and the deep features of the second scale,
        [b, k, c] or None. `seen` bool [b, k] says which of these are there, None: all.
        """
        layered, scaled = deep, deep
        bias = None if seen is None else ((~seen) * _UNSEEN).to(deep.dtype)[:, None]
        for block in self.cross_layer_blocks:
            layered = block(layered, encoder_hidden_states=shallow)
        plain = self.proj(deep)
        if scale is not None:
            for block in self.cross_scale_blocks:
                scaled = block(scaled, encoder_hidden_states=scale, encoder_attention_mask=bias)
            term = self.proj_cross_scale(scaled)
            plain = plain + (term if seen is None else term * seen.any(dim=1)[:, None, None])
        return torch.cat([plain, self.proj_cross_layer(layered)], dim=1)


class Resampler(IPAdapterTimeImageProjection):
    """Makes the tokens of a step from a projector's. Each region has queries of its own, and all else is shared."""

    def __init__(self, sizes: Dimensions) -> None:
        super().__init__(
            embed_dim=sizes.features, output_dim=sizes.token_width, hidden_dim=sizes.width, depth=sizes.depth,
            dim_head=sizes.width // sizes.resampler_heads, heads=sizes.resampler_heads, num_queries=sizes.queries,
            ffn_ratio=sizes.ratio, timestep_in_dim=sizes.sinusoids,
        )  # fmt: skip
        self.latents = nn.Parameter(torch.randn(sizes.regions, sizes.queries, sizes.width) * sizes.width**-0.5)

    def resample(self, tokens: Tensor, regions: Tensor, time: Tensor) -> Tensor:
        """Return [r, q, d] of tokens [r, n, c], at the time [1] in 0…1000; `regions` [r] are each row's number."""
        moment = self.time_embedding(self.time_proj(time).to(tokens.dtype)).expand(len(tokens), -1)
        tokens = self.proj_in(tokens) + moment[:, None]
        latents = self.latents[regions]
        for layer in self.layers:
            latents = layer(tokens, latents, moment)
        resampled: Tensor = self.norm_out(self.proj_out(latents))
        return resampled

    def resample_rows(self, rows: Sequence[Tensor], regions: Tensor, time: Tensor) -> Tensor:
        """Return [r, q, d] of rows [n, c] that are not all as long; those of one length go through together."""
        lengths = [len(row) for row in rows]
        made: dict[int, Tensor] = {}
        for length in dict.fromkeys(lengths):
            some = [i for i, one in enumerate(lengths) if one == length]
            together = self.resample(torch.stack([rows[i] for i in some]), regions[some], time)
            made.update(zip(some, together, strict=True))
        return torch.stack([made[i] for i in range(len(rows))])


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

        `tokens` [p, m, d] are those of different people, `picture` [b] says whose each picture's are, and `bias`, [m]
        or each person's own [p, m], is added to the attention's logits.
        """
        q = self.norm_ip_q(query.unflatten(-1, (self._heads, -1)))
        k = self.norm_ip_k(self.to_k_ip(tokens).unflatten(-1, (self._heads, -1)))[picture]
        v = self.to_v_ip(tokens).unflatten(-1, (self._heads, -1))[picture]
        mask = None if bias is None else bias.to(q.dtype).expand(len(tokens), -1)[picture][:, None, None, :]
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


def build_name(sizes: Dimensions, tensors: Mapping[str, Tensor]) -> Name | None:
    """Return what says who it is, None where the adapter has none."""
    return _filled(Name, sizes, _under("name_proj.", tensors)) if sizes.has_parts else None


def file_tensors(
    projector: Projector, resampler: Resampler, blocks: Sequence[BlockAttention], name: Name | None
) -> dict[str, Tensor]:
    """Return all numbers of these networks by their names in a file, which the builders above take."""
    tensors = {f"image_proj.{key}": t for key, t in projector.state_dict().items()}
    tensors |= {f"image_proj.resampler.{_original(key)}": t for key, t in resampler.state_dict().items()}
    for number, block in enumerate(blocks):
        tensors |= {f"ip_adapter.{number}.{key}": t for key, t in block.state_dict().items()}
    return tensors | ({} if name is None else {f"name_proj.{key}": t for key, t in name.state_dict().items()})


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


def _original(name: str) -> str:
    """The file's name of one of diffusers'; `_renamed` the other way round."""
    if not name.startswith("layers."):
        return name
    _, number, rest = name.split(".", 2)
    rest = f".{rest}"
    found, old = next((new, old) for old, new in _RENAMED if rest.startswith(new))
    return f"layers.{number}{old}{rest.removeprefix(found)}"
