"""Character adapters: loaded with their image encoders, and photos read by them (`adapters/character_layout.py`).

The encoders and the projector work once for each photo; the resampler and the blocks' attention work in every step.
Where the device has no room for all, the former wait in memory and come when a photo is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxTransformer2DModel

from pipelines.adapters.character_encoders import Encoders, StageEncoders, load_encoders
from pipelines.adapters.character_files import CharacterFile, find_encoder, read_character_file, read_tensors
from pipelines.adapters.character_layout import tensor_shapes
from pipelines.adapters.character_network import (
    BlockAttention,
    Name,
    Projector,
    Resampler,
    build_blocks,
    build_name,
    build_projector,
    build_resampler,
)
from pipelines.adapters.character_photos import CharacterPhoto, LaidOut, best_views, lay_out
from pipelines.backbones import Backbone
from pipelines.errors import BadInput, ModelMissing, NotEnoughMemory
from pipelines.models.hardware import Hardware, read_hardware
from pipelines.models.headers import read_header, shards_of

__all__ = ["CharacterAdapter", "EncodedCharacter", "character_of", "check_fits", "encode_character", "load_character",
           "log_weights"]  # fmt: skip


@dataclass(frozen=True, eq=False)
class CharacterAdapter:
    """A loaded adapter. `blocks` are one per block of the transformer, the double ones first.

    `name` is None where the layout has none. `waits` says that encoders and projector are on the device only while a
    photo is read.
    """

    file: CharacterFile
    encoders: Encoders
    projector: Projector
    resampler: Resampler
    blocks: tuple[BlockAttention, ...]
    name: Name | None
    device: torch.device
    waits: bool

    @property
    def device_bytes(self) -> float:
        """Return what it keeps on the device while pictures are drawn."""
        there: tuple[nn.Module, ...] = (self.resampler, *self.blocks, *(() if self.waits else _readers(self)))
        return float(sum(p.nbytes for module in there for p in module.parameters()))


@dataclass(frozen=True, eq=False)
class EncodedCharacter:
    """What does not depend on the time: `tokens`, r times [n, c], of every region in every photo, the number in the
    layout of each in `regions` [r], and `weights` [r] by which their attention is multiplied, before all of them sum to
    one; `name` [d] is added to every token of the text, None where nobody's face is known.
    """

    tokens: tuple[Tensor, ...]
    regions: Tensor
    weights: tuple[float, ...]
    name: Tensor | None = None


def character_of(backbone: Backbone, folder: Path | None = None) -> CharacterAdapter:
    """Return the adapter of a folder (None: the backbone's own), loaded once.

    Raises ModelMissing where there is none, BadInput where it does not fit, NotEnoughMemory where there is no room.
    """
    return backbone.loaded_beside("character", folder, lambda named: _load_for(backbone, named))


def load_character(
    folder: Path,
    transformer: FluxTransformer2DModel,
    device: torch.device,
    dtype: torch.dtype,
    beside: float = 0.0,
    hardware: Hardware | None = None,
) -> CharacterAdapter:
    """Load the adapter of a folder and its encoders, frozen. Never downloads.

    `beside` are bytes of the device that must stay free for the drawing itself; `hardware` is what is free now. Raises
    what `read_character_file` raises, BadInput where it does not fit the transformer or the encoders, NotEnoughMemory
    before anything is loaded.
    """
    file = read_character_file(folder)
    check_fits(file, transformer)
    places = [find_encoder(folder, encoder) for encoder in file.layout.encoders]
    waits = _plan(file, places, dtype, beside, read_hardware(device) if hardware is None else hardware)
    encoders = load_encoders(file, folder, dtype)
    tensors, sizes = read_tensors(file), file.sizes
    name = build_name(sizes, tensors)
    adapter = CharacterAdapter(
        file, encoders, build_projector(sizes, tensors).to(dtype), build_resampler(sizes, tensors).to(dtype),
        tuple(block.to(dtype) for block in build_blocks(sizes, tensors)), None if name is None else name.to(dtype),
        device, waits,
    )  # fmt: skip
    if not waits:
        for module in _readers(adapter):
            module.to(device)
    return adapter


@torch.no_grad()
def encode_character(
    adapter: CharacterAdapter, photos: Sequence[CharacterPhoto], scales: Mapping[str, float]
) -> EncodedCharacter:
    """Read photos of one character; `scales` are those of regions (1 where none is named, 0: never seen).

    Of a region in several photos each counts for its part. Raises BadInput where no region is left.
    """
    layout, encoders = adapter.file.layout, adapter.encoders
    off = {region for region, scale in scales.items() if scale == 0}
    face_side = encoders.face_side if isinstance(encoders, StageEncoders) else 0
    laid = [lay_out(photo, layout, encoders.side, off, face_side) for photo in photos]
    chosen = best_views(laid, layout.views)
    if not chosen:
        raise BadInput("character_nothing_left")
    with _at_work(adapter):
        seen = [_read(adapter, one) for one in laid]
        whose = [one.embedding for one in seen if one.embedding is not None]
        name = None
        if adapter.name is not None and whose:
            name = scales.get("face", 1.0) * adapter.name(F.normalize(torch.cat(whose).mean(dim=0, keepdim=True)))[0]
    rows = [(number, k) for number, views in chosen.items() for k in views]
    weights = tuple(scales.get(layout.regions[number], 1.0) / len(chosen[number]) for number, _ in rows)
    tokens = tuple(seen[k].tokens[number] for number, k in rows)
    return EncodedCharacter(tokens, torch.tensor([number for number, _ in rows]), weights, name)


@dataclass(frozen=True, eq=False)
class _Seen:
    """What is read of one photo: `tokens` [n, c] of regions by their number, and the face's unit `embedding` [1, e]."""

    tokens: Mapping[int, Tensor]
    embedding: Tensor | None


def _read(adapter: CharacterAdapter, laid: LaidOut) -> _Seen:
    projector, encoders = adapter.projector, adapter.encoders
    weight = next(projector.parameters())
    if not laid.regions:
        return _Seen({}, None)
    deep, shallow = encoders.look(list(laid.regions.values()))
    face = (
        encoders.look_at_faces([laid.face]) if isinstance(encoders, StageEncoders) and laid.face is not None else None
    )
    if adapter.file.sizes.has_parts:
        deep, shallow = projector.whiten(deep.to(weight), shallow.to(weight))
    second = encoders.look(laid.quarters)[0] if laid.quarters else deep[1:]
    tokens = {}
    for row, number in enumerate(laid.regions):
        has_second = number == 0 and len(second) > 0
        parts = [
            projector(deep[row : row + 1], shallow[row : row + 1], second.flatten(0, 1)[None] if has_second else None)
        ]
        if adapter.file.sizes.has_parts:
            parts.append(projector.colour_tokens(torch.from_numpy(laid.colours[number])[None].to(weight)))
        region = adapter.file.layout.regions[number]
        if face is not None and region == "face":
            parts.append(projector.face_tokens(face[0].to(weight)))
        if face is not None and region == "whole":
            parts.append(projector.embedding_tokens(face[1].to(weight)))
        tokens[number] = torch.cat(parts, dim=1)[0]
    return _Seen(tokens, None if face is None else face[1].to(weight))


def log_weights(encoded: EncodedCharacter, queries: int) -> Tensor | None:
    """Return what is added to the attention's logits of all tokens, float32 [r · queries]; None where all are equal,
    since the attention's sum is one whatever is added to all of them.
    """
    most = max(encoded.weights)
    if min(encoded.weights) == most:
        return None
    return torch.tensor([math.log(weight / most) for weight in encoded.weights]).repeat_interleave(queries)


def _readers(adapter: CharacterAdapter) -> tuple[nn.Module, ...]:
    return (*adapter.encoders.modules, adapter.projector, *(() if adapter.name is None else (adapter.name,)))


@contextmanager
def _at_work(adapter: CharacterAdapter) -> Iterator[None]:
    """While open, what reads photos is on the device."""
    if not adapter.waits:
        yield
        return
    try:
        for module in _readers(adapter):
            module.to(adapter.device)
        yield
    finally:
        for module in _readers(adapter):
            module.to("cpu")


def _load_for(backbone: Backbone, folder: Path | None) -> CharacterAdapter:
    where, transformer = folder or backbone.spec.companions.get("character"), backbone.transformer
    if where is None:
        raise ModelMissing("character_missing", backbone=backbone.spec.id)
    assert isinstance(transformer, FluxTransformer2DModel)
    return load_character(where, transformer, backbone.device, backbone.dtype, beside=backbone.drawing_bytes)


def check_fits(file: CharacterFile, transformer: FluxTransformer2DModel) -> None:
    """Raise BadInput where an adapter is for another number of blocks, or for others, than a transformer has."""
    config = transformer.config
    has = (file.sizes.blocks, file.sizes.block_width, file.sizes.block_head)
    wanted = (config.num_layers + config.num_single_layers, transformer.inner_dim, config.attention_head_dim)
    if has != wanted:
        raise BadInput(
            "character_does_not_fit", file=file.path.name, blocks=has[0], width=has[1], head=has[2],
            wanted_blocks=wanted[0], wanted_width=wanted[1], wanted_head=wanted[2],
        )  # fmt: skip


def _plan(file: CharacterFile, places: Sequence[Path], dtype: torch.dtype, beside: float, hardware: Hardware) -> bool:
    """Return whether what reads photos has to wait in memory. The text halves of encoders' files are not loaded."""
    numbers = {True: 0, False: 0}
    for name, shape in tensor_shapes(file.sizes):
        draws_with = name.startswith(("ip_adapter.", "image_proj.resampler."))
        numbers[not draws_with] += prod(shape)
    for place in places:
        shapes = (read_header(path).shapes.items() for path in shards_of(place))
        numbers[True] += sum(prod(shape) for rows in shapes for name, shape in rows if not name.startswith("text_"))
    reads, draws = (numbers[is_reading] * dtype.itemsize for is_reading in (True, False))
    if beside + reads + draws <= hardware.device_free:
        return False
    needed = draws + max(beside, reads) if hardware.device != "cpu" else beside + reads + draws
    if needed > hardware.device_free or reads + draws > hardware.ram_free:
        raise NotEnoughMemory(
            "no_memory_for_character", file=file.path.name, needed_gb=max(needed, reads + draws) / 1e9,
            free_gb=min(hardware.device_free, hardware.ram_free) / 1e9,
        )  # fmt: skip
    return True
