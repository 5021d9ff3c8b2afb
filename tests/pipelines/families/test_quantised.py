"""int8 by torchao, of the extra `quantised`: transformers, and text encoders that are as large, from folder and file.

Skipped, with the reason, where the package is not installed, as in `dev`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pipelines.backbones import Backbone, load_backbone, resolve_backbone
from pipelines.errors import BadInput
from pipelines.families.catalogue import find_family
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from
from pipelines.training.lora import LoraTrainingConfig, TrainingExample, train_lora
from tests import originals, originals_flux2, tiny_z_image
from tests.tiny import write_flux
from tests.tiny_flux2 import write_klein

FAMILIES: dict[str, tuple[Callable[[Path], Path], Callable[[Path, Path], Path]]] = {
    "flux1": (write_flux, originals.write_single_file),
    "flux2": (write_klein, originals_flux2.write_single_file),
    "z-image": (tiny_z_image.write_z_image, tiny_z_image.write_single_file),
}
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if importlib.util.find_spec("torchao") is None:
        pytest.skip("torchao is not installed: pip install torchao")
    return FAMILIES[request.param][0](tmp_path / request.param)


def load(name: Path, base: Path | None = None, precision: str = "int8") -> Backbone:
    return load_backbone(resolve_backbone(name, base), "cpu", torch.bfloat16, precision=precision)


def picture(backbone: Backbone) -> npt.NDArray[np.float64]:
    return draw_batch(backbone, [request_from(backbone.spec, "a young woman, smiling", 1)])[0].astype(float)


def quantised(module: nn.Module) -> dict[str, Any]:
    """Return the weights of its layers that are stored as int8, by name."""
    named = {f"{name}.weight": layer.weight for name, layer in module.named_modules() if isinstance(layer, nn.Linear)}
    return {name: weight for name, weight in named.items() if type(weight).__name__ == "Int8Tensor"}


def by_hand(weight: Tensor) -> Tensor:
    """Each row in 255 steps that are alike, as far out as its largest number."""
    rows = weight.to(torch.bfloat16).float()
    scale = rows.abs().amax(dim=1, keepdim=True) / 127.5
    return (rows / scale).round().clamp(-128, 127) * scale


def test_a_folders_layers_are_its_weights_in_255_steps_a_row(folder: Path) -> None:
    backbone = load(folder)
    weights, stored = load_file(folder / "transformer" / WEIGHTS), quantised(backbone.transformer)
    linears = {f"{n}.weight" for n, layer in backbone.transformer.named_modules() if isinstance(layer, nn.Linear)}
    assert stored.keys() == linears
    for name, weight in stored.items():
        assert weight.qdata.dtype == torch.int8
        step = weights[name].abs().amax(dim=1, keepdim=True) / 127.5
        # the scale is a bfloat16, which has eight bits: the largest number of a row moves by a 256th, two steps in 255
        assert ((weight.dequantize().float() - by_hand(weights[name])).abs() <= 1.6 * step).all()
    large = [
        part.name for part in find_family(backbone.spec.family).parts if part.is_quantised and part.is_text_encoder
    ]
    assert large == ([] if folder.name == "flux1" else ["text_encoder"])
    for name, encoder in backbone.text_encoders.items():
        assert backbone.plan.precision_of(name) == ("int8" if name in large else "bf16")
        assert bool(quantised(encoder)) == (name in large)
    plain = load(folder, precision="bf16")
    assert 0 < np.abs(picture(backbone) - picture(plain)).mean() < 6


def test_a_single_file_is_quantised_as_its_folder_is(folder: Path, tmp_path: Path) -> None:
    file = FAMILIES[folder.name][1](folder, tmp_path / "mine.safetensors")
    ours, theirs = load(file, folder), load(folder)
    assert (ours.plan.precision, ours.plan.dtype) == ("int8", torch.bfloat16)
    stored, others = quantised(theirs.transformer), dict(theirs.transformer.named_parameters())
    for name, weight in ours.transformer.named_parameters():
        if name in stored:
            assert torch.equal(weight.dequantize(), stored[name].dequantize())
        else:
            assert torch.equal(weight, others[name])
    # matrices that were cut out of larger ones lie otherwise in memory, and bfloat16 sums round
    assert np.abs(picture(ours) - picture(theirs)).mean() < 1


def test_what_is_stored_is_as_large_as_planned(folder: Path) -> None:
    backbone = load(folder)
    stored = quantised(backbone.transformer)
    others = [p for name, p in backbone.transformer.named_parameters() if name not in stored]
    size = sum(w.qdata.numel() + w.scale.numel() * w.scale.element_size() for w in stored.values())
    size += sum(p.numel() * p.element_size() for p in others)
    planned = backbone.plan.parts["transformer"].bytes
    assert size <= planned <= 1.2 * size


def test_it_draws_and_does_not_train(folder: Path, tmp_path: Path) -> None:
    example = TrainingExample(np.zeros((96, 64, 3), np.uint8), "a woman")
    with pytest.raises(BadInput, match=r"backbone_draws_only.*int8"):
        train_lora(load(folder), [example], LoraTrainingConfig(steps=1), tmp_path / "work")
