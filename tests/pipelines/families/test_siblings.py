"""A distilled backbone draws and its sibling is trained: found by name, compared by headers, sharing its parts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.backbones import Backbone, load_backbone, resolve_backbone
from pipelines.errors import BadInput, ModelMissing, NotEnoughMemory
from pipelines.families.siblings import training_spec
from pipelines.families.spec import TRAINING
from pipelines.lora import Lora
from pipelines.models.hardware import Hardware
from pipelines.models.sources import FETCHED
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import request_from
from pipelines.training.lora import LoraTrainingConfig, TrainingExample, train_lora
from studio.texts.errors import say_error
from studio.texts.texts import LANGUAGES, Texts
from tests.originals import write_single_file
from tests.originals_flux2 import write_single_file as write_klein_file
from tests.siblings import PAIRS, SIBLING, change_settings, write_pair
from tests.tiny import assert_same_picture, write_flux
from tests.tiny_z_image import write_single_file as write_z_image_file
from tests.tiny_z_image import write_z_image

CONFIG = LoraTrainingConfig(rank=2, steps=2, batch_size=1, learning_rate=5e-2, warmup_steps=0, checkpoint_every=1)
EXAMPLE = TrainingExample(np.random.default_rng(0).integers(0, 256, (96, 64, 3), dtype=np.uint8), "a woman")


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    return write_pair(tmp_path)


@pytest.fixture(params=PAIRS)
def each(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The same of every family."""
    return PAIRS[request.param](tmp_path / "models")


@pytest.fixture
def backbone(each: Path) -> Backbone:
    return load_backbone(resolve_backbone(each), "cpu", torch.float32)


def test_it_is_found_beside_the_backbone_in_the_models_folder_or_where_it_is_named(pair: Path, tmp_path: Path) -> None:
    sibling = pair.parent / SIBLING
    assert resolve_backbone(pair).companions == {TRAINING: sibling}
    file = write_single_file(pair, pair.parent / "quick-file.safetensors")
    assert resolve_backbone(file, pair).companions == {TRAINING: sibling}
    shutil.move(sibling, tmp_path / "models" / "black-forest-labs" / SIBLING)
    assert resolve_backbone(pair, None, tmp_path / "models").companions == {}  # fetched in part
    fetched = tmp_path / "models" / "black-forest-labs" / SIBLING
    (fetched / FETCHED).write_text("{}")
    assert resolve_backbone(pair, None, tmp_path / "models").companions == {TRAINING: fetched}
    change_settings(pair, training_folder=f"../models/black-forest-labs/{SIBLING}")
    assert resolve_backbone(pair).companions == {TRAINING: fetched}
    change_settings(pair, training_folder=None)
    assert resolve_backbone(pair, None, tmp_path / "models").companions == {}


def test_it_trains_at_the_size_that_the_backbone_draws(pair: Path) -> None:
    spec = resolve_backbone(pair)
    found = training_spec(spec)
    assert (found.id, found.folder, found.trains_itself) == (SIBLING, pair.parent / SIBLING, True)
    assert (found.height, found.width, found.max_sequence_length) == (spec.height, spec.width, spec.max_sequence_length)
    assert (found.num_inference_steps, found.licence) == (28, "flux-1-dev-non-commercial-license")
    own = resolve_backbone(pair.parent / SIBLING)
    assert training_spec(own) is own


def test_without_it_a_training_is_refused_in_words_and_drawing_works(pair: Path, tmp_path: Path) -> None:
    shutil.rmtree(pair.parent / SIBLING)
    backbone = load_backbone(resolve_backbone(pair), "cpu", torch.float32)
    with pytest.raises(ModelMissing, match="training_model_missing") as refused:
        backbone.trained_on()
    for language in LANGUAGES:
        message, advice = say_error(refused.value, Texts(language))
        assert "quick" in message
        assert f"black-forest-labs/{SIBLING}" in advice
        assert "training_folder" in advice
    draw_batch(backbone, [request_from(backbone.spec, "a woman", 1)])
    with pytest.raises(BadInput, match="training_model_distilled"):
        train_lora(backbone, [EXAMPLE], CONFIG, tmp_path / "work")
    assert not (tmp_path / "work").exists()
    with pytest.raises(ModelMissing, match="training_model_folder_missing"):
        training_spec(replace(backbone.spec, companions={TRAINING: tmp_path / "nowhere"}))


