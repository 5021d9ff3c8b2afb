"""The trainer: it learns, it leaves nothing behind, and a kill in the middle changes nothing."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from pipelines.backbones import Backbone, encode_prompt, load_backbone, resolve_backbone
from pipelines.errors import BadInput, Cancelled, OutOfDisk
from pipelines.lora import Lora, LoraLayer
from pipelines.lora.files import read_lora, write_lora
from pipelines.lora.metadata import LoraMetadata
from pipelines.lora.stack import LoraStack
from pipelines.progress import SILENT, Event, TrainingStep
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from
from pipelines.training import batches, lora
from pipelines.training.batches import Batches
from pipelines.training.checkpoints import read_checkpoint
from pipelines.training.dataset import prepare_examples
from pipelines.training.lora import LoraTrainingConfig, TrainedLora, TrainingExample, train_lora
from tests.loras import make_layers
from tests.siblings import shake
from tests.tiny import flux1, write_flux

CONFIG = LoraTrainingConfig(rank=3, steps=8, batch_size=2, learning_rate=1e-3, checkpoint_every=2, seed=5)


def examples() -> list[TrainingExample]:
    rng = np.random.default_rng(0)
    return [
        TrainingExample(rng.integers(0, 256, (96, 64, 3), dtype=np.uint8), f"a young woman {i % 2}") for i in range(5)
    ]


def same(a: TrainedLora, b: TrainedLora) -> bool:
    return a.losses == b.losses and all(
        x.module == y.module and torch.equal(x.down, y.down) and torch.equal(x.up, y.up) and x.alpha == y.alpha
        for x, y in zip(a.layers, b.layers, strict=True)
    )


class BreaksAt:
    """A progress in which something goes wrong at a training step."""

    def __init__(self, step: int, error: Exception) -> None:
        self.at, self.error, self.steps = step, error, 0

    def tell(self, event: Event) -> None:
        self.steps = event.step if isinstance(event, TrainingStep) else 0

    def check_cancelled(self) -> None:
        if self.steps == self.at:
            raise self.error


@pytest.fixture(scope="module")
def undisturbed(tiny_backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> TrainedLora:
    return train_lora(tiny_backbone, examples(), CONFIG, tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("error", [RuntimeError("the cable"), Cancelled("stop")])
@pytest.mark.parametrize("step", [1, 4, 5])
def test_an_interrupted_training_ends_where_an_undisturbed_one_ends(
    tiny_backbone: Backbone, undisturbed: TrainedLora, tmp_path: Path, step: int, error: Exception
) -> None:
    with pytest.raises(type(error)):
        train_lora(tiny_backbone, examples(), CONFIG, tmp_path, BreaksAt(step, error))
    assert same(train_lora(tiny_backbone, examples(), CONFIG, tmp_path), undisturbed)


def test_pictures_drawn_at_a_checkpoint_are_the_trainees_and_change_nothing(
    tiny_backbone: Backbone, undisturbed: TrainedLora, tmp_path: Path
) -> None:
    request = request_from(tiny_backbone.spec, "a young woman 0", 1, height=96, width=64)
    drawn: dict[int, np.ndarray] = {0: draw_batch(tiny_backbone, [request])[0]}

    def draws(steps: int, layers: tuple[LoraLayer, ...]) -> None:
        drawn[steps] = draw_batch(tiny_backbone, [request])[0]

    assert same(train_lora(tiny_backbone, examples(), CONFIG, tmp_path, at_checkpoint=draws), undisturbed)
    assert list(drawn) == [0, 2, 4, 6, 8]
    assert all(not np.array_equal(drawn[a], drawn[a + 2]) for a in (0, 2, 4, 6))


def test_a_stopped_training_keeps_every_step(tiny_backbone: Backbone, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        train_lora(tiny_backbone, examples(), CONFIG, tmp_path, BreaksAt(5, Cancelled("stop")))
    seen: list[int] = []

    class Listens:
        def tell(self, event: Event) -> None:
            if isinstance(event, TrainingStep):
                seen.append(event.step)

        def check_cancelled(self) -> None: ...

    train_lora(tiny_backbone, examples(), CONFIG, tmp_path, Listens())
    assert seen == [6, 7, 8]


def test_a_killed_process_loses_nothing_but_time(
    tiny_backbone: Backbone, tiny_flux: Path, undisturbed: TrainedLora, tmp_path: Path
) -> None:
    code = f"""
