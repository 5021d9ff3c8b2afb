"""Training in float16: what that number type cannot hold of a gradient is not lost, and a kill loses no scale."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipelines.backbones import Backbone, load_backbone, resolve_backbone
from pipelines.training.lora import train_lora
from tests.pipelines.training.test_lora import CONFIG, BreaksAt, examples, same


@pytest.fixture(scope="module")
def tiny_half(tiny_flux: Path) -> Backbone:
    """In float16, as a GPU that does not compute in bfloat16 has it."""
    return load_backbone(resolve_backbone(tiny_flux), "cpu", torch.float16)


def _gradients(backbone: Backbone, folder: Path) -> dict[str, torch.Tensor]:
    """Of `up` at the first step (times 1 - beta1), so small that float16 cannot hold them."""
    config = CONFIG.model_copy(update={"steps": 1, "alpha": 1e-3, "weight_decay": 0.0, "max_grad_norm": 1e9})
    train_lora(backbone, examples(), config, folder)
    moments = load_file(folder / "step-000001" / "optimizer.safetensors")
    return {name: x for name, x in moments.items() if name.startswith("exp_avg.") and ".lora_B." in name}


def test_small_gradients_are_kept_in_float16(
    tiny_half: Backbone, tiny_backbone_float32: Backbone, tmp_path: Path
) -> None:
    ours, exact = (_gradients(b, tmp_path / str(b.dtype)) for b in (tiny_half, tiny_backbone_float32))
    assert ours.keys() == exact.keys()
    for name, gradient in ours.items():
        # .978 at times: how half numbers are summed depends on where they lie in memory; what is lost has a cosine of 0
        assert torch.cosine_similarity(gradient.flatten(), exact[name].flatten(), dim=0) > 0.95, name


def test_an_interrupted_training_in_float16_goes_on_with_its_scale(
    tiny_half: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the loss: it falls where a gradient is too large (here at the first steps), and rises again."""
    scaler = partial(torch.amp.GradScaler, init_scale=2.0**26, growth_interval=2)
    monkeypatch.setattr(torch.amp, "GradScaler", scaler)
    config = CONFIG.model_copy(update={"steps": 9, "checkpoint_every": 3})
    undisturbed = train_lora(tiny_half, examples(), config, tmp_path / "a")
    with pytest.raises(RuntimeError):
        train_lora(tiny_half, examples(), config, tmp_path / "b", BreaksAt(7, RuntimeError()))
    assert same(train_lora(tiny_half, examples(), config, tmp_path / "b"), undisturbed)
    scales = [float(load_file(f / "optimizer.safetensors")["scaler.scale"]) for f in (tmp_path / "a").glob("step-*")]
    assert all(scale < 2.0**26 for scale in scales)
    assert any(layer.up.any() for layer in undisturbed.layers)