def test_a_distilled_sibling_and_one_of_another_shape_are_refused(pair: Path, tmp_path: Path) -> None:
    spec = resolve_backbone(pair)
    sibling = pair.parent / SIBLING
    distilled = Path(shutil.copytree(sibling, tmp_path / "FLUX.2-klein-4B"))
    assert training_spec(replace(spec, companions={TRAINING: distilled}))  # a name of another family says nothing
    deeper = tmp_path / "deeper"
    write_flux(deeper, guidance_embeds=True)
    assert training_spec(replace(spec, companions={TRAINING: deeper}))  # a guidance input changes no other layer
    config = sibling / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_single_layers": 1}))
    with pytest.raises(BadInput, match="transformer_tensor_unknown"):
        training_spec(spec)
    wider = tmp_path / "grown"
    write_flux(wider, heads=4)
    with pytest.raises(BadInput, match=r"companion_does_not_fit.*num_attention_heads, has=4, wanted=2"):
        training_spec(replace(spec, companions={TRAINING: wider}))


@pytest.mark.parametrize(
    ("family", "write", "quick"),
    [("flux2", write_klein_file, "FLUX.2-klein-4B"), ("z-image", write_z_image_file, "z-image-turbo-mix")],
)
def test_a_file_whose_name_says_nothing_is_the_sibling_that_it_is_named_as(
    family: str, write: Callable[[Path, Path], Path], quick: str, tmp_path: Path
) -> None:
    """A fine-tune of the base has the distilled model's layers, and the other parts are from its folder."""
    each = PAIRS[family](tmp_path)
    spec, sibling = resolve_backbone(each), next(p for p in tmp_path.iterdir() if p.name != each.name)
    file = write(sibling, tmp_path / "my-portraits.safetensors")
    found = training_spec(replace(spec, companions={TRAINING: file}))
    assert (found.id, found.num_inference_steps, found.can.cfg, found.train_on) == ("my-portraits", 50, True, "")
    with pytest.raises(BadInput, match="training_model_distilled"):
        training_spec(replace(spec, companions={TRAINING: file.rename(tmp_path / f"{quick}.safetensors")}))


@pytest.mark.parametrize(
    ("family", "write", "names"),
    [
        ("flux1", write_single_file, ("my-portraits",)),
        ("z-image", write_z_image_file, ("Z-Image", "my-portraits")),
    ],
)
def test_a_sibling_that_is_a_file_on_the_backbones_folder_is_trained_with_its_own_shift(
    family: str, write: Callable[[Path, Path], Path], names: tuple[str, ...], tmp_path: Path
) -> None:
    """FLUX.1-dev's moves with the picture's tokens and schnell's not; Z-Image's is 6 and Turbo's 3."""
    sibling = write_flux(tmp_path / SIBLING, guidance_embeds=True, dynamic_shifting=True) if family == "flux1" else None
    drawing = (write_flux if family == "flux1" else PAIRS[family])(tmp_path / "models")
    sibling = sibling or drawing.parent / "Z-Image"
    some = torch.tensor([0.3, 0.6])
    wanted = load_backbone(resolve_backbone(sibling), "cpu", torch.float32).model
    for name in names:
        file = write(sibling, tmp_path / f"{name}.safetensors")
        spec = replace(resolve_backbone(drawing), companions={TRAINING: file}, train_on=names[0])
        backbone = load_backbone(spec, "cpu", torch.float32)
        trainer = backbone.trained_on().model
        assert not torch.equal(backbone.model.shift(some, 1024), wanted.shift(some, 1024))
        assert torch.equal(trainer.shift(some, 1024), wanted.shift(some, 1024))
        assert torch.equal(trainer.sigmas(1024, 4), wanted.sigmas(1024, 4))


def test_a_file_is_drawn_with_its_own_shift_whatever_model_its_other_parts_are_of(tmp_path: Path) -> None:
    quick, base = write_z_image(tmp_path / "quick", shift=3.5), write_z_image(tmp_path / "slow", shift=6.5)
    change_settings(quick, id="Z-Image-Turbo")
    quick = quick.rename(tmp_path / "Z-Image-Turbo")

    def shift(name: str, folder: Path) -> float:
        file = write_z_image_file(base, tmp_path / f"{name}.safetensors")
        return float(load_backbone(resolve_backbone(file, folder), "cpu").model.pipeline.scheduler.shift)  # type: ignore[attr-defined]

    assert shift("z-image-turbo-mix", quick) == 3.5  # the same model's: as the folder says
    assert shift("z-image-base-mix", base) == 6.5
    assert shift("z-image-base-mix", quick) == 6
    assert shift("z-image-turbo-mix", base) == 3
    assert shift("z-image-de-turbo", base) == 3  # which is published on Turbo's other parts