import sys, time
from pathlib import Path
from pipelines.backbones import load_backbone, resolve_backbone
from pipelines.progress import TrainingStep
from pipelines.training.lora import train_lora
from tests.pipelines.training.test_lora import CONFIG, examples
class Slow:
    def tell(self, event):
        if isinstance(event, TrainingStep) and event.step >= 5: time.sleep(60)
    def check_cancelled(self): pass
backbone = load_backbone(resolve_backbone({str(tiny_flux)!r}), "cpu")
train_lora(backbone, examples(), CONFIG, Path({str(tmp_path)!r}), Slow())
"""
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | threads)
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "step-000004").is_dir() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / "step-000004").is_dir()
    assert not (tmp_path / "losses.json").exists()
    assert same(train_lora(tiny_backbone, examples(), CONFIG, tmp_path), undisturbed)


@pytest.mark.parametrize("name", ["weights.safetensors", "optimizer.safetensors", "losses.json", "complete.json"])
def test_a_damaged_checkpoint_is_passed_over(
    tiny_backbone: Backbone, undisturbed: TrainedLora, tmp_path: Path, name: str
) -> None:
    with pytest.raises(RuntimeError):
        train_lora(tiny_backbone, examples(), CONFIG, tmp_path, BreaksAt(6, RuntimeError()))
    newest = tmp_path / "step-000006" / name
    newest.write_bytes(newest.read_bytes()[:-7])
    assert same(train_lora(tiny_backbone, examples(), CONFIG, tmp_path), undisturbed)


def test_a_full_disk_keeps_the_last_checkpoint(
    tiny_backbone: Backbone, undisturbed: TrainedLora, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError):
        train_lora(tiny_backbone, examples(), CONFIG, tmp_path, BreaksAt(2, RuntimeError()))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OutOfDisk):
            train_lora(tiny_backbone, examples(), CONFIG, tmp_path)
    assert [p.name for p in tmp_path.glob("step-*")] == ["step-000002"]
    assert same(train_lora(tiny_backbone, examples(), CONFIG, tmp_path), undisturbed)


def test_another_trainings_folder_is_refused(tiny_backbone: Backbone, tmp_path: Path) -> None:
    train_lora(tiny_backbone, examples(), CONFIG, tmp_path)
    for what in ((examples()[:4], CONFIG), (examples(), CONFIG.model_copy(update={"seed": 6}))):
        with pytest.raises(BadInput, match="checkpoints_of_another_training"):
            train_lora(tiny_backbone, *what, tmp_path)
    with pytest.raises(BadInput, match="training_without_pictures"):
        train_lora(tiny_backbone, [], CONFIG, tmp_path)


def test_a_folder_of_another_mix_or_of_other_weights_under_the_same_name_is_refused(tmp_path: Path) -> None:
    folder = write_flux(tmp_path / "flux")
    backbone = load_backbone(resolve_backbone(folder), "cpu")
    mix, other = (Lora(make_layers(backbone.transformer, seed=seed)) for seed in (1, 2))
    kept = train_lora(backbone, examples(), CONFIG, tmp_path / "work", mix=(mix,))
    for mixed in ((other,), (Lora(mix.layers, 0.5),), (mix, other), ()):
        with pytest.raises(BadInput, match="checkpoints_of_another_training"):
            train_lora(backbone, examples(), CONFIG, tmp_path / "work", mix=mixed)
    assert same(train_lora(backbone, examples(), CONFIG, tmp_path / "work", mix=(mix,)), kept)
    shake(folder)
    swapped = load_backbone(resolve_backbone(folder), "cpu")
    with pytest.raises(BadInput, match="checkpoints_of_another_training"):
        train_lora(swapped, examples(), CONFIG, tmp_path / "work", mix=(mix,))


def test_a_finished_training_is_not_run_again(
    tiny_backbone: Backbone, undisturbed: TrainedLora, tmp_path: Path
) -> None:
    train_lora(tiny_backbone, examples(), CONFIG, tmp_path)
    assert same(train_lora(tiny_backbone, examples(), CONFIG, tmp_path, BreaksAt(0, RuntimeError())), undisturbed)
    assert tuple(json.loads((tmp_path / "losses.json").read_text())) == undisturbed.losses
    assert LoraTrainingConfig.model_validate_json((tmp_path / "config.json").read_text()) == CONFIG
    assert len(list(tmp_path.glob("step-*"))) == 2


@pytest.mark.parametrize("error", [None, RuntimeError("the cable")])
def test_the_transformer_is_left_as_it_was(tiny_backbone: Backbone, tmp_path: Path, error: RuntimeError | None) -> None:
    transformer = tiny_backbone.transformer
    before = {name: value.clone() for name, value in transformer.state_dict().items()}
    random = torch.random.get_rng_state()
    try:
        train_lora(tiny_backbone, examples(), CONFIG, tmp_path, BreaksAt(3, error) if error else SILENT)
    except RuntimeError:
        assert error is not None
    after = transformer.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert not any(p.requires_grad for p in transformer.parameters())
    assert not transformer._hf_peft_config_loaded
    assert not hasattr(transformer, "peft_config")
    assert torch.equal(random, torch.random.get_rng_state())


def test_captions_are_read_as_the_mix_reads_them_and_prompts_as_before(
    tiny_backbone_float32: Backbone, tmp_path: Path
) -> None:
    """A donor may have layers of a text encoder: what they make of a prompt must not outlive the training."""
    backbone = tiny_backbone_float32
    name = "encoder.layers.0.mlp.fc1"
    linear = dict(backbone.text_encoders["text_encoder"].named_modules())[name]
    assert isinstance(linear, torch.nn.Linear)
    up, down = torch.ones(linear.out_features, 1), torch.ones(1, linear.in_features)
    mix = Lora((LoraLayer(f"text_encoder.{name}", down, up, 1.0),))
    caption = examples()[0].caption
    before = encode_prompt(backbone, caption).pooled.clone()
    read: list[torch.Tensor] = []

    def look(steps: int, layers: tuple[LoraLayer, ...]) -> None:
        read.append(encode_prompt(backbone, caption).pooled.clone())

    config = CONFIG.model_copy(update={"steps": 2})
    train_lora(backbone, examples()[:1], config, tmp_path, at_checkpoint=look, mix=(mix,))
    assert not torch.equal(read[0], before)
    assert torch.equal(encode_prompt(backbone, caption).pooled, before)


def _loss_with(backbone: Backbone, result: TrainedLora | None) -> float:
    """The mean loss over fixed samples, the LoRA merged by the stack, without the trainer's adapter."""
    stack = LoraStack(backbone.model)
    stack.set([(result.layers, 1.0)] if result else [])
    try:
        training_set = prepare_examples(backbone, examples()[:1], 96, 64, SILENT, batch=8)
        config = CONFIG.model_copy(update={"caption_dropout": 0.0, "batch_size": 8})
        task = lora._Task(backbone, config, Batches((training_set,), 1, config.seed, config.steps), None)
        with torch.no_grad():
            return float(np.mean([lora._loss(task, 1000 + i).item() for i in range(8)]))
    finally:
        stack.clear()


