"""Exact sums of LoRAs: ΔW = Σ scaleᵢ · (αᵢ / rᵢ) · BᵢAᵢ, as one LoRA or in place in a transformer.

peft's `add_weighted_adapter("linear")` is not this sum: it mixes A and B apart, so that terms BᵢAⱼ appear.
Concatenation along the rank has no such terms: [s₁B₁ … sₖBₖ] · [A₁; …; Aₖ] is the sum itself.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from pipelines.errors import BadInput, BadLora
from pipelines.families.model import Adaptable
from pipelines.lora.fitting import check_fits, named_linears
from pipelines.lora.layers import Lora, LoraLayer

__all__ = ["LoraStack", "concatenate", "delta", "inner_product", "norms"]

_PLAIN = (torch.float32, torch.float16, torch.bfloat16)
_ROOM_BYTES = 8e9


def concatenate(files: Sequence[Sequence[LoraLayer]], scales: Sequence[float]) -> tuple[LoraLayer, ...]:
    """One LoRA whose ΔW is the weighted sum of the given ones; ranks add up, zero scales are left out.

    A module that only one LoRA has keeps its very matrices (the scale goes into alpha): weights (1, 0) give
    back LoRA one bit for bit. Elsewhere scales are multiplied into `up` in float64 and rounded once.
    """
    _check_scales(files, scales)
    by_module: dict[str, list[tuple[LoraLayer, float]]] = defaultdict(list)
    for layers, scale in zip(files, scales, strict=True):
        for layer in layers if scale != 0.0 else ():
            by_module[layer.module].append((layer, scale))
    return tuple(_concatenate_module(module, by_module[module]) for module in sorted(by_module))


def delta(layers_by_donor: Sequence[Sequence[LoraLayer]], scales: Sequence[float]) -> dict[str, Tensor]:
    """The weighted sum as full matrices: {module: ΔW [out, in] float32}."""
    fused = concatenate(layers_by_donor, scales)
    return {layer.module: _add(torch.zeros(layer.up.shape[0], layer.down.shape[1]), layer, 1.0) for layer in fused}


def inner_product(first: Sequence[LoraLayer], second: Sequence[LoraLayer]) -> float:
    """⟨ΔW₁, ΔW₂⟩ over all modules in float64, as tr((B₁ᵀB₂)(A₂A₁ᵀ)): only r x r matrices are formed."""
    others: dict[str, list[LoraLayer]] = defaultdict(list)
    for layer in second:
        others[layer.module].append(layer)
    total = 0.0
    for one in first:
        for two in others.get(one.module, ()):
            ups = one.up.double().T @ two.up.double()  # [r1, r2]
            downs = one.down.double() @ two.down.double().T  # [r1, r2]
            total += one.scale * two.scale * float((ups * downs).sum())
    return total


def norms(layers: Sequence[LoraLayer]) -> float:
    """‖ΔW‖, the Frobenius norm over all modules together, without forming ΔW."""
    return math.sqrt(max(inner_product(layers, layers), 0.0))


class LoraStack:
    """LoRAs added to a model's weights in place: no cost a step, no adapter left behind.

    Keeps the pristine weights of the modules it has touched, in the model's own dtype, until `clear()`. Sums are taken
    in float32 and cast once. The stack is the only writer of those weights: `clear()` before training or saving the
    backbone. With layers of text encoders on, prompt embeddings that were kept from before are stale.

    Weights that are quantised (GGUF, int8, nf4, fp8 by layer-wise casting), or that travel to the device block by
    block, are left alone: there ΔW·x is added beside the layer, unrounded by the quantisation, at a small cost a step.

    `pause()` makes the model compute without the LoRAs, but for those that stay, until `resume()`, without copying
    weights.
    """

    def __init__(self, model: Adaptable) -> None:
        self._model = model
        self._modules = named_linears(model)
        travelling = [m for m in (model.transformer, *model.text_encoders.values()) if _comes_in_groups(m)]
        self._travelling = {id(module) for part in travelling for module in part.modules()}
        self._pristine: dict[str, Tensor] = {}
        self._beside: dict[str, tuple[_Beside, RemovableHandle]] = {}
        self._loras: tuple[Lora, ...] = ()
        self._changed: dict[str, LoraLayer] = {}
        self._staying: dict[str, LoraLayer] = {}
        self._paused: dict[str, Tensor] = {}  # weights with what stays, of the modules that it changes
        self._set_aside: dict[str, Tensor] = {}
        self._undoing: dict[str, _Beside] = {}  # kept from pause to pause, so that ΔW travels to the device once
        self._undone: list[RemovableHandle] = []

    @property
    def changed(self) -> frozenset[str]:
        """The modules that compute differently from the backbone's own now."""
        return frozenset(self._changed)

    @property
    def device_bytes(self) -> float:
        """Return the bytes of weights that are kept on an accelerator beside those that are computed with."""
        kept = (*self._pristine.values(), *self._paused.values())
        return float(sum(weight.nbytes for weight in kept if weight.device.type != "cpu"))

    @property
    def loras(self) -> tuple[Lora, ...]:
        """Return what is on the weights now."""
        return self._loras

    @torch.no_grad()
    def set(self, entries: Sequence[tuple[Sequence[LoraLayer], float]]) -> None:
        """Make the weights W0 + Σ scaleᵢ ΔWᵢ; as `put_on`, and none of them stays."""
        self.put_on([Lora(tuple(layers), scale) for layers, scale in entries])

    @torch.no_grad()
    def put_on(self, loras: Sequence[Lora]) -> None:
        """Make the weights W0 + Σ scaleᵢ ΔWᵢ, whatever was set before; nothing is done where they are that already.

        Those with scale 0 are left out. Nothing changes if one raises BadLora (does not fit) or BadInput
        (a scale that is no number).
        """
        self.resume()
        live = tuple(lora for lora in loras if lora.scale != 0.0)
        if live == self._loras:
            return
        for lora in live:
            check_fits(lora.layers, self._model)
        fused, staying = self._sum(live), self._sum([lora for lora in live if lora.stays])
        for name in self._changed.keys() - fused.keys():
            self._restore(name)
        for name, layer in fused.items():
            if self._is_writable(name):
                weight = self._weight(name)
                if name not in self._pristine:
                    self._pristine[name] = _keep(weight)
                _write(weight, self._pristine[name], layer)
                if name in staying:
                    base = self._pristine[name].to(weight.device, torch.float32)
                    self._paused[name] = _add(base, staying[name], 1.0).to(self._pristine[name])
            else:
                if name in self._beside:
                    self._beside.pop(name)[1].remove()
                hook = _Beside(layer, staying.get(name))
                self._beside[name] = (hook, self._modules[name].register_forward_hook(hook))
            self._changed[name] = layer
            self._undoing.pop(name, None)
        self._staying, self._loras = staying, live
        self._paused = {name: weight for name, weight in self._paused.items() if name in staying}

    @torch.no_grad()
    def clear(self) -> None:
        """Give the model its own weights back, bit for bit."""
        self.resume()
        for name in tuple(self._changed):
            self._restore(name)
        self._pristine.clear()
        self._paused.clear()
        self._loras, self._staying = (), {}

    @torch.no_grad()
    def pause(self) -> None:
        """Compute without the LoRAs, but for those that stay, until `resume()`: with the kept weights where they are on
        the same device, else by taking ΔW·x off again beside the layer. Nothing else may be done with the stack
        meanwhile."""
        self.resume()
        for name, layer in self._changed.items():
            if name in self._beside:
                self._beside[name][0].on = False
            elif (weight := self._weight(name)).device == self._pristine[name].device:
                self._set_aside[name] = weight.data
                weight.data = self._paused.get(name, self._pristine[name])
            else:
                if name not in self._undoing:
                    entries = [(layer, -1.0)] + ([(self._staying[name], 1.0)] if name in self._staying else [])
                    self._undoing[name] = _Beside(_concatenate_module(name, entries))
                self._undone.append(self._modules[name].register_forward_hook(self._undoing[name]))

    def resume(self) -> None:
        """Compute with the LoRAs again; nothing happens where they are not paused."""
        for hook, _ in self._beside.values():
            hook.on = True
        for name, fused in self._set_aside.items():
            self._weight(name).data = fused
        for handle in self._undone:
            handle.remove()
        self._set_aside.clear()
        self._undone.clear()

    def _sum(self, loras: Sequence[Lora]) -> dict[str, LoraLayer]:
        """The weighted sum of LoRAs by module, of those that this model has."""
        summed = concatenate([lora.layers for lora in loras], [lora.scale for lora in loras])
        return {layer.module: layer for layer in summed if layer.module in self._modules}

    def _restore(self, name: str) -> None:
        if name in self._beside:
            self._beside.pop(name)[1].remove()
        else:
            self._weight(name).copy_(self._pristine[name])
        self._changed.pop(name, None)
        self._undoing.pop(name, None)

    def _is_writable(self, name: str) -> bool:
        weight = self._weight(name)
        plain = type(weight) in (nn.Parameter, Tensor) and weight.dtype in _PLAIN
        return plain and id(self._modules[name]) not in self._travelling

    def _weight(self, name: str) -> Tensor:
        weight = self._modules[name].weight
        assert isinstance(weight, Tensor)
        return weight


