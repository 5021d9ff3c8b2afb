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

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxTransformer2DModel
from transformers import AutoImageProcessor, Dinov2Model, SiglipVisionModel

from pipelines.adapters.character_files import CharacterFile, find_encoder, read_character_file, read_tensors
from pipelines.adapters.character_layout import Encoder, tensor_shapes
from pipelines.adapters.character_network import (
    BlockAttention,
    Projector,
    Resampler,
    build_blocks,
    build_projector,
    build_resampler,
)
from pipelines.adapters.character_photos import CharacterPhoto, lay_out
from pipelines.backbones import Backbone
from pipelines.errors import BadInput, ModelMissing, NotEnoughMemory
from pipelines.families.folders import reading
from pipelines.models.hardware import Hardware, read_hardware
from pipelines.models.headers import read_header, shards_of

__all__ = ["CharacterAdapter", "EncodedCharacter", "character_of", "check_fits", "encode_character", "load_character",
           "log_weights"]  # fmt: skip

_CLASSES: Mapping[str, type[SiglipVisionModel] | type[Dinov2Model]] = {
    "siglip": SiglipVisionModel,
    "dinov2": Dinov2Model,
}


@dataclass(frozen=True, eq=False)
class _Eye:
    """A loaded encoder and how its pixels are made: (rescale · x - mean) / deviation, [3] each."""

    encoder: Encoder
    model: SiglipVisionModel | Dinov2Model
    rescale: float
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @property
    def width(self) -> int:
        return int(self.model.config.hidden_size)

    def look(self, squares: Sequence[npt.NDArray[np.uint8]]) -> tuple[Tensor, Tensor]:
        """Return deep [b, n, w] and shallow [b, s·n, w] features of squares uint8 [side, side, 3]."""
        weight = next(self.model.parameters())
        pixels = torch.from_numpy(np.stack(squares)).float() * self.rescale
        pixels = (pixels - torch.tensor(self.mean)) / torch.tensor(self.deviation)
        given = pixels.permute(0, 3, 1, 2).to(weight.device, weight.dtype)
        seen = self.model(given, output_hidden_states=True)
        first = self.encoder.class_tokens
        shallow = torch.cat([seen.hidden_states[state][:, first:] for state in self.encoder.states], dim=1)
        return seen.last_hidden_state[:, first:], shallow


@dataclass(frozen=True, eq=False)
class CharacterAdapter:
    """A loaded adapter. `blocks` are one per block of the transformer, the double ones first; squares are `side` px.

    `waits` says that encoders and projector are on the device only while a photo is read.
    """

    file: CharacterFile
    eyes: tuple[_Eye, ...]
    projector: Projector
    resampler: Resampler
    blocks: tuple[BlockAttention, ...]
    side: int
    device: torch.device
    waits: bool

    @property
    def device_bytes(self) -> float:
        """Return what it keeps on the device while pictures are drawn."""
        there: tuple[nn.Module, ...] = (self.resampler, *self.blocks, *(() if self.waits else _readers(self)))
        return float(sum(p.nbytes for module in there for p in module.parameters()))


@dataclass(frozen=True, eq=False)
class EncodedCharacter:
    """What does not depend on the time: `tokens` [r, n, c] of every region in every photo, the number in the layout of
    each in `regions` [r], and `weights` [r] by which their attention is multiplied, before all of them sum to one.
    """

    tokens: Tensor
    regions: Tensor
    weights: tuple[float, ...]


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
    eyes = tuple(_load_eye(encoder, place, dtype) for encoder, place in zip(file.layout.encoders, places, strict=True))
    side = _check_encoders(file, eyes)
    tensors, sizes = read_tensors(file), file.sizes
    adapter = CharacterAdapter(
        file, eyes, build_projector(sizes, tensors).to(dtype), build_resampler(sizes, tensors).to(dtype),
        tuple(block.to(dtype) for block in build_blocks(sizes, tensors)), side, device, waits,
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
    layout, rows = adapter.file.layout, list[tuple[int, Tensor]]()
    off = {region for region, scale in scales.items() if scale == 0}
    with _at_work(adapter):
        for photo in photos:
            laid = lay_out(photo, layout, adapter.side, off)
            if not laid.regions:
                continue
            deep, shallow = _look(adapter, list(laid.regions.values()))
            second = _look(adapter, laid.quarters)[0] if laid.quarters else deep[1:]
            for row, number in enumerate(laid.regions):
                has_second = number == 0 and len(second) > 0
                tokens = adapter.projector(
                    deep[row : row + 1], shallow[row : row + 1], second.flatten(0, 1)[None] if has_second else None
                )
                rows.append((number, tokens))
    if not rows:
        raise BadInput("character_nothing_left")
    numbers = [number for number, _ in rows]
    weights = tuple(scales.get(layout.regions[number], 1.0) / numbers.count(number) for number in numbers)
    return EncodedCharacter(torch.cat([tokens for _, tokens in rows]), torch.tensor(numbers), weights)


def log_weights(encoded: EncodedCharacter, queries: int) -> Tensor | None:
    """Return what is added to the attention's logits of all tokens, float32 [r · queries]; None where all are equal,
    since the attention's sum is one whatever is added to all of them.
    """
    most = max(encoded.weights)
    if min(encoded.weights) == most:
        return None
    return torch.tensor([math.log(weight / most) for weight in encoded.weights]).repeat_interleave(queries)


def _look(adapter: CharacterAdapter, squares: Sequence[npt.NDArray[np.uint8]]) -> tuple[Tensor, Tensor]:
    """What the encoders see, side by side."""
    seen = [eye.look(squares) for eye in adapter.eyes]
    return torch.cat([deep for deep, _ in seen], dim=2), torch.cat([shallow for _, shallow in seen], dim=2)


def _readers(adapter: CharacterAdapter) -> tuple[nn.Module, ...]:
    return (*(eye.model for eye in adapter.eyes), adapter.projector)


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


def _load_eye(encoder: Encoder, place: Path, dtype: torch.dtype) -> _Eye:
    with reading(str(place)):
        model = _CLASSES[encoder.id].from_pretrained(place, dtype=dtype, local_files_only=True)
        process = AutoImageProcessor.from_pretrained(place, local_files_only=True)
    model.requires_grad_(False).eval()
    return _Eye(encoder, model, float(process.rescale_factor), tuple(process.image_mean), tuple(process.image_std))


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


def _check_encoders(file: CharacterFile, eyes: Sequence[_Eye]) -> int:
    """Return the side of the squares. Raises BadInput where these encoders are not those that the adapter reads."""
    side = int(eyes[0].model.config.image_size)
    patches = {side // int(eye.model.config.patch_size) for eye in eyes}
    deepest = all(max(eye.encoder.states) <= int(eye.model.config.num_hidden_layers) for eye in eyes)
    writes = sum(eye.width for eye in eyes)
    if writes != file.sizes.features or len(patches) != 1 or not deepest:
        raise BadInput(
            "character_encoders_do_not_fit", file=file.path.name, reads=file.sizes.features, writes=writes,
            layers=[max(eye.encoder.states) for eye in eyes],
        )  # fmt: skip
    return side


def _plan(file: CharacterFile, places: Sequence[Path], dtype: torch.dtype, beside: float, hardware: Hardware) -> bool:
    """Return whether what reads photos has to wait in memory. The text halves of encoders' files are not loaded."""
    numbers = {True: 0, False: 0}
    for name, shape in tensor_shapes(file.sizes):
        numbers[name.startswith("image_proj.") and not name.startswith("image_proj.resampler.")] += prod(shape)
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
