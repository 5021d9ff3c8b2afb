"""Redux tokens: diffusers' own, scaled on their own, blind to the person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

from pipelines import torchvision_mend  # noqa: F401

# isort: split
from diffusers import FluxPriorReduxPipeline

from pipelines.backbones import Backbone, encode_prompt
from pipelines.errors import BadInput, ModelMissing
from pipelines.families.flux1.redux import load_redux
from pipelines.references.redux import (
    ReduxReference,
    ReduxReferences,
    append_tokens,
    encode_reference,
    fill_foreground,
    merge_tokens,
)
from pipelines.sampling.draw import draw_batch
from pipelines.sampling.request import plan_batches, request_from
from tests.tiny import flux1


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
    redux = load_redux(backbone.spec.companions["redux"], backbone.spec.id, backbone.device, backbone.dtype)
    parts = redux.components | {"text_encoder": flux1(backbone).pipeline.text_encoder}
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
        with pytest.raises(BadInput, match="scene_scale_out_of_range"):
            ReduxReference(scene(), scale=scale)
    with pytest.raises(BadInput, match="scene_pool_invalid"):
        ReduxReference(scene(), pool=0)
    with pytest.raises(BadInput, match="foreground_covers_scene"):
        ReduxReference(scene(), np.ones((96, 64), np.bool_))
    with pytest.raises(BadInput, match="foreground_mask_size"):
        ReduxReference(scene(), np.ones((64, 96), np.bool_))
    with pytest.raises(BadInput, match="picture_not_rgb"):
        ReduxReference(scene()[..., 0])


def test_weights_are_each_tokens_own(tiny_backbone_float32: Backbone) -> None:
    weights = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)  # the encoder's own grid
    whole = encode_reference(tiny_backbone_float32, ReduxReference(scene()))
    weighted = encode_reference(tiny_backbone_float32, ReduxReference(scene(), weights=weights))
    assert weighted.shape[1] == 15  # the one of weight 0 is left out
    assert torch.allclose(weighted[0], whole[0, 1:] * torch.from_numpy(weights.ravel()[1:, None]), atol=1e-6)
    large = np.kron(weights, np.ones((24, 16), np.float32))  # the same as a picture of the scene's size
    again = encode_reference(tiny_backbone_float32, ReduxReference(scene(), weights=large))
    assert torch.allclose(again, weighted, atol=1e-6)
    pooled = encode_reference(tiny_backbone_float32, ReduxReference(scene(), weights=weights, pool=2))
    mean = encode_reference(tiny_backbone_float32, ReduxReference(scene(), pool=2))
    squares = torch.from_numpy(weights.reshape(2, 2, 2, 2).mean(axis=(1, 3)).reshape(4, 1))
    assert torch.allclose(pooled[0], mean[0] * squares, atol=1e-6)


def test_weight_0_everywhere_is_no_reference_bit_for_bit(tiny_backbone: Backbone) -> None:
    nothing = np.zeros((5, 7), np.float32)
    black = ReduxReference(scene(), weights=nothing)
    offs = (
        black,
        ReduxReference(scene(), scale=0),
        ReduxReferences((black, black), merge=0.8),
        ReduxReferences((ReduxReference(scene(), scale=0), black)),
        ReduxReferences((ReduxReference(scene(), scale=0),), merge=0.8),
    )
    plain = request_from(tiny_backbone.spec, "a cafe", 3)
    (without,) = draw_batch(tiny_backbone, [plain])
    for off in offs:
        (picture,) = draw_batch(tiny_backbone, [replace(plain, references=(off,))])
        assert np.array_equal(picture, without)
    (injected,) = draw_batch(tiny_backbone, [replace(plain, references=(ReduxReference(scene()),))])
    assert not np.array_equal(injected, without)


def test_several_references_stand_side_by_side(tiny_backbone_float32: Backbone) -> None:
    parts = ReduxReference(scene(0), person(), scale=0.5), ReduxReference(scene(1), pool=2)
    off = ReduxReference(scene(2), scale=0)
    tokens = encode_reference(tiny_backbone_float32, ReduxReferences((*parts, off)))
    one, two = (encode_reference(tiny_backbone_float32, p) for p in parts)
    assert torch.allclose(tokens, torch.cat([one * 0.5, two], dim=1))


def test_near_tokens_become_their_mean(tiny_backbone_float32: Backbone) -> None:
    tokens = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.3], [0.0, -1.0]])
    assert torch.allclose(merge_tokens(tokens, 0.9), torch.tensor([[2.0, 0.15], [0.0, 2.0], [0.0, -1.0]]))
    assert torch.equal(merge_tokens(tokens, 0.9999), tokens)
    same = ReduxReference(scene())
    once = encode_reference(tiny_backbone_float32, ReduxReferences((same,), merge=0.99999))
    twice = encode_reference(tiny_backbone_float32, ReduxReferences((same, same), merge=0.99999))
    assert torch.allclose(once, twice, atol=1e-5)  # a picture given twice adds nothing
    assert encode_reference(tiny_backbone_float32, ReduxReferences((same, same))).shape[1] == 32


def test_only_equally_many_tokens_share_a_batch(tiny_backbone: Backbone) -> None:
    half = np.repeat(np.array([[0, 1]], np.float32), 4, axis=0)
    references = (
        ReduxReference(scene(0), weights=half),
        ReduxReference(scene(1), weights=half * np.float32(0.3)),
        ReduxReference(scene(0)),
        ReduxReferences((ReduxReference(scene(0)),), merge=0.5),
        ReduxReferences((ReduxReference(scene(1)),), merge=0.5),
        ReduxReferences((ReduxReference(scene(0)),)),
        ReduxReference(scene(0), scale=0),
        None,
    )
    requests = [request_from(tiny_backbone.spec, "a cafe", 3, references=() if r is None else (r,)) for r in references]
    batches = plan_batches(requests)
    assert (0, 1) in batches
    assert (6, 7) in batches
    assert (3,) in batches
    assert (4,) in batches
    for batch in batches:
        assert len(draw_batch(tiny_backbone, [requests[i] for i in batch])) == len(batch)


def test_wrong_weights_and_merges(tiny_backbone: Backbone) -> None:
    for wrong in (np.full((2, 2), np.nan), np.full((2, 2), 1.5), np.full((2, 2), -0.1), np.ones(4), np.ones((0, 2))):
        with pytest.raises(BadInput, match="scene_weights_invalid"):
            ReduxReference(scene(), weights=wrong.astype(np.float32))
    for merge in (0.0, 1.1, float("nan")):
        with pytest.raises(BadInput, match="scene_merge_out_of_range"):
            ReduxReferences((ReduxReference(scene()),), merge=merge)
    with pytest.raises(BadInput, match="references_empty"):
        ReduxReferences(())
    unlike = (ReduxReference(scene()), ReduxReference(scene(), guided=False))
    with pytest.raises(BadInput, match="redux_guided_in_part"):
        ReduxReferences(unlike)
    with pytest.raises(BadInput, match="redux_guided_in_part"):
        request_from(tiny_backbone.spec, "a cafe", 1, references=unlike)
    with pytest.raises(BadInput, match="foreground_covers_scene"):
        fill_foreground(scene(), np.ones((96, 64), np.bool_))
    with pytest.raises(BadInput, match="weights_under_foreground"):
        encode_reference(tiny_backbone, ReduxReference(scene(), person(), weights=person().astype(np.float32)))


def test_two_in_a_request_are_as_several_of_one_kind(tiny_backbone: Backbone) -> None:
    parts = (ReduxReference(scene(0), scale=0.5), ReduxReference(scene(1), pool=2))
    plain = request_from(tiny_backbone.spec, "a cafe", 3)
    two, one = replace(plain, references=parts), replace(plain, references=(ReduxReferences(parts),))
    assert plan_batches([two, one]) == ((0,), (1,))
    assert np.array_equal(draw_batch(tiny_backbone, [two])[0], draw_batch(tiny_backbone, [one])[0])


def test_no_redux_is_a_clear_error(tiny_dev_backbone: Backbone) -> None:
    request = request_from(tiny_dev_backbone.spec, "a cafe", 1, references=(ReduxReference(scene()),))
    with pytest.raises(ModelMissing, match="redux_missing"):
        draw_batch(tiny_dev_backbone, [request])