def test_it_learns_and_the_layers_say_what_was_learned(tiny_backbone_float32: Backbone, tmp_path: Path) -> None:
    backbone = tiny_backbone_float32
    config = LoraTrainingConfig(rank=4, alpha=8, steps=120, batch_size=4, learning_rate=1e-2, caption_dropout=0.0)
    result = train_lora(backbone, examples()[:1], config, tmp_path)
    base, learned = _loss_with(backbone, None), _loss_with(backbone, result)
    assert np.mean(result.losses[-10:]) < 0.75 * np.mean(result.losses[:5])
    assert learned < 0.75 * base
    assert learned == pytest.approx(float(np.mean(result.losses[-20:])), rel=0.15)


def test_the_file_does_in_plain_diffusers_what_the_layers_do_here(
    tiny_backbone_float32: Backbone, tmp_path: Path
) -> None:
    backbone = tiny_backbone_float32
    config = CONFIG.model_copy(update={"alpha": 6.0, "learning_rate": 2e-2})
    result = train_lora(backbone, examples(), config, tmp_path / "work")
    write_lora(tmp_path / "face.safetensors", result.layers, LoraMetadata(title="face"))
    request = request_from(backbone.spec, "a young woman", 3)
    without = draw_batch(backbone, [request])[0]
    read = Lora(read_lora(tmp_path / "face.safetensors").layers)
    ours = draw_batch(backbone, [replace(request, loras=(read,))])[0]
    pipeline = flux1(backbone).pipeline
    pipeline.load_lora_weights(tmp_path / "face.safetensors")
    theirs = draw_batch(backbone, [request])[0]
    pipeline.unload_lora_weights()
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert np.abs(ours.astype(int) - without).mean() > 1
    assert np.array_equal(draw_batch(backbone, [request])[0], without)


