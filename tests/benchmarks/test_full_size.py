"""The true-size check at a tiny size: the same phases, every reference, finite numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.full_size import REFERENCES, hardware, run, write_report
from benchmarks.full_size_models import DEV, Dimensions, build_backbone, random_lora
from benchmarks.full_size_phases import SMALL
from pipelines.errors import BadInput
from pipelines.families.model import Model
from pipelines.models.catalogue import MODELS

TINY = Dimensions(
    double_blocks=1, single_blocks=1, heads=2, head_width=16, rope=(4, 6, 6), clip_layers=1, clip_width=64,
    t5_layers=1, t5_width=32, t5_hidden=32, t5_heads=2, text_length=16, vae_channels=(32, 32, 32, 32), siglip_layers=1,
    siglip_width=32, siglip_hidden=32, siglip_heads=2, siglip_px=126, vision_layers=1, vision_width=64, vision_px=28,
)  # fmt: skip
CPU = torch.device("cpu")
WORK = replace(SMALL, canvas_px=64, training_px=(64, 96), training_steps=3)


def test_every_phase_is_measured(tmp_path: Path) -> None:
    rows = run(TINY, WORK, CPU, torch.float32)
    phases = [row.phase for row in rows]
    assert [p for p in phases if p.startswith("9 posts")] == [f"9 posts, {name}" for name in REFERENCES]
    assert [p for p in phases if "training" in p] == ["persona training at 64²", "persona training at 96²"]
    assert all(row.seconds > 0 and row.peak_gb > 0.01 for row in rows)
    assert all(row.each is not None and row.each <= row.seconds for row in rows if "posts" in row.phase)
    text = write_report(rows, {"hardware": hardware(CPU)}, tmp_path).read_text(encoding="utf-8")
    assert text.count("\n|") == len(rows) + 2


def test_numbers_that_are_not_finite_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(model: Model, rank: int, seed: int) -> object:
        layers = random_lora(model, rank, seed)
        return (replace(layers[0], alpha=float("inf")), *layers[1:])

    monkeypatch.setattr("benchmarks.full_size.random_lora", broken)
    with pytest.raises((AssertionError, BadInput)):
        run(TINY, WORK, CPU, torch.float32)


def test_the_real_dimensions_are_the_published_ones() -> None:
    """Parameters of FLUX.1-dev's parts, counted without making them."""
    with torch.device("meta"):
        from diffusers import FluxTransformer2DModel

        transformer = FluxTransformer2DModel(
            in_channels=64, num_layers=DEV.double_blocks, num_single_layers=DEV.single_blocks,
            attention_head_dim=DEV.head_width, num_attention_heads=DEV.heads, joint_attention_dim=DEV.t5_width,
            pooled_projection_dim=DEV.clip_width, guidance_embeds=True, axes_dims_rope=DEV.rope,
        )  # fmt: skip
    assert sum(p.numel() for p in transformer.parameters()) == pytest.approx(
        MODELS["FLUX.1-dev"].largest_part, rel=0.01
    )


def test_a_random_lora_is_as_strong_as_a_trained_one() -> None:
    backbone = build_backbone(TINY, CPU, torch.float32)
    layers = random_lora(backbone.model, 4, 0)
    modules = dict(backbone.transformer.named_modules())
    assert {layer.module.split(".")[0] for layer in layers} == {"transformer_blocks", "single_transformer_blocks"}
    for layer in layers:
        weight = modules[layer.module].weight
        assert isinstance(weight, torch.Tensor)
        ratio = float((layer.scale * layer.up @ layer.down).norm() / weight.norm())
        assert 0.015 < ratio < 0.06
