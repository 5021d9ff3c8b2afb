"""Memory of a training, told before its first step, and by files' headers before anything is loaded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from pipelines.backbones import Backbone
from pipelines.errors import NotEnoughMemory
from pipelines.families.catalogue import find_family
from pipelines.families.folders import bare_names, read_transformer_headers, token_px_of
from pipelines.families.spec import BackboneSpec
from pipelines.models.hardware import training_bytes

__all__ = ["check_room", "needs_checkpointing"]

_BLOCK = re.compile(r"(\w+\.\d+)\..*weight")


def needs_checkpointing(backbone: Backbone, modules: Sequence[str], rank: int, batch_size: int, pixels: int) -> bool:
    """Return whether only gradient checkpointing lets a step fit the device: it changes no gradient, and takes time.

    A LoRA of this rank is trained on these modules of the transformer, by pictures of so many pixels each. Raises
    NotEnoughMemory where no step fits with it either.
    """
    transformer, spec, room = backbone.transformer, backbone.spec, backbone.room_bytes
    layers = [transformer.get_submodule(name) for name in modules]
    trained = sum(rank * (layer.in_features + layer.out_features) for layer in layers)
    blocks = sum(len(part) for part in transformer.children() if isinstance(part, nn.ModuleList))
    tokens = batch_size * (pixels // backbone.model.token_px**2 + spec.max_sequence_length)
    sizes = backbone.model.width, blocks, tokens, backbone.dtype.itemsize, trained
    _refuse_beyond(room, training_bytes(*sizes, checkpointing=True), spec.id, batch_size)
    return training_bytes(*sizes, checkpointing=False) > room


def check_room(
    spec: BackboneSpec, room: float, rank: int, batch_size: int, number_bytes: int, config: Mapping[str, Any]
) -> None:
    """Raise NotEnoughMemory where no step fits into `room` bytes beside a model of this transformer's `config`, with
    gradient checkpointing: told by its files' headers, on the safe side. `number_bytes` is the size of a number that is
    computed with.
    """
    headers = read_transformer_headers(spec.source)
    shapes = {bare: h.shapes[name] for h in headers for bare, name in bare_names(h.shapes).items()}
    found = {name: match for name in shapes if (match := _BLOCK.fullmatch(name))}
    trained = rank * sum(sum(shapes[name]) for name in found if len(shapes[name]) == 2)
    tokens = batch_size * (spec.height * spec.width // token_px_of(spec.folder) ** 2 + spec.max_sequence_length)
    width, blocks = find_family(spec.family).hidden_width(config), len({match[1] for match in found.values()})
    _refuse_beyond(
        room, training_bytes(width, blocks, tokens, number_bytes, trained, checkpointing=True), spec.id, batch_size
    )


def _refuse_beyond(room: float, least: float, model: str, count: int) -> None:
    if least > room:
        told = {"count": count, "needed_gb": least / 1e9, "free_gb": max(room, 0.0) / 1e9}
        raise NotEnoughMemory("no_memory_to_train", model=model, **told)