def test_distilled_models_train_too_and_checkpointing_the_gradient_changes_nothing(
    tiny_dev_backbone: Backbone, tmp_path: Path
) -> None:
    config = CONFIG.model_copy(update={"steps": 3, "guidance_scale": 3.5})
    plain = train_lora(tiny_dev_backbone, examples(), config, tmp_path / "a")
    again = config.model_copy(update={"gradient_checkpointing": True})
    assert same(plain, train_lora(tiny_dev_backbone, examples(), again, tmp_path / "b"))
    other = train_lora(tiny_dev_backbone, examples(), config.model_copy(update={"guidance_scale": 1.0}), tmp_path / "c")
    assert other.losses != plain.losses
    assert not tiny_dev_backbone.transformer.is_gradient_checkpointing


def test_a_loss_that_is_no_number_stops_the_training(tiny_flux: Path, tmp_path: Path) -> None:
    """And keeps what was trained before."""
    backbone = load_backbone(resolve_backbone(tiny_flux), "cpu", torch.float32)

    def breaks(steps: int, layers: tuple[LoraLayer, ...]) -> None:
        backbone.transformer.x_embedder.bias.data.fill_(float("nan"))

    with pytest.raises(BadInput, match=r"training_not_finite.*step=3"):
        train_lora(backbone, examples(), CONFIG, tmp_path, at_checkpoint=breaks)
    assert [path.name for path in tmp_path.glob("step-*")] == ["step-000002"]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_pictures_that_regularise_are_drawn_in_batches_of_any_size(tiny_backbone: Backbone, count: int) -> None:
    """And each is drawn as often as its neighbours."""
    training_set = prepare_examples(tiny_backbone, examples(), 96, 64, SILENT, batch=count)
    drawn = Batches((training_set,), 2, CONFIG.seed, 48)
    rows = np.concatenate([drawn.of_step(step)[1] for step in range(48)])
    assert len(rows) == 48 * count
    assert np.mean(rows < 2) == pytest.approx(1 / 3 if count == 3 else 1 / 2)
    times = np.bincount(rows, minlength=5)
    assert np.ptp(times[:2]) <= 1
    assert np.ptp(times[2:]) <= 1


