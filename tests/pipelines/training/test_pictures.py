"""A judge of pictures leads a training, sees the right part of the right picture, and survives a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.backbones import Backbone
from pipelines.errors import BadInput
from pipelines.families.autoencoder import decode, decode_latents, encode_pictures
from pipelines.families.flux1.latents import pack, unpack
from pipelines.progress import SILENT, Progress
from pipelines.training.batches import Batches
from pipelines.training.dataset import prepare_examples
from pipelines.training.lora import LoraTrainingConfig, TrainedLora, TrainingExample, train_lora
from pipelines.training.pictures import Box, decode_box, picture_loss
from studio.texts.errors import say_error
from studio.texts.texts import Texts
from tests.pipelines.training.test_lora import BreaksAt, examples, same

CONFIG = LoraTrainingConfig(
    rank=3, steps=6, batch_size=4, learning_rate=1e-3, checkpoint_every=2, seed=5, picture_weight=2.0
)


class Darker:
    """Wants dark pictures; leaves every third row alone; remembers what it was asked."""

    fingerprint = "darker"

    def __init__(self) -> None:
        self.asked: list[tuple[int, tuple[int, int], tuple[int, ...], float]] = []

    def box(self, row: int) -> Box | None:
        return None if row % 3 == 2 else (8, 8, 40, 40)

    def __call__(
        self, pixels: torch.Tensor, row: int, corner: tuple[int, int], generator: torch.Generator
    ) -> torch.Tensor:
        loss = (1 + pixels).mean()
        self.asked.append((row, corner, tuple(pixels.shape), float(loss.detach())))
        return loss


def others() -> list[TrainingExample]:
    rng = np.random.default_rng(7)
    return [TrainingExample(rng.integers(0, 256, (96, 64, 3), np.uint8), "a young woman 1") for _ in range(3)]


def test_the_judge_is_obeyed(tiny_backbone_float32: Backbone, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"steps": 60, "learning_rate": 1e-2, "picture_sigma": 1.0})
    judged = {}
    for weight in (0.01, 1000.0):
        judge = Darker()
        update = {"picture_weight": weight}
        train_lora(
            tiny_backbone_float32, examples(), config.model_copy(update=update), tmp_path / str(weight), judge=judge
        )
        judged[weight] = float(np.mean([loss for *_, loss in judge.asked[-60:]]))
    assert judged[1000.0] < judged[0.01] - 0.02, judged


def test_only_what_it_can_judge_is_shown(tiny_backbone: Backbone, tmp_path: Path) -> None:
    judge = Darker()
    config = CONFIG.model_copy(update={"picture_samples": 1, "steps": 12, "picture_sigma": 1.0})
    train_lora(tiny_backbone, examples(), config, tmp_path, regularisation=others(), judge=judge)
    rows = [row for row, *_ in judge.asked]
    assert 6 <= len(rows) <= 12, "at most one of each batch"
    assert {row % 3 for row in rows} == {0, 1}
    assert min(rows) < 5 <= max(rows) < 8, "examples and those that regularise"
    assert {shape for _, _, shape, _ in judge.asked} == {(3, 96, 64)}
    nothing = Darker()
    train_lora(
        tiny_backbone, examples(), CONFIG.model_copy(update={"picture_weight": 0.0}), tmp_path / "off", judge=nothing
    )
    assert not nothing.asked


def test_half_of_every_batch_regularises(tiny_backbone: Backbone) -> None:
    training_set = prepare_examples(tiny_backbone, [*examples(), *others()], 96, 64, SILENT, batch=4)
    batches = Batches((training_set,), 5, CONFIG.seed, 15)
    drawn = [batches.of_step(step)[1] for step in range(15)]
    assert all((batch[:2] < 5).all() and (batch[2:] >= 5).all() for batch in drawn)
    assert [int(np.sum([batch == row for batch in drawn])) for row in range(8)] == [6] * 5 + [10] * 3


@pytest.mark.parametrize("step", [1, 4, 5])
def test_an_interrupted_training_ends_where_an_undisturbed_one_ends(
    tiny_backbone: Backbone, tmp_path: Path, step: int
) -> None:
    def train(folder: str, progress: Progress = SILENT) -> TrainedLora:
        return train_lora(
            tiny_backbone, examples(), CONFIG, tmp_path / folder, progress, regularisation=others(), judge=Darker()
        )

    with pytest.raises(RuntimeError, match="the cable"):
        train("cut", BreaksAt(step, RuntimeError("the cable")))
    assert same(train("cut"), train("whole"))


def test_another_judge_is_another_training(tiny_backbone: Backbone, tmp_path: Path) -> None:
    train_lora(tiny_backbone, examples(), CONFIG, tmp_path, judge=Darker())
    lighter = Darker()
    lighter.fingerprint = "lighter"
    with pytest.raises(BadInput):
        train_lora(tiny_backbone, examples(), CONFIG, tmp_path, judge=lighter)


def test_a_small_picture_is_decoded_whole_and_of_a_large_one_a_window(tiny_backbone_float32: Backbone) -> None:
    backbone = tiny_backbone_float32
    picture = np.random.default_rng(0).integers(0, 256, (1, 96, 64, 3), np.uint8)
    z = encode_pictures(backbone.model.vae, picture)
    assert torch.equal(unpack(pack(z), z.shape[2] // 2, z.shape[3] // 2), z)
    pixels, corner = decode_box(backbone, z, (8, 8, 20, 20))
    assert corner == (0, 0)
    grey = ((pixels + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    assert np.array_equal(grey, decode_latents(backbone.model.vae, z)[0])
    scale = 96 // z.shape[2]
    large = torch.randn(1, z.shape[1], 80, 48)
    for box, top, left in (
        ((20 * scale, 30 * scale, 28 * scale, 42 * scale), 20, 8),
        ((0, 0, 4, 4), 0, 0),
        ((44 * scale, 76 * scale, 48 * scale, 80 * scale), 48, 16),
    ):
        pixels, corner = decode_box(backbone, large, box)
        assert pixels.shape == (3, 32 * scale, 32 * scale)
        assert corner == (left * scale, top * scale)
        expected = decode(backbone.model.vae, large[:, :, top : top + 32, left : left + 32])[0].clamp(-1, 1)
        assert torch.equal(pixels, expected)
    tall, _ = decode_box(backbone, large, (0, 0, 4, 50 * scale))
    assert tall.shape == (3, 54 * scale, 32 * scale), "a margin, so that the crop may tremble"


def test_a_model_that_waits_in_memory_is_refused_before_anything_is_learnt(
    tiny_backbone: Backbone, tmp_path: Path
) -> None:
    offloaded = replace(tiny_backbone, plan=replace(tiny_backbone.plan, offload="model"))
    with pytest.raises(BadInput, match="backbone_not_whole_on_device") as error:
        train_lora(offloaded, examples(), CONFIG, tmp_path, judge=Darker())
    assert "judged in training" in say_error(error.value, Texts("en"))[0]
    train_lora(offloaded, examples(), CONFIG.model_copy(update={"picture_weight": 0.0}), tmp_path, judge=Darker())


def test_what_regularises_is_part_of_what_a_training_is(tiny_backbone: Backbone, tmp_path: Path) -> None:
    everything = [*examples(), *others()]
    train_lora(tiny_backbone, everything[:5], CONFIG, tmp_path, regularisation=everything[5:])
    with pytest.raises(BadInput):
        train_lora(tiny_backbone, everything[:6], CONFIG, tmp_path, regularisation=everything[6:])


def test_what_comes_from_much_noise_counts_less(tiny_backbone_float32: Backbone) -> None:
    clean = torch.zeros(1, 6, 32, requires_grad=True)
    losses = [
        picture_loss(tiny_backbone_float32, Darker(), clean, torch.tensor([sigma]), [0], (96, 64), torch.Generator())
        for sigma in (0.0, 0.75)
    ]
    assert torch.allclose(losses[0] * 0.25, losses[1])
    losses[0].backward()  # type: ignore[no-untyped-call]
    assert clean.grad is not None
    assert clean.grad.abs().sum() > 0