class _Beside:
    """A forward hook that adds ΔW·x to a linear layer's output, in the number type that it computes in; while it is not
    `on`, that of the layer that stays.
    """

    def __init__(self, layer: LoraLayer, staying: LoraLayer | None = None) -> None:
        self._down, self._up, self.on = layer.down, layer.up * layer.scale, True
        self._staying = None if staying is None else _Beside(staying)

    def __call__(self, module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not self.on:
            return output if self._staying is None else self._staying(module, args, output)
        x = args[0]
        self._down, self._up = self._down.to(output), self._up.to(output)  # moved once, at the first step
        return output + functional.linear(functional.linear(x.to(output.dtype), self._down), self._up)


def _comes_in_groups(model: nn.Module) -> bool:
    """Whether diffusers' group offloading exchanges its weights behind our back."""
    hooks = (getattr(module, "_diffusers_hook", None) for module in model.modules())
    return any(h is not None and any("group_offloading" in name for name in h.hooks) for h in hooks)


def _keep(weight: Tensor) -> Tensor:
    """A copy, on the device where there is room for one beside what drawing needs, else in RAM."""
    if weight.is_cuda and torch.cuda.mem_get_info(weight.device)[0] < _ROOM_BYTES:
        return weight.detach().cpu()
    return weight.detach().clone()


def _write(weight: Tensor, pristine: Tensor, layer: LoraLayer) -> None:
    """Make `weight` pristine + ΔW: summed in float32, rounded to its own dtype once, in place where that is float32."""
    if weight.dtype == torch.float32 and pristine.device == weight.device:
        up, down = layer.up.to(pristine), layer.down.to(pristine)
        torch.addmm(pristine, up, down, alpha=layer.scale, out=weight.data)
    else:
        weight.copy_(_add(pristine.to(weight.device, torch.float32), layer, 1.0))


def _add(base: Tensor, layer: LoraLayer, scale: float) -> Tensor:
    """base + scale · ΔW in base's dtype (float32) and on its device."""
    up, down = layer.up.to(base), layer.down.to(base)
    return torch.addmm(base, up, down, alpha=scale * layer.scale)


def _concatenate_module(module: str, entries: Sequence[tuple[LoraLayer, float]]) -> LoraLayer:
    if len(entries) == 1:
        layer, scale = entries[0]
        return layer if scale == 1.0 else replace(layer, alpha=layer.alpha * scale)
    shapes = {(layer.up.shape[0], layer.down.shape[1]) for layer, _ in entries}
    if len(shapes) != 1:
        raise BadLora("loras_of_different_models", layer=module, shapes=[list(shape) for shape in sorted(shapes)])
    down = torch.cat([layer.down for layer, _ in entries])  # [Σr, in]
    up = torch.cat([(layer.up.double() * (scale * layer.scale)).float() for layer, scale in entries], dim=1)
    return LoraLayer(module, down, up, float(down.shape[0]))


def _check_scales(files: Sequence[Sequence[LoraLayer]], scales: Sequence[float]) -> None:
    if len(files) != len(scales):
        raise BadInput("lora_scale_count_differs", loras=len(files), scales=len(scales))
    if bad := [scale for scale in scales if not math.isfinite(scale)]:
        raise BadInput("lora_scale_invalid", scale=bad[0])
