"""Losses of style and content: each sees what it is for and is blind to the other; the trainer holds what it must."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.progress import SILENT, Progress
from pipelines.training.lora import LoraTrainingConfig, TrainedLora, train_lora
from pipelines.training.style import StyleObjective, StyleRecipe, find_style_recipe
from pipelines.training.style_losses import (
    band_powers,
    centred_cosines,
    channel_moments,
    content_loss,
    measure_shrink,
    shrink_at,
    style_loss,
    style_window,
)
from tests.pipelines.training.test_lora import BreaksAt, examples, same
from tests.pipelines.training.test_pictures import others

ONE = torch.ones(2)


def _latents(seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 4, 12, 8, generator=torch.Generator().manual_seed(seed))


def test_style_is_learnt_between_the_windows_edges_only() -> None:
    sigmas = torch.tensor([0.1, 0.25, 0.3, 0.5, 0.8, 0.85, 0.9])
    assert style_window(sigmas, 0.25, 0.85).tolist() == pytest.approx([0, 0, 0.21, 0.25, 0.16, 0, 0])


def test_style_sees_tones_and_contrast_and_not_where_things_are() -> None:
    z = _latents()
    assert float(style_loss(z, z, ONE, ONE)) == pytest.approx(0, abs=1e-10)
    assert float(style_loss(z.flip(3), z, ONE, ONE, bands=0.5)) == pytest.approx(0, abs=1e-6)
    assert float(style_loss(z + 0.5, z, ONE, ONE)) == pytest.approx(0.25, rel=1e-3)
    wider = channel_moments(z)[1].square().mean() * 0.25
    flat = z.mean(dim=(2, 3), keepdim=True)
    assert float(style_loss(flat + (z - flat) * 1.5, z, ONE, ONE)) == pytest.approx(float(wider), rel=1e-3)


def test_a_mean_that_is_as_flat_as_means_are_has_nothing_wrong() -> None:
    z = _latents()
    flat = z.mean(dim=(2, 3), keepdim=True)
    mean = flat + (z - flat) * 0.86
    assert float(style_loss(mean, z, ONE, ONE)) > 0.01
    assert float(style_loss(mean, z, ONE, torch.full((2,), 0.86))) == pytest.approx(0, abs=1e-8)
    assert measure_shrink(mean, z).tolist() == pytest.approx([0.86, 0.86], rel=1e-4)


def test_a_picture_outside_the_window_counts_nothing() -> None:
    z, other = _latents(), _latents(1) + 2
    half = style_loss(other, z, torch.tensor([1.0, 0.0]), ONE)
    assert float(half) == pytest.approx(float(style_loss(other[:1], z[:1], ONE[:1], ONE[:1])) / 2, rel=1e-5)


def test_bands_see_grain_and_are_blind_to_the_mean() -> None:
    z = _latents()
    assert torch.allclose(band_powers(z), band_powers(z + 3), atol=1e-4)
    ys = torch.arange(12)[:, None] % 2 * 2.0 - 1
    grain = band_powers(z + 2 * ys * (torch.arange(8) % 2 * 2.0 - 1)) - band_powers(z)
    assert float(grain[..., 2].min()) > 0.5
    assert float(grain[..., 0].abs().max()) < 0.1


def test_the_curve_is_straight_between_its_points_and_one_without_noise() -> None:
    curve = ((0.2, 0.99), (0.5, 0.96), (0.8, 0.86))
    found = shrink_at(torch.tensor([0.0, 0.1, 0.2, 0.35, 0.8, 0.95]), curve)
    assert found.tolist() == pytest.approx([1, 0.995, 0.99, 0.975, 0.86, 0.86])


def test_content_is_blind_to_what_all_tokens_share_and_sees_what_changed_places() -> None:
    tokens = torch.randn(1, 6, 16, generator=torch.Generator().manual_seed(3))
    weights = torch.ones(1, 6)
    assert torch.allclose(centred_cosines(tokens), centred_cosines(2 * tokens + torch.randn(16)), atol=1e-4)
    assert float(content_loss(tokens + 5, tokens, weights)) < 1e-8
    swapped = tokens[:, [1, 0, 2, 3, 4, 5]]
    alike = content_loss(swapped, tokens, weights)
    assert float(alike) > 0.02
    heavy = content_loss(swapped, tokens, torch.tensor([[3.0, 3, 1, 1, 1, 1]]))
    light = content_loss(swapped, tokens, torch.tensor([[1.0, 1, 3, 3, 3, 3]]))
    assert float(heavy) > float(light)


RECIPE = StyleRecipe("single_transformer_blocks", (0,), "all", measured=False)
CONFIG = LoraTrainingConfig(rank=3, steps=8, batch_size=4, learning_rate=1e-3, checkpoint_every=3, seed=5)


def test_a_style_resumes_to_the_bit_and_knows_its_recipe(tiny_backbone: Backbone, tmp_path: Path) -> None:
    def train(folder: str, recipe: StyleRecipe, progress: Progress = SILENT) -> TrainedLora:
        return train_lora(
            tiny_backbone, examples(), CONFIG, tmp_path / folder, progress, regularisation=others(),
            objective=StyleObjective(recipe),
        )  # fmt: skip

    whole = train("a", RECIPE)
    with pytest.raises(RuntimeError):
        train("b", RECIPE, BreaksAt(5, RuntimeError()))
    assert same(train("b", RECIPE), whole)
    with pytest.raises(BadInput, match="checkpoints_of_another_training"):
        train("b", replace(RECIPE, content=1.0))


def test_what_is_held_moves_less(tiny_backbone_float32: Backbone, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"steps": 16, "learning_rate": 1e-2})
    ends = {}
    for name, recipe in (
        ("free", replace(RECIPE, content=1e-6, prior=1e-6)),
        ("held", replace(RECIPE, content=200.0, prior=20.0)),
    ):
        objective = StyleObjective(recipe)
        train_lora(
            tiny_backbone_float32, examples(), config, tmp_path / name, regularisation=others(), objective=objective
        )
        last = objective.seen[-6:]
        assert len(objective.seen) == 16
        ends[name] = [float(np.mean([row[key] for row in last])) for key in ("content", "prior")]
    assert ends["held"][0] / 200 < ends["free"][0] / 1e-6
    assert ends["held"][1] / 20 < ends["free"][1] / 1e-6


def test_a_recipe_may_train_whole_blocks(tiny_backbone: Backbone, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"steps": 1, "target_modules": ("single_transformer_blocks.1",)})
    trained = train_lora(tiny_backbone, examples(), config, tmp_path)
    assert {layer.module.rsplit(".", 1)[0] for layer in trained.layers} >= {"single_transformer_blocks.1"}
    assert all(layer.module.startswith("single_transformer_blocks.1.") for layer in trained.layers)


def test_a_family_that_nobody_measured_is_refused(tiny_backbone: Backbone) -> None:
    blocks = tiny_backbone.transformer.single_transformer_blocks
    found = find_style_recipe(tiny_backbone)
    assert all(0 <= number < len(blocks) for number in found.blocks)
    assert found.measured == (len(blocks) == 6)
    unknown = replace(tiny_backbone, spec=replace(tiny_backbone.spec, family="z-image"))
    with pytest.raises(BadInput, match="style_family_unknown"):
        find_style_recipe(unknown)