@pytest.mark.parametrize("family", sorted(PAIRS.keys() - {"flux1"}))  # which has none that the catalogue knows
def test_a_distilled_model_that_is_named_for_training_is_refused(family: str, tmp_path: Path) -> None:
    each = PAIRS[family](tmp_path)
    spec = resolve_backbone(each)
    with pytest.raises(BadInput, match=r"training_model_distilled\(model=quick, backbone=quick, wanted=") as refused:
        training_spec(replace(spec, companions={TRAINING: each}))
    assert spec.train_on in say_error(refused.value, Texts("en"))[1]


def test_it_shares_all_but_transformer_and_scheduler(backbone: Backbone) -> None:
    trainer = backbone.trained_on()
    assert backbone.trained_on() is trainer
    ours, theirs = backbone.model, trainer.model
    assert ours.vae is theirs.vae
    assert all(part is theirs.text_encoders[name] for name, part in ours.text_encoders.items())
    assert ours.transformer is not theirs.transformer
    some = torch.tensor([0.3, 0.6])
    assert not torch.equal(ours.shift(some, 4096), theirs.shift(some, 4096))
    alone = load_backbone(resolve_backbone(backbone.spec.companions[TRAINING]), "cpu", torch.float32)
    assert torch.equal(theirs.shift(some, 4096), alone.model.shift(some, 4096))
    assert trainer.trained_on() is trainer
    assert trainer.plan.trains


def test_what_is_trained_on_one_changes_the_pictures_of_the_other(backbone: Backbone, tmp_path: Path) -> None:
    request = request_from(backbone.spec, "a woman", 1)
    plain = draw_batch(backbone, [request])[0]
    trainer = backbone.trained_on()
    before = {name: p.clone() for name, p in trainer.transformer.named_parameters()}
    at_checkpoints = []

    def draw(steps: int, layers: tuple[object, ...]) -> None:
        at_checkpoints.append(draw_batch(backbone, [replace(request, loras=(Lora(layers),))])[0])  # type: ignore[arg-type]

    trained = train_lora(trainer, [EXAMPLE], CONFIG, tmp_path / "work", at_checkpoint=draw)
    assert all(torch.equal(p, before[name]) for name, p in trainer.transformer.named_parameters())
    changed = draw_batch(backbone, [replace(request, loras=(Lora(trained.layers),))])[0]
    assert (plain != changed).any()
    np.testing.assert_array_equal(at_checkpoints[-1], changed)
    np.testing.assert_array_equal(draw_batch(backbone, [request])[0], plain)


def test_a_checkpoint_names_the_model_that_trained(backbone: Backbone, tmp_path: Path) -> None:
    trainer = backbone.trained_on()
    train_lora(trainer, [EXAMPLE], CONFIG, tmp_path)
    other = replace(trainer, spec=replace(trainer.spec, id=backbone.spec.id))
    with pytest.raises(BadInput, match="checkpoints_of_another_training"):
        train_lora(other, [EXAMPLE], CONFIG, tmp_path)


def test_where_both_do_not_fit_they_take_turns(each: Path, backbone: Backbone, tmp_path: Path) -> None:
    request = request_from(backbone.spec, "a woman", 1)
    expected = draw_batch(backbone, [request])[0]
    whole = train_lora(backbone.trained_on(), [EXAMPLE], CONFIG, tmp_path / "whole")
    tight = load_backbone(resolve_backbone(each), "cpu", torch.float32)
    size = sum(p.numel() * p.element_size() for p in tight.transformer.parameters())
    trainer = tight.trained_on(Hardware("cuda", 0.5e9 + 2560 * 96 * 64 + size / 2, 1e12))
    assert trainer.plan.offload == "model"
    drawn = []

    def draw(steps: int, layers: tuple[object, ...]) -> None:
        drawn.append(draw_batch(tight, [request])[0])
        tight.trained_on()

    turned = train_lora(trainer, [EXAMPLE], CONFIG, tmp_path / "turned", at_checkpoint=draw)
    for a, b in zip(turned.layers, whole.layers, strict=True):
        torch.testing.assert_close(a.up, b.up, atol=1e-5, rtol=1e-4)
    assert_same_picture(drawn[-1], expected)
    with pytest.raises(NotEnoughMemory, match=r"no_memory_for_model.*quick \+ "):
        load_backbone(resolve_backbone(each), "cpu", torch.float32).trained_on(Hardware("cuda", 1e6, 1e6))
