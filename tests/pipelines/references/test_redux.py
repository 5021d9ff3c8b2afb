"""Redux tokens: diffusers' own, scaled on their own, blind to the person."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxPriorReduxPipeline

from pipelines.backbones import Backbone, encode_prompt
from pipelines.errors import BadInput
from pipelines.references.redux import ReduxReference, append_tokens, encode_reference, fill_foreground


def scene(seed: int = 0) -> npt.NDArray[np.uint8]:
    small = np.random.default_rng(seed).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((64, 96), Image.Resampling.BICUBIC))


def person() -> npt.NDArray[np.bool_]:
    mask = np.zeros((96, 64), np.bool_)
    mask[24:96, 16:48] = True  # exactly 6 of the 4×4 patches
    return mask


def test_whole_scene_at_full_scale_is_what_diffusers_makes(tiny_backbone_float32: Backbone) -> None:
    backbone = tiny_backbone_float32
    embeds = encode_prompt(backbone, "a cafe")
    ours = append_tokens(embeds, encode_reference(backbone, ReduxReference(scene())), 1.0)
    parts = backbone.redux.components | {"text_encoder": backbone.pipeline.text_encoder}
    theirs = FluxPriorReduxPipeline(**parts)(
        Image.fromarray(scene()),
        prompt_embeds=embeds.prompt_embeds.clone(),
        pooled_prompt_embeds=embeds.pooled.clone(),
    )
    assert torch.equal(ours.prompt_embeds, theirs.prompt_embeds)
    assert torch.equal(ours.pooled, theirs.pooled_prompt_embeds)


def test_only_the_image_tokens_are_scaled(tiny_backbone: Backbone) -> None:
    embeds = encode_prompt(tiny_backbone, "a cafe")
    tokens = encode_reference(tiny_backbone, ReduxReference(scene()))
    half = append_tokens(embeds, tokens, 0.5)
    length = embeds.prompt_embeds.shape[1]
    assert torch.equal(half.prompt_embeds[:, :length], embeds.prompt_embeds)
    assert torch.equal(half.prompt_embeds[:, length:], tokens * 0.5)
    assert torch.equal(half.pooled, embeds.pooled)


@pytest.mark.parametrize(("pool", "count"), [(1, 16), (2, 4), (3, 4), (4, 1), (9, 1)])
def test_pooling_averages_squares_of_tokens(tiny_backbone_float32: Backbone, pool: int, count: int) -> None:
    whole = encode_reference(tiny_backbone_float32, ReduxReference(scene()))
    pooled = encode_reference(tiny_backbone_float32, ReduxReference(scene(), pool=pool))
    assert pooled.shape[1] == count
    corner = whole.reshape(1, 4, 4, -1)[:, :pool, :pool].mean(dim=(1, 2))
    assert torch.allclose(pooled[:, 0], corner, atol=1e-5)


def test_what_is_under_the_mask_changes_nothing(tiny_backbone: Backbone) -> None:
    other = np.where(person()[..., None], scene(1), scene(0))
    assert not np.array_equal(other, scene(0))
    a = encode_reference(tiny_backbone, ReduxReference(scene(0), person()))
    b = encode_reference(tiny_backbone, ReduxReference(other, person()))
    assert a.shape[1] == 16 - 6
    assert torch.equal(a, b)
    unmasked = encode_reference(tiny_backbone, ReduxReference(scene(0)))
    assert not torch.equal(unmasked[:, :1], a[:, :1])  # every token sees the whole picture, so filling it matters


def test_a_background_seen_only_in_slivers_still_gives_tokens(tiny_backbone: Backbone) -> None:
    mask = np.ones((96, 64), np.bool_)
    mask[:2] = False
    assert encode_reference(tiny_backbone, ReduxReference(scene(), mask)).shape[1] == 4


def test_filling_takes_the_nearest_background() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 200
    mask = np.zeros((40, 40), np.bool_)
    mask[10:30, 2:8] = mask[10:30, 32:38] = True
    dirty = image.copy()
    dirty[mask] = 77
    assert np.array_equal(fill_foreground(dirty, mask), image)
    assert fill_foreground(image, np.zeros_like(mask)) is image


def test_wrong_references() -> None:
    for scale in (-0.1, 1.1, float("nan")):
        with pytest.raises(BadInput, match="scale"):
            ReduxReference(scene(), scale=scale)
    with pytest.raises(BadInput, match="pooled"):
        ReduxReference(scene(), pool=0)
    with pytest.raises(BadInput, match="nothing"):
        ReduxReference(scene(), np.ones((96, 64), np.bool_))
    with pytest.raises(BadInput, match="mask"):
        ReduxReference(scene(), np.ones((64, 96), np.bool_))
    with pytest.raises(BadInput, match="RGB"):
        ReduxReference(scene()[..., 0])
