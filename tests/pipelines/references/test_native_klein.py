"""Several references in one request, on FLUX.2-klein: as its own pipelines read them, in an order of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torch import Tensor

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import Flux2KleinInpaintPipeline

from pipelines.backbones import Backbone, encode_prompt, load_backbone, resolve_backbone
from pipelines.errors import BadInput
from pipelines.references.landmark import Landmark
from pipelines.references.native import NativeReferences, ReferencePicture
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import DrawRequest, plan_batches, request_from
from tests.pipelines.families.test_conformance import grid_of
from tests.tiny_flux2 import flux2, write_klein

Rgb = npt.NDArray[np.uint8]
TOLERANCE = 2e-6  # of the greatest value


def noise(seed: int, height: int = 96, width: int = 64) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


SCENE = ReferencePicture("scene", noise(1))
PERSON = ReferencePicture("person", noise(2, 80, 64))
GOODS = ReferencePicture("goods", noise(3, 64, 96))


@pytest.fixture(scope="module")
def klein(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    """The base model, which can be guided."""
    folder = write_klein(tmp_path_factory.mktemp("klein") / "klein-base")
    return load_backbone(resolve_backbone(folder), "cpu", torch.float32)


def ask(backbone: Backbone, *pictures: ReferencePicture, seed: int = 1, **changes: Any) -> DrawRequest:
    given = {"references": (NativeReferences(pictures),), "num_inference_steps": 3, "cfg_scale": 2.5} | changes
    return request_from(backbone.spec, "a young woman", seed, **given)


def theirs(backbone: Backbone, request: DrawRequest, pipeline: Any, **given: Any) -> Tensor:
    """The grid that a pipeline of diffusers' draws, taken before it is denormalised."""
    states: list[Tensor] = []

    def keep(_pipeline: object, _step: int, _timestep: object, kept: dict[str, Tensor]) -> dict[str, Tensor]:
        states.append(kept["latents"])
        return kept

    pipeline(
        prompt_embeds=encode_prompt(backbone, request.prompt), generator=torch.Generator().manual_seed(request.seed),
        negative_prompt_embeds=encode_prompt(backbone, ""), guidance_scale=request.cfg_scale, height=request.height,
        width=request.width, num_inference_steps=request.num_inference_steps, output_type="latent",
        callback_on_step_end=keep, **given,
    )  # fmt: skip
    return backbone.model.unpack(states[-1], request.height, request.width)


def assert_near(ours: Tensor, expected: Tensor) -> None:
    assert float((ours - expected).abs().max() / expected.abs().max()) <= TOLERANCE


@pytest.mark.parametrize("pictures", [(SCENE,), (SCENE, PERSON), (SCENE, PERSON, GOODS)], ids=len)
@pytest.mark.parametrize("cfg_scale", [1.0, 2.5])
def test_they_are_read_as_the_pipeline_reads_them(
    klein: Backbone, pictures: Sequence[ReferencePicture], cfg_scale: float
) -> None:
    request = ask(klein, *pictures, cfg_scale=cfg_scale)
    images = [Image.fromarray(picture.image) for picture in pictures]
    ours = grid_of(klein, request)
    assert_near(ours, theirs(klein, request, flux2(klein).pipeline, image=images))
    fewer = grid_of(klein, ask(klein, *pictures[:-1], cfg_scale=cfg_scale))
    assert float((ours - fewer).abs().max()) > 1e-3


def test_their_order_is_that_of_their_roles(klein: Backbone) -> None:
    drawn = [grid_of(klein, ask(klein, *listed)) for listed in permutations((SCENE, PERSON, GOODS))]
    assert all(torch.equal(drawn[0], other) for other in drawn[1:])
    swapped = grid_of(klein, ask(klein, replace(SCENE, role="person"), replace(PERSON, role="scene"), GOODS))
    assert not torch.allclose(drawn[0], swapped, atol=1e-3)


def test_a_picture_of_a_batch_is_the_picture_alone(klein: Backbone) -> None:
    requests = [ask(klein, SCENE, replace(PERSON, image=noise(10 + k, 80, 64)), seed=k) for k in (1, 2)]
    assert plan_batches([*requests, ask(klein, SCENE)]) == ((0, 1), (2,))
    together = grid_of(klein, *requests)
    alone = torch.cat([grid_of(klein, request) for request in requests])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(together[0], together[1])


@pytest.mark.parametrize("make", [lambda: NativeReferences(()), lambda: NativeReferences.show(noise(1), 0.0)])
def test_one_at_scale_0_is_none(klein: Backbone, make: Callable[[], NativeReferences]) -> None:
    plain = ask(klein, references=())
    assert torch.equal(grid_of(klein, plain), grid_of(klein, replace(plain, references=(make(),))))
    assert plan_batches([plain, replace(plain, references=(make(),))]) == ((0, 1),)


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_a_landmark_is_kept_while_scene_and_person_are_seen(klein: Backbone, strength: float) -> None:
    """`Flux2KleinInpaintPipeline` shows the whole scene to the model, as reference 0."""
    mask = np.zeros((96, 64), np.bool_)
    mask[16:64, :32] = True  # whole cells of 16 pixels, of which its soft mask makes the same
    request = ask(klein, PERSON, SCENE, num_inference_steps=4)
    kept = Landmark(SCENE.image, mask)
    request = replace(request, references=(*request.references, kept), strength=strength)
    pipeline = Flux2KleinInpaintPipeline(**flux2(klein).pipeline.components, is_distilled=False)
    pipeline.set_progress_bar_config(disable=True)
    drawn = theirs(
        klein, request, pipeline, image=Image.fromarray(SCENE.image), image_reference=Image.fromarray(PERSON.image),
        mask_image=Image.fromarray(np.where(mask, 0, 255).astype(np.uint8)), strength=strength,
    )  # fmt: skip
    assert_near(grid_of(klein, request), drawn)
    (picture,) = draw_batch(klein, [request])
    np.testing.assert_array_equal(picture[mask], SCENE.image[mask])
    unseen = draw_batch(klein, [replace(request, references=(kept,))])[0]
    np.testing.assert_array_equal(unseen[mask], SCENE.image[mask])
    assert np.abs(picture.astype(int) - unseen)[~mask].mean() > 0.5


def test_a_large_picture_costs_as_many_tokens_as_the_model_is_for(klein: Backbone) -> None:
    large = NativeReferences((ReferencePicture("scene", noise(1, 1024, 768)), PERSON))
    first, second = large.encode(klein)
    assert first.tokens.shape[1] == (576 // 16) * (432 // 16) <= (512 // 16) ** 2
    assert second.tokens.shape[1] == (80 // 16) * (64 // 16)
    assert (float(first.ids[0, 0]), float(second.ids[0, 0])) == (10.0, 20.0)


def test_more_than_it_reads_are_refused_before_anything_is_drawn(klein: Backbone) -> None:
    five = ask(klein, SCENE, SCENE, SCENE, PERSON, GOODS)
    with pytest.raises(BadInput, match=r"references_too_many.*count=5, most=4"):
        draw_batch(klein, [five])
