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
    parts: dict[str, dict[str, tuple[int, ...]]] = {}
    for key, shape in shapes.items():
        name = spellings.parse(key)
        if name is None or name.layer.startswith("text_encoder") or not spellings.targets(name.layer):
            continue
        found = parts.setdefault(name.layer, {})
        if len(shape) == 2:
            found[name.part] = shape
    layers = []
    for layer, matrices in parts.items():
        blocks, index, leaf = spellings.split(layer)
        module = spellings.targets(layer)[0].module
        number = int(index) if blocks else -1
        layers.append(LayerSides(layer, blocks, number, leaf, module, *_sides(matrices)))
    return layers


def _sides(parts: Mapping[str, tuple[int, ...]]) -> tuple[int, int]:
    """Inputs and outputs of the product that a layer's matrices form: LoRA, LoHa (each half has all rows), LoKr (a
    Kronecker product, whose sides are products).
    """
    down, up = parts.get("down") or parts.get("hada_w1_b"), parts.get("up") or parts.get("hada_w1_a")
    if down or up:
        return down[1] if down else 0, up[0] if up else 0
    inputs = outputs = 1
    for factor in ("lokr_w1", "lokr_w2"):
        whole = parts.get(factor)
        left, right = whole or parts.get(f"{factor}_a", (0, 0)), whole or parts.get(f"{factor}_b", (0, 0))
        outputs, inputs = outputs * left[0], inputs * right[1]
    return inputs, outputs


def hidden_width(words: LoraWords, layers: Sequence[LayerSides]) -> int:
    """Return the hidden width that most layers tell of; 0 where none does."""
    widths = Counter(layer.inputs for layer in layers if layer.inputs and words.width_modules.search(layer.module))
    return widths.most_common(1)[0][0] if widths else 0
