"""From pictures to latents."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pipelines.backbones import Backbone, encode_prompt
from pipelines.errors import BadInput
from pipelines.families.flux1.latents import pack
from pipelines.progress import SILENT
from pipelines.training.dataset import TrainingExample, fit_image, hash_examples, prepare_examples
from tests.tiny import flux1


def test_pictures_are_cropped_to_the_canvas_not_squeezed() -> None:
    image = np.zeros((200, 400, 3), np.uint8)
    image[:, 100:300] = 255  # the middle is white; the sides fall away
    fitted = fit_image(image, 100, 100)
    assert fitted.shape == (100, 100, 3)
    assert fitted.min() > 200
    assert fit_image(fitted, 100, 100) is fitted
    assert fit_image(np.zeros((3, 1000, 3), np.uint8), 96, 64).shape == (96, 64, 3)
    for bad in (
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 0, 3), np.uint8),
        np.zeros((10, 10, 3), np.float32),
    ):
        with pytest.raises(BadInput):
            fit_image(bad, 96, 64)  # type: ignore[arg-type]


def test_packing_is_that_of_the_pipeline(tiny_backbone: Backbone) -> None:
    latents = torch.randn(2, 8, 6, 4)
    assert torch.equal(pack(latents), flux1(tiny_backbone).pipeline._pack_latents(latents, 2, 8, 6, 4))


def test_each_picture_and_each_caption_is_encoded_once(tiny_backbone: Backbone) -> None:
    rng = np.random.default_rng(0)
    examples = [
        TrainingExample(rng.integers(0, 256, (96, 64, 3), dtype=np.uint8), text) for text in ("a", "b", "a", "")
    ]
    ready = prepare_examples(tiny_backbone, examples, 96, 64, SILENT)
    assert ready.states.shape == (4, 6, 32)
    assert (ready.height, ready.width) == (96, 64)
    assert ready.caption_of.tolist() == [1, 2, 1, 0]
    assert ready.captions == tuple(encode_prompt(tiny_backbone, caption) for caption in ("", "a", "b"))
    # the inverse of what the pipeline does before decoding
    z = flux1(tiny_backbone).pipeline._unpack_latents(ready.states[:1], 96, 64, 16)
    x = torch.from_numpy(examples[0].image).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        mode = tiny_backbone.model.vae.encode(x.to(tiny_backbone.dtype)).latent_dist.mode().float()
    assert torch.allclose(z / 1.0 + 0.1, mode, atol=2e-2)


def test_the_hash_sees_pictures_captions_and_order() -> None:
    a, b = (
        TrainingExample(np.zeros((4, 4, 3), np.uint8), "a"),
        TrainingExample(np.ones((4, 4, 3), np.uint8), "b"),
    )
    same = TrainingExample(np.zeros((4, 4, 3), np.uint8), "a")
    other = TrainingExample(np.zeros((4, 4, 3), np.uint8), "b")
    assert hash_examples([a, b]) == hash_examples([same, b])
    assert len({hash_examples(e) for e in ([a, b], [b, a], [other, b], [a])}) == 4


def test_a_focus_weighs_its_cells_and_makes_another_training(tiny_backbone_float32: Backbone) -> None:
    image = np.zeros((192, 128, 3), np.uint8)  # twice the canvas: focus and picture are fitted alike
    focus = np.zeros((192, 128), np.bool_)
    focus[:96, :64] = True
    with_focus, without = TrainingExample(image, "a", focus), TrainingExample(image, "a")
    assert hash_examples([with_focus]) != hash_examples([without])
    prepared = prepare_examples(tiny_backbone_float32, [with_focus, without], 96, 64, SILENT)
    assert prepared.weights.shape == prepared.states.shape
    assert torch.equal(prepared.weights[1], torch.ones_like(prepared.weights[1]))
    cells = prepared.weights[0].view(3, 2, -1)
    assert cells[:1, :1].min() > 1.5 > 1 > cells[1:, 1:].max()
    with pytest.raises(BadInput, match="training_focus_size"):
        prepare_examples(tiny_backbone_float32, [TrainingExample(image, "a", focus[:9])], 96, 64, SILENT)
