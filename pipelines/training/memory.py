"""Memory of a training, told before its first step."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from pipelines.backbones import Backbone
from pipelines.errors import NotEnoughMemory
from pipelines.models.hardware import training_bytes

__all__ = ["needs_checkpointing"]


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
    least = training_bytes(*sizes, checkpointing=True)
    if least > room:
        told = {"count": batch_size, "needed_gb": least / 1e9, "free_gb": max(room, 0.0) / 1e9}
        raise NotEnoughMemory("no_memory_to_train", model=spec.id, **told)
    return training_bytes(*sizes, checkpointing=False) > room
