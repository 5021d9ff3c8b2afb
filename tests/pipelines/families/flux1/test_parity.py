"""The one loop draws what diffusers' own FLUX.1 pipelines draw: difference 0 in float32."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxFillPipeline, FluxInpaintPipeline, FluxKontextPipeline
from diffusers.pipelines.flux import pipeline_flux_fill

from pipelines.backbones import MINIATURE, Backbone, encode_prompt, load_backbone, resolve_backbone
from pipelines.families.flux1.model import PromptEmbeds
from pipelines.references.fill import FillReference
from pipelines.references.landmark import Landmark
from pipelines.references.native import NativeReferences
from pipelines.references.redux import ReduxReference, append_tokens, encode_reference
from pipelines.sampling.request import DrawRequest, request_from
from tests.pipelines.families.test_conformance import grid_of
from tests.tiny import flux1

STEPS = 4
PROMPTS = ("a young woman, smiling", "a man on a beach at dusk")
SEEDS = (3, 4)


@pytest.fixture(scope="module")
def miniature() -> Backbone:
    return load_backbone(resolve_backbone(MINIATURE), "cpu", torch.float32)


@pytest.fixture(params=["tiny_family_backbone", "tiny_dev_float32", "miniature"])
def backbone(request: pytest.FixtureRequest) -> Backbone:
    found: Backbone = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def tiny_dev_float32(tiny_flux_dev: Any) -> Backbone:
    """With guidance embeddings and dynamic shifting."""
    return load_backbone(resolve_backbone(tiny_flux_dev), "cpu", torch.float32)


def picture(backbone: Backbone, seed: int = 0) -> npt.NDArray[np.uint8]:
    size = (backbone.spec.height, backbone.spec.width, 3)
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


def kept_corner(backbone: Backbone) -> npt.NDArray[np.bool_]:
    """Whole cells, so that which of them are kept is no question."""
    mask = np.zeros((backbone.spec.height, backbone.spec.width), np.bool_)
    mask[: 3 * backbone.model.cell_px, : 2 * backbone.model.cell_px] = True
    return mask


def asked(backbone: Backbone, **changes: Any) -> list[DrawRequest]:
    given = {"num_inference_steps": STEPS, "distilled_guidance": 3.5, "cfg_scale": 1.0, "negative_prompt": "blurred"}
    return [
        request_from(backbone.spec, prompt, seed, **given | changes)
        for prompt, seed in zip(PROMPTS, SEEDS, strict=True)
    ]


def texts(backbone: Backbone, words: tuple[str, ...], reference: ReduxReference | None = None) -> PromptEmbeds:
    embeds: list[PromptEmbeds] = [encode_prompt(backbone, text) for text in words]
    if reference is not None:
        embeds = [append_tokens(e, encode_reference(backbone, reference), reference.scale) for e in embeds]
    return flux1(backbone).join(embeds)


def call(backbone: Backbone, request: DrawRequest, reference: ReduxReference | None = None) -> dict[str, Any]:
    """What all of diffusers' pipelines are called with."""
    text = texts(backbone, PROMPTS, reference)
    told = {
        "prompt_embeds": text.prompt_embeds, "pooled_prompt_embeds": text.pooled, "height": request.height,
        "width": request.width, "num_inference_steps": STEPS, "guidance_scale": request.distilled_guidance,
        "output_type": "latent",
    }  # fmt: skip
    if request.cfg_scale > 1:
        against = texts(backbone, ("blurred",) * 2, None if reference is None else unguided(reference))
        told |= {
            "true_cfg_scale": request.cfg_scale, "negative_prompt_embeds": against.prompt_embeds,
            "negative_pooled_prompt_embeds": against.pooled,
        }  # fmt: skip
    return told


def unguided(reference: ReduxReference) -> ReduxReference:
    """The negative side's: its tokens are there and say nothing."""
    return ReduxReference(reference.image, weights=np.full((1, 1), 1e-30, np.float32))


def noise(backbone: Backbone, request: DrawRequest) -> Tensor:
    return torch.cat([backbone.model.noise(seed, request.height, request.width) for seed in SEEDS])


def unpacked(backbone: Backbone, request: DrawRequest, images: Any) -> Tensor:
    return backbone.model.unpack(torch.as_tensor(images), request.height, request.width)


@pytest.mark.parametrize("cfg_scale", [1.0, 3.0])
def test_text_to_image(backbone: Backbone, cfg_scale: float) -> None:
    requests = asked(backbone, cfg_scale=cfg_scale)
    theirs = flux1(backbone).pipeline(**call(backbone, requests[0]), latents=noise(backbone, requests[0])).images
    assert torch.equal(grid_of(backbone, *requests), unpacked(backbone, requests[0], theirs))


