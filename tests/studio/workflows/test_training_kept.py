"""Checkpoints that a training keeps: few, the best among them, the same after a kill."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipelines.backbones import Backbone
from pipelines.lora import LoraLayer, LoraMetadata, read_lora
from studio.domain.persona import Sample
from studio.domain.values import FileKey
from studio.library.store import Store
from studio.workflows import training_kept
from studio.workflows.training_kept import KeptCheckpoints, least_telling
from tests.loras import make_layers
from tests.stored import place_in
from tests.studio.domain.values import key

METADATA = LoraMetadata("Mira", "ohwx")


def samples(*likeness: float) -> list[Sample]:
    return [
        Sample(step=100 * (i + 1), pictures=(key("s"),), identity=value) for i, value in enumerate(likeness)
    ]  # fmt: skip


def train(folder: Path, backbone: Backbone, likeness: list[float]) -> KeptCheckpoints:
    """As a training that ends behind the last checkpoint."""
    kept = KeptCheckpoints(folder, METADATA, lambda layers: layers)
    rows = samples(*likeness)
    for i, row in enumerate(rows[:-1]):
        kept.keep(row.step, layers_of(backbone, i), rows[: i + 1])
    return kept


def layers_of(backbone: Backbone, seed: int) -> tuple[LoraLayer, ...]:
    return tuple(make_layers(backbone.transformer, seed, modules=("transformer_blocks.0.attn.to_q",)))


def test_few_are_kept_and_the_best_is_one_of_them(tmp_path: Path, tiny_backbone: Backbone) -> None:
    likeness = [0.1, 0.2, 0.9, 0.3, 0.4, 0.5, 0.6, 0.6, 0.6, 0.5]
    kept, store = train(tmp_path, tiny_backbone, likeness), Store(tmp_path / "store")
    stored = kept.store(store, samples(*likeness), key("end"))
    steps = [row.step for row in stored if row.lora is not None]
    assert len(steps) == 4 + 1
    assert {300, 1000} <= set(steps)
    assert stored[-1].lora == key("end")
    best = next(row for row in stored if row.step == 300)
    assert best.lora is not None
    same = read_lora(place_in(store, best.lora)).layers[0]
    assert torch.equal(same.down, layers_of(tiny_backbone, 2)[0].down)
    assert not list(tmp_path.glob("kept/*.safetensors"))  # the store has them


def test_what_was_stored_is_found_again_after_a_kill(tmp_path: Path, tiny_backbone: Backbone) -> None:
    likeness = [0.1, 0.9, 0.3]
    store = Store(tmp_path / "store")
    first = train(tmp_path, tiny_backbone, likeness).store(store, samples(*likeness), key("end"))
    again = KeptCheckpoints(tmp_path, METADATA, lambda layers: layers).store(store, samples(*likeness), key("end"))
    assert [row.lora for row in again] == [row.lora for row in first]
    assert first[0].lora is not None
    place_in(store, first[0].lora).unlink()  # somebody emptied the trash
    after = KeptCheckpoints(tmp_path, METADATA, lambda layers: layers).store(store, samples(*likeness), key("end"))
    assert [row.lora is None for row in after] == [True, False, False]


def test_they_are_bounded_in_bytes(tmp_path: Path, tiny_backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_kept, "_MOST_BYTES", 1)
    likeness = [0.1, 0.9, 0.3, 0.2, 0.5]
    stored = train(tmp_path, tiny_backbone, likeness).store(Store(tmp_path / "s"), samples(*likeness), key("end"))
    assert [row.step for row in stored if row.lora is not None] == [200, 500]


@pytest.mark.parametrize(
    ("steps", "likeness", "dropped"),
    [
        ([100, 200, 300, 400, 500], {200: 0.9}, 500),  # the last is nearest to what comes next
        ([100, 200, 500, 600, 700], {700: 0.9}, 100),
        ([100, 200, 300], {100: 0.1, 200: 0.1, 300: 0.1}, 100),
    ],
)
def test_the_one_that_tells_least_goes(steps: list[int], likeness: dict[int, float], dropped: int) -> None:
    assert least_telling(steps, likeness) == dropped


def test_of_a_long_training_they_are_spread_evenly() -> None:
    kept: list[int] = []
    for step in range(100, 1000, 100):
        kept.append(step)
        while len(kept) > 4:
            kept.remove(least_telling(kept, {step: 0.5 + step / 1e6 for step in kept}))
    assert kept == [200, 400, 600, 900]  # the newest is the best here, and stays


def test_no_samples_no_keys(tmp_path: Path) -> None:
    assert KeptCheckpoints(tmp_path, METADATA, lambda x: x).store(Store(tmp_path / "s"), (), FileKey(key("x"))) == ()
