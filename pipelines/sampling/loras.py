"""The LoRAs of requests on the model that draws, for as long as it draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipelines.backbones import Backbone
from pipelines.errors import BadLora
from pipelines.lora.layers import Lora
from pipelines.lora.mixed import MixedLoras
from pipelines.lora.stack import LoraStack

__all__ = ["loras_of_batch_on", "loras_on"]


@contextmanager
def loras_of_batch_on(backbone: Backbone, pictures: Sequence[tuple[Lora, ...]]) -> Iterator[LoraStack | MixedLoras]:
    """While open, each picture of a batch is drawn with its own LoRAs; what is given can be paused.

    Those that all have alike are on the weights, as `loras_on` says; others beside them (`MixedLoras`).
    """
    if len(set(pictures)) == 1:
        with loras_on(backbone, pictures[0]):
            yield backbone.lora_stack
        return
    with loras_on(backbone, ()):
        mixed = MixedLoras(backbone.model, pictures)
        with mixed.on():
            yield mixed


@contextmanager
def loras_on(backbone: Backbone, loras: tuple[Lora, ...]) -> Iterator[None]:
    """While open, exactly `loras` are on the backbone, or the companion; afterwards what was on before, bit by bit.

    Nothing is done where they are on already. Raises BadLora where a layer does not fit.
    """
    before = backbone.lora_stack.loras
    if loras == before:
        yield
        return
    try:
        _put_on(backbone, loras)
        yield
    finally:
        _put_on(backbone, before)


def _put_on(backbone: Backbone, loras: tuple[Lora, ...]) -> None:
    try:
        backbone.put_on(loras)
    except BadLora as error:
        if not backbone.role:
            raise
        raise BadLora("lora_does_not_fit_companion", model=backbone.spec.id, cause=error) from error
