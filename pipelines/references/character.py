"""Character: photos say who is shown, through an adapter that every block of the transformer attends to.

An adapter's tokens know the time (`pipelines.adapters.character`), so they are made anew in each step, once for both
sides of guidance. Who it is, where the adapter has a name for that, is added to the text. A strength of 0, and every
step outside of `start` and `end`, is the model without it, bit by bit. It goes together with an IP-Adapter, which adds
what it reads elsewhere in the block.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers.utils.torch_utils import get_module_execution_device

from pipelines.adapters.attention import AddedInside, TextLength, attention_added
from pipelines.adapters.character import (
    CharacterAdapter,
    EncodedCharacter,
    character_of,
    encode_character,
    log_weights,
)
from pipelines.adapters.character_network import BlockAttention
from pipelines.adapters.character_photos import CharacterPhoto
from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.references.protocol import Conditions, Reference, Request

__all__ = ["MAX_SCALE", "MOST_PHOTOS", "CharacterReference"]

MAX_SCALE, MOST_PHOTOS = 1.5, 4

Encoded = tuple[CharacterAdapter, EncodedCharacter]


@dataclass(frozen=True, eq=False)
class CharacterReference(Reference):
    """One to four `photos` of one character.

    `strength` in [0, 1.5] is how much is added to each block's attention; `scales`, by region, are how much each region
    counts among them, 0: it is never seen. It is on from `start` until `end`, shares of the steps in [0, 1]. `folder`
    is the adapter's; None: the backbone's own.
    """

    kind: ClassVar[str] = "character"
    families: ClassVar[tuple[str, ...]] = ("flux1",)

    photos: tuple[CharacterPhoto, ...]
    scales: Mapping[str, float] = field(default_factory=dict)
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    folder: Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.photos) <= MOST_PHOTOS:
            raise BadInput("character_photo_count", count=len(self.photos), most=MOST_PHOTOS)
        for scale in (self.strength, *self.scales.values()):
            if not 0 <= scale <= MAX_SCALE:  # false for NaN too
                raise BadInput("character_scale_out_of_range", scale=scale, most=MAX_SCALE)
        if not 0 <= self.start < self.end <= 1:
            raise BadInput("character_span", start=self.start, end=self.end)

    def key(self) -> Hashable | None:
        """Return what makes as many tokens, at as much strength; the photos are each picture's own."""
        if self.strength == 0:
            return None
        off = {region for region, scale in self.scales.items() if scale == 0}
        seen = tuple((*sorted(p.seen(off)), p.landmarks is None or "face" in p.hidden(off)) for p in self.photos)
        return self.strength, self.start, self.end, self.folder, tuple(sorted(self.scales.items())), seen

    def check(self, request: Request) -> None:
        if sum(isinstance(r, CharacterReference) and r.key() is not None for r in request.references) > 1:
            raise BadInput("character_listed_twice")

    def encode(self, backbone: Backbone) -> Encoded:
        """The adapter, and what it reads of the photos. Raises BadInput for a region that its layout has not."""
        adapter = character_of(backbone, self.folder)
        regions = adapter.file.layout.regions
        known = regions if len(regions) > 1 else ()
        if unknown := sorted(set(self.scales) - set(known)):
            raise BadInput("character_region_unknown", region=unknown[0], known=list(known))
        return adapter, encode_character(adapter, self.photos, self.scales)

    @staticmethod
    def extend(conditions: Conditions, references: Sequence[CharacterReference], encoded: Sequence[Encoded]) -> None:
        """Both sides of classifier-free guidance see the tokens; of identity guidance, the positive one alone.

        Raises BadInput where what draws has not as many blocks as the adapter is for.
        """
        transformer, adapter, first = conditions.drawing.transformer, encoded[0][0], references[0]
        blocks = (*transformer.transformer_blocks, *transformer.single_transformer_blocks)
        if len(blocks) != len(adapter.blocks):
            raise BadInput("character_not_for_companion", blocks=len(adapter.blocks), wanted_blocks=len(blocks))
        device = get_module_execution_device(transformer)  # not where it waits, if it is offloaded
        worn = _Worn(adapter, [one for _, one in encoded], first, device)
        text = TextLength()
        added = [AddedInside(_Reader(worn, block.to(device)), text) for block in adapter.blocks]
        conditions.followers.append(worn)
        conditions.installed.append(attention_added([block.attn for block in blocks], added))
        if worn.name is not None:
            conditions.installed.append(_named(transformer, worn, conditions.drawing.spec.max_sequence_length))


@contextmanager
def _named(transformer: nn.Module, worn: _Worn, words: int) -> Iterator[None]:
    """While open, the text says who it is in each step in which they are on. Tokens behind `words` are a place's."""

    def add(_: nn.Module, args: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        if worn.tokens is None or worn.name is None:
            return None
        text = given["encoder_hidden_states"]
        named = text[:, :words] + worn.strength * worn.name.to(text)
        return args, given | {"encoder_hidden_states": torch.cat([named, text[:, words:]], dim=1)}

    handle = transformer.register_forward_pre_hook(add, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


class _Worn:
    """The characters of a batch while it is drawn: the tokens of this step; None where it is off."""

    def __init__(
        self,
        adapter: CharacterAdapter,
        encoded: Sequence[EncodedCharacter],
        reference: CharacterReference,
        device: torch.device,
    ) -> None:
        people = list(dict.fromkeys(encoded))
        self._resampler = adapter.resampler.to(device)
        self._read = [row.to(device) for one in people for row in one.tokens]
        self._regions = torch.cat([one.regions for one in people]).to(device)
        self._span, self._sigma, self._made = (reference.start, reference.end), -1.0, self._read[0]
        self._people = len(people)
        bias = log_weights(people[0], adapter.file.sizes.queries)
        self.bias = None if bias is None else bias.to(device)
        self.picture = torch.tensor([people.index(one) for one in encoded], device=device)
        names = [one.name for one in encoded if one.name is not None]
        self.name = torch.stack(names).to(device)[:, None] if names else None
        self.strength = reference.strength
        self.tokens: Tensor | None = None

    def follow(self, sigma: Tensor, share: float, is_plain: bool) -> None:
        start, end = self._span
        if is_plain or not start <= share < end:
            self.tokens = None
            return
        if self._sigma != float(sigma):  # both sides of guidance see the same
            time = (sigma * 1000).to(self._read[0]).reshape(1)
            self._made = self._resampler.resample_rows(self._read, self._regions, time)
            self._sigma = float(sigma)
        self.tokens = self._made.unflatten(0, (self._people, -1)).flatten(1, 2)


class _Reader:
    """What one block reads."""

    def __init__(self, worn: _Worn, attention: BlockAttention) -> None:
        self._worn, self._attention = worn, attention

    @property
    def is_on(self) -> bool:
        return self._worn.tokens is not None

    def read(self, query: Tensor) -> Tensor:
        worn = self._worn
        assert worn.tokens is not None
        read: Tensor = self._attention(query, worn.tokens, worn.picture, worn.bias)
        return worn.strength * read