@pytest.mark.parametrize("strength", [1.0, 0.6])
@pytest.mark.parametrize("cfg_scale", [1.0, 3.0])
def test_inpainting(backbone: Backbone, strength: float, cfg_scale: float) -> None:
    mask = kept_corner(backbone)
    marks = (Landmark(picture(backbone), mask, exact=False),)
    requests = asked(backbone, references=marks, strength=strength, cfg_scale=cfg_scale)
    z = backbone.model.encode_pictures(np.stack([picture(backbone)] * 2))
    told: dict[str, Any] = call(backbone, requests[0]) | {
        "image": z, "mask_image": torch.from_numpy(~mask).float()[None, None], "strength": strength,
        # not read by these models; anything that is no 16 channels of latents is encoded
        "masked_image_latents": z if z.shape[1] == 16 else torch.zeros(1, 3, *mask.shape),
        "generator": [torch.Generator().manual_seed(seed) for seed in SEEDS],
    }  # fmt: skip
    if strength == 1:
        told["latents"] = unpacked(backbone, requests[0], noise(backbone, requests[0]))
    pipeline = FluxInpaintPipeline(**flux1(backbone).pipeline.components)
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(**told).images
    assert torch.equal(grid_of(backbone, *requests), unpacked(backbone, requests[0], theirs))


@pytest.mark.parametrize("name", ["tiny_family_backbone", "miniature"])
@pytest.mark.parametrize("cfg_scale", [1.0, 3.0])
def test_redux_tokens(name: str, cfg_scale: float, request: pytest.FixtureRequest) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    reference = ReduxReference(picture(backbone), scale=0.7)
    requests = asked(backbone, references=(reference,), cfg_scale=cfg_scale)
    told = call(backbone, requests[0], reference)
    if cfg_scale > 1:
        length = encode_prompt(backbone, "blurred").prompt_embeds.shape[1]
        told["negative_prompt_embeds"][:, length:] = 0
    theirs = flux1(backbone).pipeline(**told, latents=noise(backbone, requests[0])).images
    assert torch.equal(grid_of(backbone, *requests), unpacked(backbone, requests[0], theirs))


def test_fill(tiny_family_backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny_family_backbone
    # the one difference that is meant: no luck in the masked picture's latents
    mode = partial(pipeline_flux_fill.retrieve_latents, sample_mode="argmax")
    monkeypatch.setattr(pipeline_flux_fill, "retrieve_latents", mode)
    mask = kept_corner(backbone)
    mask[:, :5] = True  # on no cell's edge
    mark = Landmark(picture(backbone), mask, exact=False)
    requests = asked(backbone, references=(FillReference(mark),), distilled_guidance=30.0)
    parts = flux1(backbone.drawn_by("fill")).pipeline.components
    pipeline = FluxFillPipeline(**{name: part for name, part in parts.items() if part is not None})
    pipeline.set_progress_bar_config(disable=True)
    image = torch.from_numpy(picture(backbone)).permute(2, 0, 1)[None] / 255
    theirs = pipeline(
        **call(backbone, requests[0]), latents=noise(backbone, requests[0]), image=torch.cat([image] * 2),
        mask_image=torch.from_numpy(~mask).float()[None, None].repeat(2, 1, 1, 1),
    ).images  # fmt: skip
    ours = grid_of(backbone, *requests)
    # that pipeline takes a picture's pixels to [-1, 1] in another order of operations
    torch.testing.assert_close(ours, unpacked(backbone, requests[0], theirs), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(96, 64), (32, 96)])
@pytest.mark.parametrize("cfg_scale", [1.0, 3.0])
def test_kontext(tiny_family_backbone: Backbone, size: tuple[int, int], cfg_scale: float) -> None:
    backbone = tiny_family_backbone
    shown = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    requests = asked(backbone, references=(NativeReferences.show(shown, 1.0),), cfg_scale=cfg_scale)
    pipeline = FluxKontextPipeline(**flux1(backbone.drawn_by("kontext")).pipeline.components)
    pipeline.set_progress_bar_config(disable=True)
    image = torch.from_numpy(shown).permute(2, 0, 1)[None] / 255
    theirs = pipeline(
        **call(backbone, requests[0]), latents=noise(backbone, requests[0]), image=torch.cat([image] * 2),
        max_area=96 * 64, _auto_resize=False,
    ).images  # fmt: skip
    torch.testing.assert_close(
        grid_of(backbone, *requests), unpacked(backbone, requests[0], theirs), atol=2e-5, rtol=1e-5
    )
