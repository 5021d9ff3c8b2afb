"""LoRAs that differ from picture to picture of one batch: y += ((x · A_catᵀ) ∘ s[n]) · B_catᵀ beside each layer.

All pictures share the concatenated factors of all LoRAs, and each has its own weights s[n] for them: recipes that mix
the same donors differently cost one pass of the model together, and a few percent more. What comes out is what each
would be with its own LoRAs on the weights, but for the last bits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.families.model import Adaptable
from pipelines.lora.fitting import check_fits, named_linears
from pipelines.lora.layers import Lora, LoraLayer

__all__ = ["MixedLoras"]


class MixedLoras:
    """LoRAs of the pictures of a batch, in their order, beside a model's weights while `on()` is open.

    `pause()` makes the model compute without them until `resume()`. Raises BadLora where one does not fit.
    """

    def __init__(self, model: Adaptable, pictures: Sequence[Sequence[Lora]]) -> None:
        for lora in {lora for loras in pictures for lora in loras}:
            check_fits(lora.layers, model)
        self._modules = named_linears(model)
        self._beside = {n: one for n, one in _by_module(pictures).items() if n in self._modules}
        self._is_paused = False

    @property
    def changed(self) -> frozenset[str]:
        """The modules that compute differently from the backbone's own."""
        return frozenset(self._beside)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Compute with them. Every input of a changed module has one row a picture, [n, …, in]."""
        handles = [self._modules[name].register_forward_hook(self._hook(one)) for name, one in self._beside.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self._is_paused = False

    def pause(self) -> None:
        """Compute without them until `resume()`."""
        self._is_paused = True

    def resume(self) -> None:
        """Compute with them again."""
        self._is_paused = False

    def _hook(self, beside: _Factors) -> _Hook:
        return _Hook(self, beside)


@dataclass(eq=False)
class _Factors:
    """Of one module: `down` [Σr, in], `up` [out, Σr], and the pictures' `weights` [n, Σr]."""

    down: Tensor
    up: Tensor
    weights: Tensor


@dataclass(frozen=True, eq=False)
class _Hook:
    owner: MixedLoras
    factors: _Factors

    def __call__(self, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if self.owner._is_paused:
            return output
        own, x = self.factors, args[0]
        own.down, own.up, own.weights = own.down.to(output), own.up.to(output), own.weights.to(output)  # moved once
        weights = own.weights.view(len(own.weights), *[1] * (x.ndim - 2), -1)
        inner = functional.linear(x.to(output.dtype), own.down) * weights
        return output + functional.linear(inner, own.up)


def _by_module(pictures: Sequence[Sequence[Lora]]) -> dict[str, _Factors]:
    """Every layer that any picture has, once, with each picture's weight of it."""
    weights: dict[str, dict[int, list[float]]] = defaultdict(dict)
    layers: dict[int, LoraLayer] = {}
    for number, loras in enumerate(pictures):
        for lora in loras:
            for layer in lora.layers:
                layers[id(layer)] = layer
                row = weights[layer.module].setdefault(id(layer), [0.0] * len(pictures))
                row[number] += lora.scale * layer.scale
    return {module: _factors([(layers[one], row) for one, row in rows.items()]) for module, rows in weights.items()}


def _factors(rows: Sequence[tuple[LoraLayer, Sequence[float]]]) -> _Factors:
    weights = torch.cat([torch.tensor(row)[:, None].expand(-1, layer.rank) for layer, row in rows], dim=1)
    return _Factors(
        torch.cat([layer.down for layer, _ in rows]), torch.cat([layer.up for layer, _ in rows], 1), weights
    )
