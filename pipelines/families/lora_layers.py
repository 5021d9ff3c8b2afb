"""Layers of a LoRA file as its header tells of them: what a family judges a file by. Nothing here imports torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.families.spellings import LoraWords, Spellings

__all__ = ["LayerSides", "hidden_width", "layers_of"]


@dataclass(frozen=True)
class LayerSides:
    """A layer that a file changes, by the table's name, in pieces; `inputs` and `outputs` are 0 where no plain matrix
    tells them. Outside the blocks `blocks` is "", `index` -1, and `leaf` the whole name.
    """

    name: str
    blocks: str
    index: int
    leaf: str
    module: str
    inputs: int
    outputs: int

    @property
    def ratio(self) -> float:
        """How many times wider the one side is than the other; 0 where they are not known."""
        sides = sorted((self.inputs, self.outputs))
        return sides[1] / sides[0] if sides[0] else 0.0


def layers_of(spellings: Spellings, shapes: Mapping[str, tuple[int, ...]]) -> list[LayerSides]:
    """Return the transformer's layers that a family's table knows, whatever else is in the file."""
    sides: dict[str, dict[str, int]] = {}
    for key, shape in shapes.items():
        name = spellings.parse(key)
        if name is None or name.layer.startswith("text_encoder") or not spellings.targets(name.layer):
            continue
        side = sides.setdefault(name.layer, {})
        if len(shape) == 2 and name.part in ("down", "up"):
            side[name.part] = shape[1] if name.part == "down" else shape[0]
    found = []
    for layer, side in sides.items():
        blocks, index, leaf = spellings.split(layer)
        module = spellings.targets(layer)[0].module
        number = int(index) if blocks else -1
        found.append(LayerSides(layer, blocks, number, leaf, module, side.get("down", 0), side.get("up", 0)))
    return found


def hidden_width(words: LoraWords, layers: Sequence[LayerSides]) -> int:
    """Return the hidden width that most layers tell of; 0 where none does."""
    widths = Counter(layer.inputs for layer in layers if layer.inputs and words.width_modules.search(layer.module))
    return widths.most_common(1)[0][0] if widths else 0
