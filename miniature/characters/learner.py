"""The adapter while it learns: the networks that are used later, on batches of references."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxTransformer2DModel

from miniature.characters.data import Piece
from miniature.world import IDENTITY_DIM
from pipelines.adapters.character_layout import COLOURS, STUDIO, Dimensions
from pipelines.adapters.character_network import BlockAttention, Name, Projector, Resampler, file_tensors

SIZES = Dimensions(
    features=128, stack_blocks=1, stack_hidden=256, mlp_hidden=96, width=192, depth=2, ratio=2,
    regions=len(STUDIO.regions), queries=12, sinusoids=128, token_width=256, blocks=8, block_width=256, block_head=64,
    stack_heads=2, resampler_heads=3, face_map=128, embedding=128, colours=COLOURS, name_hidden=192,
)  # fmt: skip
"""Those of the miniature's transformer; the encoders' stages are 128 wide."""
_UNSEEN = -1e4
_HASTE, _RIDGE = 4.0, 0.02
_WHOLE, _FACE = (STUDIO.regions.index(name) for name in ("whole", "face"))


@dataclass(frozen=True)
class References:
    """Up to k photos of each of b people, as the encoders see them, r regions each.

    `deep` and `shallow` [b, k, r, n, c], `colours` [b, k, r, 7], `seen` bool [b, k, r]; `face` [b, k, n, f], `told`
    [b, k, e] and `found` bool [b, k] of faces; `on` bool [b] says who is shown at all.
    """

    deep: Tensor
    shallow: Tensor
    colours: Tensor
    seen: Tensor
    face: Tensor
    told: Tensor
    found: Tensor
    on: Tensor


def sizes_for(transformer: FluxTransformer2DModel) -> Dimensions:
    """Return the adapter's sizes in front of a transformer."""
    config = transformer.config
    return replace(
        SIZES, token_width=int(config.joint_attention_dim), blocks=config.num_layers + config.num_single_layers,
        block_width=int(transformer.inner_dim), block_head=int(config.attention_head_dim),
    )  # fmt: skip


class Learner(nn.Module):
    """Everything that learns. Values and name start at zero: at first the adapter is off."""

    def __init__(self, sizes: Dimensions) -> None:
        super().__init__()
        self.projector, self.resampler, self.name = Projector(sizes), Resampler(sizes), Name(sizes)
        self.blocks = nn.ModuleList(BlockAttention(sizes) for _ in range(sizes.blocks))
        for block in self.blocks:
            assert isinstance(block, BlockAttention)
            nn.init.zeros_(block.to_v_ip.weight)
            nn.init.zeros_(block.to_v_ip.bias)
        self.somebody = nn.Sequential(
            nn.Linear(IDENTITY_DIM, sizes.name_hidden), nn.GELU("tanh"), nn.Linear(sizes.name_hidden, sizes.token_width)
        )
        """What the base was told people by: learnt anew from true traits first, many times faster than from a face."""
        for last in (self.name.fc2, self.somebody[2]):
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def tensors(self) -> dict[str, Tensor]:
        """Return all numbers by their names in an adapter's file."""
        blocks = [block for block in self.blocks if isinstance(block, BlockAttention)]
        return file_tensors(self.projector, self.resampler, blocks, self.name)

    @torch.no_grad()
    def whiten_as(self, pieces: list[Piece]) -> None:
        """Take over means and deviations of features from pieces."""
        seen, found = torch.cat([p["seen"] for p in pieces]), torch.cat([p["found"] for p in pieces])
        for row, name in enumerate(("deep", "shallow")):
            own = torch.cat([p[name] for p in pieces])[seen].float().flatten(0, 1)
            self.projector.whitening[row, 0], self.projector.whitening[row, 1] = own.mean(0), own.std(0) + 1e-2
        own = torch.cat([p["face"] for p in pieces])[found].float().flatten(0, 1)
        self.projector.whitening_face[0], self.projector.whitening_face[1] = own.mean(0), own.std(0) + 1e-2

    def name_people(self, traits: Tensor, on: Tensor) -> Tensor:
        """Return what is added to every token of the text, [b, d], from true traits [b, 26]. The factor hastens."""
        name: Tensor = _HASTE * self.somebody(traits) * on[:, None]
        return name

    @torch.no_grad()
    def name_faces(self, told: Tensor, traits: Tensor) -> None:
        """Let the name be what `name_people` makes of the traits that a line through unit embeddings `told` [n, e]
        says; `traits` [n, 26] are the true ones of the same faces.
        """
        first, last = self.somebody[0], self.somebody[2]
        assert isinstance(first, nn.Linear)
        assert isinstance(last, nn.Linear)
        mean, centre = traits.mean(0), told.mean(0)
        x, y = told - centre, traits - mean
        line = torch.linalg.solve(x.T @ x + _RIDGE * len(x) / x.shape[1] * torch.eye(x.shape[1]), x.T @ y)  # [e, 26]
        self.name.fc1.weight.copy_(first.weight @ line.T)
        self.name.fc1.bias.copy_(first.bias + first.weight @ (mean - centre @ line))
        self.name.fc2.weight.copy_(_HASTE * last.weight)
        self.name.fc2.bias.copy_(_HASTE * last.bias)

    def name_of(self, shown: References) -> Tensor:
        """Return what is added to every token of the text, [b, d]: 0 where no face is found."""
        told = F.normalize((shown.told * shown.found[..., None]).sum(dim=1))
        name: Tensor = self.name(told) * (shown.found.any(dim=1) & shown.on)[:, None]
        return name

    def forward(self, shown: References, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return tokens [b, m, d] at each one's time [b] in 0…1000, and what is added to their logits [b, m]."""
        p, seen = self.projector, shown.seen
        deep, shallow = p.whiten(shown.deep, shown.shallow)
        kind = torch.where(seen, 1, 0)  # rows of one kind have as many tokens
        kind[:, :, _WHOLE] = torch.where(seen[:, :, _WHOLE], torch.where(shown.found, 2, 3), 0)
        kind[:, :, _FACE] = torch.where(seen[:, :, _FACE], torch.where(shown.found, 4, 1), 0)
        made = list[tuple[tuple[Tensor, ...], Tensor]]()
        for number in (1, 2, 3, 4):
            at = torch.nonzero(kind == number, as_tuple=True)
            if not len(at[0]):
                continue
            photo = at[:2]
            parts, there = None, None
            if number in (2, 3):
                parts = deep[photo][:, 1:].flatten(1, 2)
                there = seen[photo][:, 1:].repeat_interleave(deep.shape[3], dim=1)
            tokens = [p(deep[at], shallow[at], parts, there), p.colour_tokens(shown.colours[at])]
            if number == 2:
                tokens.append(p.embedding_tokens(shown.told[photo]))
            if number == 4:
                tokens.append(p.face_tokens(shown.face[photo]))
            made.append((at, self.resampler.resample(torch.cat(tokens, dim=1), at[2], time[at[0]])))
        latents = self.resampler.latents
        width = self.name.fc2.out_features
        whole = torch.zeros(*seen.shape, latents.shape[1], width, dtype=deep.dtype, device=deep.device)
        for at, rows in made:
            whole = whole.index_put(at, rows.to(whole.dtype))
        bias = torch.where(seen, -seen.sum(dim=1, keepdim=True).clamp(min=1).log().expand_as(deep[..., 0, 0]), _UNSEEN)
        bias = bias[..., None].expand(*seen.shape, latents.shape[1])
        return whole.flatten(1, 3), bias.flatten(1)