def test_only_the_named_modules_of_the_blocks_are_trained(undisturbed: TrainedLora, tiny_backbone: Backbone,
                                                          tmp_path: Path) -> None:  # fmt: skip
    modules = {layer.module for layer in undisturbed.layers}
    assert "proj_out" not in modules
    assert "single_transformer_blocks.1.proj_out" in modules
    assert len(modules) == 2 * 12 + 2 * 5  # two double blocks, two single ones
    assert all(layer.rank == 3 and layer.alpha == 3.0 and layer.up.abs().sum() > 0 for layer in undisturbed.layers)
    config = CONFIG.model_copy(update={"target_modules": "attention", "steps": 1})
    few = {layer.module for layer in train_lora(tiny_backbone, examples(), config, tmp_path).layers}
    assert few == {m for m in modules if ".attn." in m}
    with pytest.raises(BadInput, match="nonsense"):
        train_lora(
            tiny_backbone,
            examples(),
            CONFIG.model_copy(update={"target_modules": ("nonsense",)}),
            tmp_path / "x",
        )


def test_a_training_learns_on_from_a_lora(tiny_backbone: Backbone, undisturbed: TrainedLora, tmp_path: Path) -> None:
    still = CONFIG.model_copy(update={"learning_rate": 1e-12, "steps": 1, "weight_decay": 0.0})
    stronger = still.model_copy(update={"alpha": 6.0})  # twice the rank
    rescaled = [LoraLayer(x.module, x.down, x.up * 2, x.alpha / 2) for x in undisturbed.layers]  # the same ΔW
    begun = ((undisturbed.layers, still), (rescaled, still), (undisturbed.layers, stronger))
    for k, (start, config) in enumerate(begun):
        on = train_lora(tiny_backbone, examples(), config, tmp_path / str(k), start=start)
        for a, b in zip(on.layers, undisturbed.layers, strict=True):
            torch.testing.assert_close(a.up * a.scale @ a.down, b.up * b.scale @ b.down)
    other = [LoraLayer(x.module, x.down, x.up * 0.5, x.alpha) for x in undisturbed.layers]
    with pytest.raises(BadInput, match="checkpoints_of_another_training"):
        train_lora(tiny_backbone, examples(), still, tmp_path / "0", start=other)
    whole = train_lora(tiny_backbone, examples(), CONFIG, tmp_path / "whole", start=rescaled)
    with pytest.raises(RuntimeError):
        train_lora(tiny_backbone, examples(), CONFIG, tmp_path / "y", BreaksAt(5, RuntimeError()), start=rescaled)
    assert same(train_lora(tiny_backbone, examples(), CONFIG, tmp_path / "y", start=rescaled), whole)
    fewer = CONFIG.model_copy(update={"rank": 2, "alpha": 2.0})
    for start, config in ((undisturbed.layers[1:], CONFIG), (undisturbed.layers, fewer)):
        with pytest.raises(BadInput, match="training_start_does_not_fit"):
            train_lora(tiny_backbone, examples(), config, tmp_path / "x", start=start)
    assert not (tmp_path / "x").exists()  # nothing was encoded or written for it


def test_configs_are_strict_and_resolved() -> None:
    assert LoraTrainingConfig(rank=16).alpha == 16
    assert LoraTrainingConfig(rank=16, alpha=4).alpha == 4
    for wrong in (
        {"ranks": 4},
        {"rank": 0},
        {"learning_rate": float("nan")},
        {"target_modules": ()},
        {"steps": 0},
    ):
        with pytest.raises(ValidationError):
            LoraTrainingConfig.model_validate(wrong)


def test_every_pass_sees_every_picture_once() -> None:
    rows = np.concatenate([batches._rows(5, 3, 0, step) for step in range(10)])
    assert all(sorted(rows[i : i + 5]) == [0, 1, 2, 3, 4] for i in range(0, 30, 5))
    assert len({tuple(rows[i : i + 5]) for i in range(0, 30, 5)}) > 1


def test_no_checkpoint_is_no_checkpoint(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path / "nowhere", "x") is None
