"""The one loop draws what diffusers' own FLUX.2-klein pipelines draw.

Several references are compared in `tests.pipelines.references.test_native_klein`.
"""

from __future__ import annotations

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

from pipelines.backbones import Backbone, encode_prompt
from pipelines.errors import BadInput
from pipelines.references.landmark import Landmark
from pipelines.references.native import NativeReferences, ReferencePicture
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import DrawRequest, request_from
from tests.pipelines.families.test_conformance import grid_of
from tests.tiny_flux2 import flux2

Rgb = npt.NDArray[np.uint8]
STEPS = 4
PROMPTS = ("a young woman, smiling", "a man on a beach at dusk")
SEEDS = (3, 4)


def picture(height: int, width: int, seed: int = 0) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def asked(backbone: Backbone, **changes: Any) -> list[DrawRequest]:
    given = {"num_inference_steps": STEPS, "cfg_scale": 4.0, "negative_prompt": ""} | changes
    return [request_from(backbone.spec, prompt, seed, **given) for prompt, seed in zip(PROMPTS, SEEDS, strict=True)]


def call(backbone: Backbone, request: DrawRequest) -> dict[str, Any]:
    """What both pipelines are called with; each step's state is put into "states"."""
    model, states = flux2(backbone), list[Tensor]()

    def keep(_pipeline: object, _step: int, _timestep: object, kept: dict[str, Tensor]) -> dict[str, Tensor]:
        states.append(kept["latents"])
        return kept

    return {
        "states": states, "callback_on_step_end": keep, "output_type": "latent", "num_inference_steps": STEPS,
        "prompt_embeds": model.join([encode_prompt(backbone, p) for p in PROMPTS]), "height": request.height,
        "negative_prompt_embeds": model.join([encode_prompt(backbone, "")] * 2), "width": request.width,
        "guidance_scale": request.cfg_scale, "generator": [torch.Generator().manual_seed(seed) for seed in SEEDS],
    }  # fmt: skip


def last_grid(backbone: Backbone, request: DrawRequest, pipeline: Any, told: dict[str, Any]) -> Tensor:
    states: list[Tensor] = told.pop("states")
    pipeline(**told)
    return backbone.model.unpack(states[-1], request.height, request.width)


@pytest.mark.parametrize("cfg_scale", [1.0, 4.0])
def test_text_to_image(backbone: Backbone, cfg_scale: float) -> None:
    requests = asked(backbone, cfg_scale=cfg_scale)
    theirs = last_grid(backbone, requests[0], flux2(backbone).pipeline, call(backbone, requests[0]))
    assert torch.equal(grid_of(backbone, *requests), theirs)


def test_the_whole_way_from_the_prompt_to_the_picture(backbone: Backbone) -> None:
    (request, _) = asked(backbone)
    theirs = flux2(backbone).pipeline(
        prompt=request.prompt, height=request.height, width=request.width, num_inference_steps=STEPS,
        guidance_scale=4.0, generator=torch.Generator().manual_seed(request.seed), output_type="np",
        max_sequence_length=backbone.spec.max_sequence_length,
    ).images[0]  # fmt: skip
    (ours,) = draw_batch(backbone, [request])
    # the VAE computes in another layout of memory, so that a value may lie on the other side of a half
    far = np.abs(ours.astype(int) - (theirs * 255).round().astype(int))
    assert far.max() <= 1
    assert (far > 0).mean() <= 0.001


@pytest.mark.parametrize("strength", [1.0, 0.6])
@pytest.mark.parametrize("cfg_scale", [1.0, 4.0])
def test_inpainting_with_the_scene_as_a_reference(
    backbone: Backbone, strength: float, cfg_scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Flux2KleinInpaintPipeline` shows the scene as reference 0 without being asked."""
    scene, mask = picture(96, 64), np.zeros((96, 64), np.bool_)
    mask[:48, :32] = True  # whole tokens, so that which of them are kept is no question
    marks = (Landmark(scene, mask, exact=False), NativeReferences((ReferencePicture("scene", scene),)))
    requests = asked(backbone, references=marks, strength=strength, cfg_scale=cfg_scale)
    pipeline = Flux2KleinInpaintPipeline(**flux2(backbone).pipeline.components)
    pipeline.set_progress_bar_config(disable=True)
    # the scene as we encode it (its own encoding is compared below), so that nothing but the loop is compared
    monkeypatch.setattr(pipeline, "_encode_vae_image", lambda **_: backbone.model.encode_pictures(scene[None]))
    told = call(backbone, requests[0]) | {
        "image": Image.fromarray(scene), "mask_image": torch.from_numpy(~mask).float()[None, None],
        "strength": strength,
    }  # fmt: skip
    theirs = last_grid(backbone, requests[0], pipeline, told)
    assert torch.equal(grid_of(backbone, *requests), theirs)
    alone = grid_of(backbone, *asked(backbone, references=marks[:1], strength=strength, cfg_scale=cfg_scale))
    assert float((alone - theirs).abs().max()) > 1e-3


def test_pictures_are_encoded_as_its_pipeline_encodes_them(backbone: Backbone) -> None:
    model, shown = flux2(backbone), np.stack([picture(96, 64, seed) for seed in (0, 1)])
    pixels = torch.from_numpy(shown).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        theirs = model.pipeline._encode_vae_image(pixels, torch.Generator())
    torch.testing.assert_close(model.encode_pictures(shown), theirs, atol=2e-6, rtol=1e-5)


def test_references_above_the_models_number_are_refused(backbone: Backbone) -> None:
    model = flux2(backbone)
    last = model.encode_reference(picture(32, 48)[None], 3)
    assert last.ids.shape == (6, 4)
    assert last.ids[:, 0].tolist() == [40.0] * 6
    with pytest.raises(BadInput, match=r"references_too_many.*count=5, most=4"):
        model.encode_reference(picture(32, 48)[None], 4)
