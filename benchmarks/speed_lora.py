"""Rows about LoRAs: a recipe's weights changed, drawing with six donors on the weights, nine recipes at once."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.full_size_models import SLICE, build_backbone, random_lora
from benchmarks.speed_timing import SpeedRow, interleave, row_of
from pipelines.backbones import Backbone, fast_dtype, load_backbone, resolve_backbone
from pipelines.lora import Lora, LoraLayer
from pipelines.sampling.draw import draw
from pipelines.sampling.request import DrawRequest, request_from

__all__ = ["fused_overhead", "reweight"]

_DONORS, _RANK = 6, 16
_WEIGHTS = ((0.3, 0.2, 0.2, 0.1, 0.1, 0.1), (0.1, 0.1, 0.2, 0.2, 0.1, 0.3))
_STEPS = 4
_CPU = torch.device("cpu")


def reweight(repeats: int) -> list[SpeedRow]:
    """Change the weights of six donors on two blocks at FLUX.1's full width: other weights each turn.

    The peer is diffusers' own way to have them in the weights: `unfuse_lora`, `set_adapters`, `fuse_lora`.
    """
    size = replace(SLICE, double_blocks=1, single_blocks=1)
    dtype = fast_dtype(_CPU)
    ours, peer = (build_backbone(size, _CPU, dtype) for _ in range(2))
    donors = [random_lora(ours.model, _RANK, seed) for seed in range(_DONORS)]
    names = add_adapters(peer, donors)
    turns, peers_turns = cycle(_WEIGHTS), cycle(_WEIGHTS)

    def set_ours() -> None:
        ours.lora_stack.set(list(zip(donors, next(turns), strict=True)))

    def set_peer() -> None:
        peer.transformer.unfuse_lora()
        peer.transformer.set_adapters(names, list(next(peers_turns)))
        peer.transformer.fuse_lora(adapter_names=names)

    seconds = interleave(repeats, set_ours, set_peer)
    far, scale = _apart(ours, peer, donors[0])
    note = f"{dtype}, one double and one single block of full width, rank {_RANK}; weights differ by {far / scale:.1e}"
    return [row_of("reweight", seconds[0], seconds[1], 10.0, agrees=far < 0.02 * scale, note=note)]


def fused_overhead(repeats: int) -> list[SpeedRow]:
    """Eight pictures of the miniature in four steps: with six donors on the weights, beside them, and without any.

    The second row's peer are the same donors as adapters that are not fused, diffusers' usual way.
    """
    ours, peer = (load_backbone(resolve_backbone("miniature"), _CPU) for _ in range(2))
    donors = [random_lora(ours.model, ours.spec.lora_rank, seed) for seed in range(_DONORS)]
    names = add_adapters(peer, donors)
    peer.transformer.set_adapters(names, list(_WEIGHTS[0]))
    loras = tuple(Lora(layers, weight) for layers, weight in zip(donors, _WEIGHTS[0], strict=True))
    plain = _requests(ours)
    fused = [replace(request, loras=loras) for request in plain]
    drawn: dict[str, NDArray[np.uint8]] = {}

    def work(name: str, backbone: Backbone, requests: Sequence[DrawRequest]) -> None:
        drawn[name] = np.stack([picture for _, picture in draw(backbone, requests, len(requests))])

    seconds = interleave(
        repeats, lambda: work("fused", ours, fused), lambda: work("plain", ours, plain),
        lambda: work("beside", peer, plain),
    )  # fmt: skip
    far = float(np.abs(drawn["fused"].astype(np.int64) - drawn["beside"]).mean())
    over = "eight pictures, four steps, setting the weights and taking them off again included"
    beside = f"the same six beside the layers; pixels differ by {far:.2f} of 255 on average"
    return [
        row_of("fused_overhead", seconds[0], seconds[1], 1 / 1.03, agrees=far < 1, note=over),
        row_of("unfused_overhead", seconds[0], seconds[2], 1.0, agrees=far < 1, note=beside),
    ]


def add_adapters(backbone: Backbone, donors: Sequence[Sequence[LoraLayer]]) -> list[str]:
    """Load donors into a transformer as adapters that are not fused, and return their names."""
    names = [f"donor_{number}" for number in range(len(donors))]
    for name, layers in zip(names, donors, strict=True):
        state = {f"{layer.module}.lora_A.weight": layer.down for layer in layers}
        state |= {f"{layer.module}.lora_B.weight": layer.up for layer in layers}
        with warnings.catch_warnings():  # peft warns of the second adapter, which is what is wanted
            warnings.simplefilter("ignore", UserWarning)
            backbone.transformer.load_lora_adapter(state, adapter_name=name, prefix=None)
    return names


def _requests(backbone: Backbone) -> list[DrawRequest]:
    words = "photo of a young woman, half body, smiling, in a cafe, by day"
    return [request_from(backbone.spec, words, seed, num_inference_steps=_STEPS, cfg_scale=1.0) for seed in range(8)]


def _apart(ours: Backbone, peer: Backbone, layers: Sequence[LoraLayer]) -> tuple[float, float]:
    """How far the changed weights are from each other, and what their deviation is."""
    far, spread = [], []
    for layer in layers[::7]:
        a = ours.transformer.get_submodule(layer.module).weight.float()
        b = peer.transformer.get_submodule(layer.module).base_layer.weight.float()
        far.append(float((a - b).abs().mean()))
        spread.append(float(a.std()))
    return max(far), float(np.mean(spread))
